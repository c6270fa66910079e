"""Where the CUDA sources are: beside the package in a wheel, in the checkout for an editable install."""

from __future__ import annotations

from pathlib import Path

from heatgrid.words.errors import DeviceError

PACKAGE = Path(__file__).resolve().parents[1]


def kernels() -> Path:
    """The folder that holds bin.cu and include/."""
    places = (PACKAGE / "cuda", PACKAGE.parents[1] / "kernels")
    for place in places:
        if (place / "include" / "cell.cuh").is_file():
            return place
    raise DeviceError(
        "the CUDA sources are not where they belong", code="HG5002", where=" or ".join(map(str, places)),
        expected="bin.cu and include/cell.cuh", hint="install the package again",
    )  # fmt: skip
