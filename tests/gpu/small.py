"""A small case of every kernel, for compute-sanitizer: `compute-sanitizer python tests/gpu/small.py`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import cupy
import numpy as np

import heatgrid as hg
from heatgrid.demo.generate import write
from heatgrid.states.store import to_bytes

rng = np.random.default_rng(0)
x, y = rng.normal(50, 30, (2, 5000)).astype(np.float32)
group, weight = rng.integers(0, 3, 5000), rng.integers(0, 9, 5000)
for shape in ((16, 16), (100, 100), (300, 300)):
    for dtype in (np.float32, np.float64):
        a, b = x.astype(dtype), y.astype(dtype)
        want = hg.bin_points(a, b, shape=shape, backend="cpu").values
        assert (hg.bin_points(cupy.asarray(a), cupy.asarray(b), shape=shape).values == want).all()
        for more in ({"group": group, "n_groups": 3}, {"weight": weight}, {"valid": weight > 3}):
            want = hg.bin_points(a, b, shape=shape, backend="cpu", **more).values
            assert (hg.bin_points(a, b, shape=shape, backend="gpu", **more).values == want).all()
for sigma in (1, 25):
    for dtype in (np.float32, np.float64):
        image = rng.random((70, 130)).astype(dtype)
        got = hg.smooth(image, sigma, backend="gpu")
        assert abs(got - hg.smooth(image, sigma, backend="cpu")).max() < 1e-5
time = np.sort(rng.integers(0, 10**6, 5000)) + 1_788_000_000_000
for times in (time, rng.permutation(time)):
    columns = rng.integers(0, 400, 5000), times, rng.integers(0, 40, 5000)
    want = hg.dwell(*columns, order="any", backend="cpu")
    assert hg.dwell(*(cupy.asarray(c) for c in columns)).equals(want)
plan = hg.Plan(maps=["clicks", "moves"], scroll=True, tables=())
with TemporaryDirectory() as folder:
    path = Path(folder) / "events.parquet"
    write(path, 5000, seed=2)
    want = to_bytes(hg.run(path, plan, backend="cpu").state)
    assert to_bytes(hg.run(path, plan, backend="gpu").state) == want
