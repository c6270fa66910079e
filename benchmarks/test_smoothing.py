"""A small map smoothed by each engine; the answer is the float64 Gaussian's, or the benchmark fails.

For ratios use smoothing.py (all engines in turn, the six cases); this suite is for following one engine.
"""

from __future__ import annotations

import numpy as np
import pytest

from heatgrid.bench import blurs

SHAPE = (270, 480)
NEEDS = {"opencv": "cv2", "scipy_fft": "scipy", "scipy_ndimage": "scipy"}


@pytest.mark.parametrize("sigma", [2, 8])
@pytest.mark.parametrize("engine", ["heatgrid", "opencv", "scipy_fft", "scipy_ndimage"])
def test_smoothing(benchmark, engine, sigma):
    if engine in NEEDS:
        pytest.importorskip(NEEDS[engine])
    work = getattr(blurs, engine)
    options = {"radius": blurs.radius_needed(sigma)} if engine in ("opencv", "scipy_ndimage") else {}
    image = blurs.images(SHAPE)["noise"]
    out = np.empty_like(image)
    benchmark.pedantic(work, (image, sigma, out), options, rounds=5, warmup_rounds=1)
    limit = 2e-5 if engine == "scipy_fft" else blurs.ERROR  # float32 spectra miss it by a little
    assert blurs.error(lambda *given: work(*given, **options), SHAPE, sigma) <= limit
