"""Can this machine run the CUDA kernels? The answer is the reason, which becomes the message."""

from __future__ import annotations

import os
from importlib.util import find_spec

LEAST_COMPUTE = 70
"""Warps that step lane by lane: __syncwarp and the masks of the collectives."""


def why_not() -> str:
    """Why the GPU is not used; empty where it can be. Imports CuPy only where it is installed."""
    if os.environ.get("HEATGRID_GPU") == "0":
        return "HEATGRID_GPU=0 turns the GPU off"
    if find_spec("cupy") is None:
        return "CuPy is not installed (extras: heatgrid[cuda12], heatgrid[cuda13])"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy does not import: {error}"
    if not cupy.cuda.is_available():
        return "CuPy finds no CUDA driver with a device"
    compute = int(cupy.cuda.Device().compute_capability)
    if compute < LEAST_COMPUTE:
        return f"the device is of compute capability {compute / 10}, and {LEAST_COMPUTE / 10} is needed"
    return ""
