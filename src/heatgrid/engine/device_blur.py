"""Gaussian smoothing on a device, with the CPU's numbers in its order of operations: the same bits by the same form."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.engine.blur import MOST_SIGMA_32, Axis
from heatgrid.engine.gauss import outside, pairs_of
from heatgrid.gpu import smooth as kernels
from heatgrid.gpu.device import Device, OutOfMemory
from heatgrid.words.errors import UsageError

MOST_TAPS = 100
"""Direct up to so many taps on a side, recursive above. An estimate until a GPU measures it, for 4096 x 4096 float32 on
an H100: a tap is 2.3 instructions a cell, at 60 % of the peak 2.3 us an axis; the recursive form's one warp a
multiprocessor needs 4096 places twice at 30 cycles, 0.15 ms, and its 20 bytes a cell 0.13 ms."""

GRIDS, GRIDS_IN_64 = 3, 8
"""Grids that one needs room for: itself, its two axes; and three of twice the size with the result, in float64."""


def smooth_on_device(
    device: Device, image: Any, sigmas: tuple[float, float], truncate: float | None, boundary: str
) -> Any:
    """image: an array of the device, (..., ny, nx) of float32 or float64. A new array of the device."""
    shape = image.shape
    ny, nx = int(shape[-2]), int(shape[-1])
    axes = {"along": Axis(nx, sigmas[1], boundary, truncate), "down": Axis(ny, sigmas[0], boundary, truncate)}
    if _needs_float64(image, axes):
        exact = device.empty(image.size, np.float64).reshape(shape)
        exact[...] = image
        return smooth_on_device(device, exact, sigmas, truncate, boundary).astype(np.float32)
    whole = (image.size // (ny * nx), ny, nx)
    stream = device.stream()
    source = image.reshape(-1)
    spare = [device.empty(image.size, image.dtype) for _ in axes]

    def put(values: Any) -> Any:
        there = device.empty(len(values), values.dtype)
        device.upload(values, there, stream)
        return there

    # as on the CPU: what is recursive first
    for name in sorted(axes, key=lambda name: not axes[name].is_recursive(MOST_TAPS)):
        axis, result, wild = axes[name], spare.pop(), None
        if axis.is_recursive(MOST_TAPS):
            far = len(outside(axis.n, axis.sigma, boundary)[0])
            wild = device.empty(kernels.groups(name, whole), np.uint32)
            pairs = put(pairs_of(axis.sigma, image.dtype).reshape(-1))
            launch = kernels.recursive(name, source, result, pairs, wild, boundary, far, whole, device.limits)
            device.launch(launch, stream)
        # all lines; after the recursive form those 32 at a time that hold what is not finite, which must not spread
        taps = put(axis.taps(image.dtype))
        device.launch(kernels.smooth(name, source, result, taps, boundary, whole, device.limits, wild), stream)
        source = result
    stream.synchronize()
    return source.reshape(shape)


def _needs_float64(image: Any, axes: dict[str, Axis]) -> bool:
    """As on the CPU: rounding in float32 would add too much."""
    wide = any(axis.is_recursive(MOST_TAPS) and axis.sigma > MOST_SIGMA_32 for axis in axes.values())
    return wide and image.dtype == np.float32


def smooth_held(
    device: Device, values: object, sigmas: tuple[float, float], truncate: float | None, boundary: str
) -> Any:
    """The same of whatever array lies on the device; integers become float64, float16 float32."""
    image = device.adopt(values)
    kind = None if image is None else np.dtype(image.dtype)
    if image is None or kind is None or kind.kind not in "iufb" or image.ndim < 2:
        raise UsageError(
            "this cannot be smoothed", code="HG1422", where="values",
            value=f"{kind} of shape {getattr(image, 'shape', None)}", expected="numbers of shape (..., ny, nx)",
        )  # fmt: skip
    image = image.astype({"f4": np.float32, "f2": np.float32}.get(kind.str[1:], np.float64), copy=False)
    return smooth_on_device(device, image, sigmas, truncate, boundary) if image.size else image


def smooth_stack(
    device: Device,
    values: Any,
    out: Any,
    sigmas: tuple[float, float],
    truncate: float | None,
    boundary: str,
) -> None:
    """out = values, both in main memory, smoothed; as many images at a time as the device holds.

    Raises OutOfMemory where one image is too large.
    """
    ny, nx = values.shape[-2:]
    images, results = values.reshape(-1, ny, nx), out.reshape(-1, ny, nx)
    wide = values.dtype == np.float32 and max(sigmas) > MOST_SIGMA_32
    each = (GRIDS_IN_64 if wide else GRIDS) * values.itemsize * ny * nx
    at_once = min(len(images), int(device.free_bytes() * 0.8) // max(each, 1))
    if at_once == 0:
        raise OutOfMemory(f"{each:,} bytes for one grid and what it is filtered in")
    stream = device.stream()
    for first in range(0, len(images), at_once):
        part = np.ascontiguousarray(images[first : first + at_once])
        held = device.empty(part.size, part.dtype)
        device.upload(part.reshape(-1), held, stream)
        stream.synchronize()
        done = smooth_on_device(device, held.reshape(part.shape), sigmas, truncate, boundary)
        results[first : first + at_once] = device.download(done)
