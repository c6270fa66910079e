"""Can this machine run the CUDA kernels? The answer is the reason, which becomes the message."""

from __future__ import annotations

from importlib.util import find_spec


def why_not() -> str:
    """Why the GPU is not used. Imports CuPy only where it is installed."""
    if find_spec("cupy") is None:
        return "CuPy is not installed (extras: heatgrid[cuda12], heatgrid[cuda13])"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy does not import: {error}"
    if not cupy.cuda.is_available():
        return "CuPy finds no CUDA driver with a device"
    return "this version of heatgrid ships the CUDA kernels but launches none yet"
