"""Gaussian smoothing by heatgrid and its peers, and the float64 Gaussian that all are held against.

All take a float32 image and a sigma, with zeros beyond the border, on two threads where they have threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from heatgrid.bench.race import FLOOR, Contender, race

ERROR = 1e-5
THREADS = 2
Blur = Callable[..., Any]


def heatgrid(image: Any, sigma: float, out: Any, threads: int = THREADS, backend: str = "cpu") -> Any:
    import heatgrid as hg

    return hg.smooth(image, sigma, out=out, threads=threads, backend=backend)


def opencv(image: Any, sigma: float, out: Any, threads: int = THREADS, radius: int | None = None) -> Any:
    """radius: None for OpenCV's own, 4 sigma."""
    import cv2

    cv2.setNumThreads(threads)
    side = 0 if radius is None else 2 * radius + 1
    return cv2.GaussianBlur(image, (side, side), sigma, dst=out, borderType=cv2.BORDER_CONSTANT)


def scipy_fft(image: Any, sigma: float, out: Any, threads: int = THREADS, dtype: type = np.float32) -> Any:
    """Multiplied by the Gaussian's spectrum, padded so that nothing comes round: 5 sigma."""
    from scipy import fft

    sizes = [fft.next_fast_len(n + math.ceil(5 * sigma), real=True) for n in image.shape]
    down, along = fft.fftfreq(sizes[0]), fft.rfftfreq(sizes[1])
    spectrum = fft.rfft2(image.astype(dtype, copy=False), sizes, workers=threads)
    spectrum *= np.exp(-2 * (np.pi * sigma * down) ** 2).astype(dtype)[:, None]
    spectrum *= np.exp(-2 * (np.pi * sigma * along) ** 2).astype(dtype)
    back = fft.irfft2(spectrum, sizes, workers=threads, overwrite_x=True)
    out[...] = back[: image.shape[0], : image.shape[1]]
    return out


def scipy_ndimage(image: Any, sigma: float, out: Any, threads: int = THREADS, radius: int | None = None) -> Any:
    """radius: None for SciPy's own, 4 sigma. One thread: it has no more."""
    from scipy import ndimage

    return ndimage.gaussian_filter(image, sigma, output=out, mode="constant", radius=radius)


def copy(image: Any, sigma: float, out: Any, threads: int = THREADS) -> Any:
    """The floor."""
    rows = [slice(len(image) * k // threads, len(image) * (k + 1) // threads) for k in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: np.copyto(out[part], image[part]), rows))
    return out


def peers(sigma: float, installed: Callable[[str], bool]) -> dict[str, Blur]:
    """Each at its own defaults and at the radius, or the precision, that an error of 1e-5 needs."""
    radius = radius_needed(sigma)
    found: dict[str, Blur] = {}
    if installed("cv2"):
        found |= {"opencv, its radius": opencv, f"opencv, radius {radius}": partial(opencv, radius=radius)}
    if installed("scipy"):
        found |= {
            "scipy.fft float32": scipy_fft,
            "scipy.fft float64": partial(scipy_fft, dtype=np.float64),
            "scipy.ndimage, its radius": scipy_ndimage,
            f"scipy.ndimage, radius {radius}": partial(scipy_ndimage, radius=radius),
        }
    return found


def measure(
    shape: tuple[int, int], sigma: float, works: dict[str, Blur], rounds: int, threads: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds and errors; heatgrid's error must be within ERROR, what the peers reach is told."""
    image = images(shape)["noise"]
    out = np.empty_like(image)
    errors: dict[str, float] = {}

    def check(name: str, _: Any) -> None:
        if not name.startswith(FLOOR):
            errors[name] = error(partial(works[name], threads=threads), shape, sigma)
            if name.startswith("heatgrid") and errors[name] > ERROR:
                raise AssertionError(f"{name}: an error of {errors[name]:.1e} at {shape}, sigma {sigma}")

    turns: dict[str, Contender] = {
        name: partial(work, image, sigma, out, threads=threads) for name, work in works.items()
    }
    return race(turns, check, rounds, short=True), errors


def radius_needed(sigma: float) -> int:
    """The least radius of a cut Gaussian of unit gain whose error on an impulse is within ERROR."""
    true = _weights(sigma, math.ceil(8 * sigma))
    middle = len(true) // 2
    for radius in range(math.ceil(3 * sigma), middle):
        cut = np.zeros_like(true)
        cut[middle - radius : middle + radius + 1] = _weights(sigma, radius)
        worst = max(np.abs(np.outer(cut, row) - np.outer(true, row)).max() for row in (true[None, middle], true))
        if max(worst, np.abs(np.outer(cut, cut) - np.outer(true, true)).max()) <= ERROR * true[middle] ** 2:
            return radius
    raise ValueError(sigma)


def _weights(sigma: float, radius: int) -> Any:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def truth(image: Any, sigma: float, first: int, count: int) -> Any:
    """Rows first .. first + count - 1 of the image smoothed by a float64 Gaussian cut at 8 sigma."""
    reach = math.ceil(8 * sigma)
    low, high = max(first - reach, 0), min(first + count + reach, image.shape[0])
    down = _matrix(np.arange(first, first + count), np.arange(low, high), sigma)
    columns = np.arange(image.shape[1])
    return down @ image[low:high].astype(np.float64) @ _matrix(columns, columns, sigma).T


def _matrix(to: Any, of: Any, sigma: float) -> Any:
    reach = math.ceil(8 * sigma)
    apart = np.abs(to[:, None] - of[None, :])
    weights = _weights(sigma, reach)[reach:]
    return np.where(apart <= reach, weights[np.minimum(apart, reach)], 0.0)


def images(shape: tuple[int, int]) -> dict[str, Any]:
    """Impulses, hotspots of very different heights, and noise."""
    rng = np.random.default_rng(0)
    ny, nx = shape
    impulses = np.zeros(shape, np.float32)
    impulses[[0, ny // 2, ny - 1], [nx - 1, nx // 3, 0]] = 1
    hotspots = np.zeros(shape, np.float32)
    y, x = np.mgrid[:80, :80]
    for k in range(40):
        top, left = (0 if k < 4 else rng.integers(0, max(n - 80, 1)) for n in shape)
        spread = rng.uniform(1, 12)
        spot = 10 ** rng.uniform(0, 4) * np.exp(-((y - 40) ** 2 + (x - 40) ** 2) / (2 * spread**2))
        hotspots[top : top + 80, left : left + 80] += spot[: ny - top, : nx - left]
    return {"impulses": impulses, "hotspots": hotspots, "noise": rng.exponential(5, shape).astype(np.float32)}


def error(work: Blur, shape: tuple[int, int], sigma: float) -> float:
    """The largest |difference| / largest value over three images, each looked at in its first, middle and last rows."""
    worst = 0.0
    count = min(120, shape[0])
    for image in images(shape).values():
        got = np.array(work(image, sigma, np.empty_like(image)))
        firsts = (0, (shape[0] - count) // 2, shape[0] - count)
        true = [truth(image, sigma, first, count) for first in firsts]
        peak = max(float(t.max()) for t in true)
        for first, t in zip(firsts, true, strict=True):
            worst = max(worst, float(np.abs(got[first : first + count] - t).max()) / peak)
    return worst
