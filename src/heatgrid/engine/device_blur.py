"""Gaussian smoothing on a device: the direct form at any sigma, with the CPU's taps in its order: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.engine.blur import Axis
from heatgrid.gpu import smooth as kernels
from heatgrid.gpu.device import Device, OutOfMemory
from heatgrid.words.errors import UsageError


def smooth_on_device(
    device: Device, image: Any, sigmas: tuple[float, float], truncate: float | None, boundary: str
) -> Any:
    """image: an array of the device, (..., ny, nx) of float32 or float64. A new array of the device."""
    shape = image.shape
    ny, nx = int(shape[-2]), int(shape[-1])
    images = image.size // (ny * nx)
    stream = device.stream()
    taps = []
    for sigma, n in zip(sigmas, (ny, nx), strict=True):
        weights = Axis(n, sigma, boundary, truncate).taps(image.dtype)
        taps.append(device.empty(len(weights), image.dtype))
        device.upload(weights, taps[-1], stream)
    flat = image.reshape(-1)
    between = device.empty(image.size, image.dtype)
    out = device.empty(image.size, image.dtype)
    steps = (("along", flat, between, taps[1]), ("down", between, out, taps[0]))
    for axis, source, result, weights in steps:
        device.launch(kernels.smooth(axis, source, result, weights, boundary, (images, ny, nx), device.limits), stream)
    stream.synchronize()
    return out.reshape(shape)


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
    at_once = min(len(images), int(device.free_bytes() * 0.8) // max(3 * values.itemsize * ny * nx, 1))
    if at_once == 0:
        raise OutOfMemory(f"{3 * values.itemsize * ny * nx:,} bytes for one grid, and two more like it")
    stream = device.stream()
    for first in range(0, len(images), at_once):
        part = np.ascontiguousarray(images[first : first + at_once])
        held = device.empty(part.size, part.dtype)
        device.upload(part.reshape(-1), held, stream)
        stream.synchronize()
        done = smooth_on_device(device, held.reshape(part.shape), sigmas, truncate, boundary)
        results[first : first + at_once] = device.download(done)
