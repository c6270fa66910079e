"""Gaussian smoothing of float32 maps: heatgrid, OpenCV, scipy.fft and scipy.ndimage, in turn, round after round.

Every peer runs at its own defaults and at the radius (or precision) that an error of 1e-5 needs; what each reached is
measured against a float64 Gaussian. A turn is one call that is not timed and a few that are, so that all find the
caches and the threads as warm. The floor is a copy of the image.

    python benchmarks/smoothing.py --rounds 11
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from heatgrid.bench import blurs, race

HERE = Path(__file__).parent
SHAPES = ((1080, 1920), (10000, 1920))
SIGMAS = (2, 8, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "smoothing.json")
    args = parser.parse_args()
    cases = [case(shape, sigma, args.rounds) for shape in SHAPES for sigma in SIGMAS]
    report = {
        "benchmark": "smoothing",
        "dtype": "float32",
        "border": "constant",
        "rounds": args.rounds,
        "threads": blurs.THREADS,
        "machine": race.machine(),
        "versions": race.versions(("numba", "numpy", "scipy", "opencv-python-headless")),
        "cases": cases,
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {args.out}")


def case(shape: tuple[int, int], sigma: float, rounds: int) -> dict:
    works = {"heatgrid": blurs.heatgrid} | blurs.peers(sigma, lambda _: True)
    works |= {"floor, one thread": lambda *given, threads: blurs.copy(*given, threads=1), "floor": blurs.copy}
    runs, errors = blurs.measure(shape, sigma, works, rounds, blurs.THREADS)
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
