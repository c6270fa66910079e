"""Gaussian smoothing of float32 maps: heatgrid, OpenCV, scipy.fft and scipy.ndimage, in turn, round after round.

Every peer runs at its own defaults and at the radius (or precision) that an error of 1e-5 needs; what each reached is
measured against a float64 Gaussian. A turn is one call that is not timed and a few that are, so that all find the
caches and the threads as warm. The floor is a copy of the image.

    python benchmarks/smoothing.py --rounds 11
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

import blurs
from whole_way import cpu_name

HERE = Path(__file__).parent
SHAPES = ((1080, 1920), (10000, 1920))
SIGMAS = (2, 8, 32)
CALLS_WITHIN = 0.06
"""Seconds of a turn that its timed calls may take together; at least one is made."""
SLOW, SLOW_ROUNDS = 0.3, 5
"""What takes longer than so many seconds a call runs in no more than so many rounds, and is not warmed up each time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="leave out what takes more than half a second a call")
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "smoothing.json")
    args = parser.parse_args()
    cases = [case(shape, sigma, args.rounds, args.quick) for shape in SHAPES for sigma in SIGMAS]
    report = {
        "benchmark": "smoothing",
        "dtype": "float32",
        "border": "constant",
        "rounds": args.rounds,
        "threads": blurs.THREADS,
        "machine": {"processor": cpu_name(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("numba", "numpy", "scipy")} | {"opencv": cv2.__version__},
        "cases": cases,
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {args.out}")


def contenders(sigma: float) -> dict:
    radius = blurs.radius_needed(sigma)
    return {
        "heatgrid": blurs.heatgrid,
        "opencv, its radius": blurs.opencv,
        f"opencv, radius {radius}": partial(blurs.opencv, radius=radius),
        "scipy.fft float32": blurs.scipy_fft,
        "scipy.fft float64": partial(blurs.scipy_fft, dtype=np.float64),
        "scipy.ndimage, its radius": blurs.scipy_ndimage,
        f"scipy.ndimage, radius {radius}": partial(blurs.scipy_ndimage, radius=radius),
    }


def copy(image, sigma, out):
    np.copyto(out, image)
    return out


def copy_in_halves(image, sigma, out):
    half = len(image) // 2
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(np.copyto, out[half:], image[half:])
        np.copyto(out[:half], image[:half])
        other.result()
    return out


def case(shape: tuple[int, int], sigma: float, rounds: int, quick: bool) -> dict:
    image = blurs.images(shape)["noise"]
    out = np.empty_like(image)
    works = contenders(sigma) | {"copy, one thread": copy, "copy, two threads": copy_in_halves}
    errors, calls, slow = {}, {}, set()
    for name, work in list(works.items()):
        seconds = timed(work, image, sigma, out, 1)[0]
        if quick and seconds > 0.5:
            del works[name]
            continue
        if seconds > SLOW:
            slow.add(name)
        calls[name] = max(1, min(10, int(CALLS_WITHIN / seconds)))
        if not name.startswith("copy"):
            errors[name] = blurs.error(work, shape, sigma)
    if errors["heatgrid"] > blurs.ERROR:
        raise SystemExit(f"heatgrid's error is {errors['heatgrid']:.1e} at {shape}, sigma {sigma}")
    runs: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name, work in works.items():
            if name not in slow or number < SLOW_ROUNDS:
                runs[name].append(statistics.median(timed(work, image, sigma, out, calls[name], warm=name not in slow)))
    found = {
        name: {
            "median_ms": statistics.median(each) * 1e3,
            "min_ms": min(each) * 1e3,
            "max_ms": max(each) * 1e3,
            "error": errors.get(name),
            "rounds": len(each),
            "times_heatgrid": statistics.median(a / b for a, b in zip(each, runs["heatgrid"], strict=False)),
        }
        for name, each in runs.items()
    }
    show(shape, sigma, found)
    return {"shape": list(shape), "sigma": sigma, "contenders": found}


def timed(work, image, sigma, out, calls: int, warm: bool = True) -> list[float]:
    if warm:
        work(image, sigma, out)
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        work(image, sigma, out)
        seconds.append(time.perf_counter() - start)
    return seconds


def show(shape: tuple[int, int], sigma: float, found: dict) -> None:
    print(f"{shape[1]} x {shape[0]}, sigma {sigma}")
    for name, one in found.items():
        error = f"error {one['error']:.1e}" if one["error"] is not None else ""
        spread = f"{one['min_ms']:.1f} - {one['max_ms']:.1f}"
        print(
            f"  {name:28} {one['median_ms']:9.2f} ms  {spread:>18}  {one['times_heatgrid']:7.2f} x  {error}", flush=True
        )


if __name__ == "__main__":
    main()
