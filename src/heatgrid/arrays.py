"""Functions for array people: arrays in, grids out. Thread-safe, no state kept, the GIL released while computing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import length_hint
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.cpu.cell import make_axis
from heatgrid.engine import backend as devices
from heatgrid.engine import device_bins, device_blur
from heatgrid.engine.bins import count_points
from heatgrid.engine.blur import MOST_RADIUS, smooth_stack
from heatgrid.engine.choose import LARGEST_PRIVATE, Limits, explain, is_sparse
from heatgrid.engine.columns import Column, Piece, Validity, align, column, writable
from heatgrid.engine.gauss import BOUNDARIES, CUT
from heatgrid.engine.pool import thread_count
from heatgrid.engine.room import available_bytes
from heatgrid.engine.spans import Bits, Span, Target
from heatgrid.gpu.device import OutOfMemory
from heatgrid.outputs.device_grid import DeviceGrid
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.grouped import GroupedGrid
from heatgrid.words.errors import LimitError, UsageError, nearest

if TYPE_CHECKING:
    import numpy.typing as npt

    Extent = tuple[float, float, float, float]

MOST_CELLS = 10**9
MOST_STACKED = 2**62


def bin_points(
    x: object,
    y: object,
    *,
    shape: tuple[int, int],
    extent: Sequence[float] | None = None,
    cell: float | Sequence[float] | None = None,
    group: object = None,
    n_groups: int | None = None,
    weight: object = None,
    weight_scale: float | None = None,
    valid: object = None,
    backend: str = "auto",
    threads: int | None = None,
) -> Grid:
    """Count points per cell.

    Parameters
    ----------
    x, y : one number a point, of any integer or float type (64-bit integers beyond 2^53 are rounded to float64,
        decimals are cast): NumPy arrays, contiguous or not, masked arrays, and anything Arrow (arrays, chunked arrays,
        Series of Polars or pandas) by protocol. Nulls are taken from the validity bitmap.
    shape : (ny, nx) cells.
    extent : (x0, x1, y0, y1); the cell is then (x1 - x0) / nx by (y1 - y0) / ny.
    cell : edge of a cell, or (width, height); the grid then starts at the extent's corner, or at (0, 0). Given both,
        they must agree. Given neither, a cell is 1 by 1.
    group : integer codes 0 .. n_groups - 1; the result is then (n_groups, ny, nx). A null code is invalid, any other
        code out of range is outside. Without `n_groups` it is the largest code + 1. Where the stack has far more cells
        than there are points, only the cells hit are kept: `sparse()` gives them, `values` makes the stack on asking.
    weight : what a point counts. Integers are added exactly. Floats need `weight_scale`: round(weight * weight_scale),
        half to even, is added, and values / weight_scale is the weight. Negative, NaN or infinite weights, and those
        above 2^53 once scaled, are invalid.
    valid : bool, one a point; false or null is invalid.
    backend : "auto" takes a GPU where the columns lie on it (CUDA array interface, DLPack, Arrow's device interface;
        all of them then, and they are not copied) or are long enough to be worth the copy; `meta` says why. "gpu" is an
        error where there is none. The integers are the same.
    threads : at most so many; default: HEATGRID_THREADS, else one per processor. The answer is the same for any.

    Returns
    -------
    Grid : int64 values, and `used`, `outside`, `invalid` points, which add up to the points given. A point belongs to
        cell floor((x - x0) / width), in float64; it is outside if that is not in [0, nx), so the right and bottom edges
        are outside. Null, NaN and infinite coordinates are invalid. `meta` says how it was counted and why.

    Raises
    ------
    UsageError : arguments that do not fit. LimitError : an answer beyond memory. DeviceError : no GPU.
    """
    there = devices.on_device(x, y, group, weight, valid)
    choice = devices.choose(backend, what="points", size=length_hint(x), least=devices.LEAST_POINTS, there=there)
    ny, nx = _shape(shape)
    box, (width, height) = _frame(ny, nx, extent, cell)
    count = thread_count(threads)
    arrays = {"x": x, "y": y, "group": group, "weight": weight, "valid": valid}
    held = device_bins.adopt(choice.device, arrays) if choice.device is not None and there else None
    read = column if held is None else held.column
    xs, ys = read("x", x), read("y", y)
    groups = None if group is None else read("group", group, "iu")
    n_groups = held.groups if held is not None and groups is not None and n_groups is None else n_groups
    weights = None if weight is None else read("weight", weight)
    masks = None if valid is None else read("valid", valid, "b")
    given = [c for c in (xs, ys, groups, weights, masks) if c is not None]
    _same_length(given)
    scale = _weight_scale(weights, weight_scale)
    stack = _group_count(groups, n_groups)
    _room(stack, ny, nx, grouped=groups is not None)

    whole = all(p.values.dtype.kind in "iu" for c in (xs, ys) for p in c.pieces)
    target = Target(make_axis(box[0], width, nx, whole), make_axis(box[2], height, ny, whole), stack, scale)
    free = available_bytes()
    limits = Limits(private_bytes=min(LARGEST_PRIVATE, free // 4), stack_bytes=free // 2)
    unit = "points" if weight is None else "weight" if scale is None else f"weight / {scale:g}"
    more: dict[str, object] = {} if weight is None else {"weight_scale": scale}
    dims = (stack, ny, nx) if groups is not None else (ny, nx)
    if groups is not None and is_sparse(target, len(xs), limits):
        choice = devices.few_points(choice, target.cells, len(xs))
    device = choice.device
    if device is not None:
        source = held or _spans(given, groups, weights, masks)
        try:
            done = device_bins.count_points(device, source, target)
        except OutOfMemory as error:
            choice = devices.no_room(choice, error)
        else:
            facts = (box, done.used, done.outside, done.invalid)
            meta = choice.meta | {"variant": done.variant} | more
            counts = done.values.reshape(dims)
            if done.on_device:
                return DeviceGrid(counts, device.download, *facts, unit=unit, meta=meta)
            return Grid(counts, *facts, unit=unit, meta=meta)
    spans = _spans(given, groups, weights, masks) if held is None else [held.span()]
    found = count_points(spans, target, count, limits)
    dtype = xs.pieces[0].values.dtype if xs.pieces else np.dtype(np.float32)
    meta = choice.meta | explain(found.choice, target, dtype) | more
    if not isinstance(found.values, np.ndarray):
        ledger = {"used": found.used, "outside": found.outside, "invalid": found.invalid}
        return GroupedGrid(found.values, (stack, ny, nx), box, **ledger, unit=unit, meta=meta)
    facts = (box, found.used, found.outside, found.invalid)
    return Grid(found.values.reshape(dims), *facts, unit=unit, meta=meta)


def smooth(
    values: object,
    sigma: float | Sequence[float],
    *,
    boundary: str = "constant",
    truncate: float | None = None,
    backend: str = "auto",
    out: npt.NDArray[Any] | None = None,
    threads: int | None = None,
) -> npt.NDArray[Any]:
    """Gaussian of `sigma` cells on the last two axes, of unit gain.

    Parameters
    ----------
    values : float32 or float64 (..., ny, nx), or a Grid; integers become float64, float16 float32.
    sigma : one number, or (sigma_y, sigma_x); 0 leaves an axis as it is.
    boundary : beyond the border lies "constant" 0 (outside a page there is nothing), "reflect" (d c b a | a b c d |
        d c b a) or "nearest" (a a a a | a b c d | d d d d).
    truncate : cut the filter at floor(truncate * sigma) cells. By default the form is chosen by what it costs: cut at
        5 sigma for a small sigma, recursive above (see engine/blur.py); either way the error is below 1e-5 of the
        result's largest value, measured against a float64 Gaussian cut at 8 sigma. The recursive form may leave that
        much, of either sign, where there is nothing; a cut asked for is exactly zero beyond it.
    out : float array of the result's shape and type to write into; may be `values` itself.
    backend, threads : as in `bin_points`. Any number of threads gives the same bits; a GPU is within 1e-5 of the peak.

    Returns
    -------
    float array of the shape of `values` (`out`, if given); for values on a GPU an array there. NaN and infinite values
    spread as far as the filter reaches, 5 sigma by default.

    Raises
    ------
    UsageError : arguments that do not fit. LimitError : a sigma beyond all use. DeviceError : no GPU.
    """
    there = devices.on_device(values)
    size = math.prod(getattr(values, "shape", ()))
    choice = devices.choose(backend, what="cells", size=size, least=devices.LEAST_CELLS, there=there)
    count = thread_count(threads)
    if boundary not in BOUNDARIES:
        raise UsageError(
            "unknown boundary", code="HG1421", where="boundary", value=boundary,
            expected="one of " + ", ".join(BOUNDARIES), hint=nearest(str(boundary), BOUNDARIES),
        )  # fmt: skip
    sigmas = _numbers("sigma", sigma, 2, "a number of cells >= 0, or (sigma_y, sigma_x)", least=0.0)
    cut = None if truncate is None else _numbers("truncate", truncate, 1, "a number of sigmas > 0", least=5e-324)[0]
    if max(sigmas) * (cut or CUT) > MOST_RADIUS:
        raise LimitError(
            "the filter is too wide", code="HG4421", where="sigma, truncate", value=(sigmas, cut or CUT),
            expected=f"truncate * sigma <= {MOST_RADIUS:,} cells", hint="bin into larger cells first",
        )  # fmt: skip
    both = (sigmas[0], sigmas[1])
    if there and choice.device is not None and out is None:
        try:
            smoothed: npt.NDArray[Any] = device_blur.smooth_held(choice.device, values, both, cut, boundary)
            return smoothed
        except OutOfMemory as error:
            values = choice.device.download(choice.device.adopt(values))
            choice = devices.no_room(choice, error)
    image = _image(values)
    result = _result(image, out)
    if not image.size:
        return result
    if choice.device is not None:
        try:
            device_blur.smooth_stack(choice.device, image, result, both, cut, boundary)
            return result
        except OutOfMemory as error:
            devices.no_room(choice, error)
    smooth_stack(image, result, both, cut, boundary, count)
    return result


def _numbers(where: str, value: object, n: int, expected: str, least: float) -> tuple[float, ...]:
    """n finite numbers >= least; one number stands for all."""
    pair = list(value) if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value) == 1 else [value] * n
    ok = len(pair) == n and all(
        isinstance(v, (int, float, np.integer, np.floating)) and not isinstance(v, bool) for v in pair
    )
    try:
        numbers = tuple(float(v) for v in pair) if ok else ()  # type: ignore[arg-type]
    except OverflowError:
        ok, numbers = False, ()
    if not ok or not all(math.isfinite(v) and v >= least for v in numbers):
        raise UsageError(
            f"{where} is not usable", code="HG1412", where=where, value=value, expected=expected,
        )  # fmt: skip
    return numbers


def _shape(shape: object) -> tuple[int, int]:
    pair = tuple(shape) if isinstance(shape, (tuple, list, np.ndarray)) else ()
    whole = len(pair) == 2 and all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in pair)
    if not whole or min(pair) < 1 or int(pair[0]) * int(pair[1]) >= MOST_CELLS:
        raise UsageError(
            "the grid has no cell, or too many", code="HG1413", where="shape", value=shape,
            expected=f"(ny, nx), whole numbers >= 1, fewer than {MOST_CELLS:,} cells in all",
            hint="larger cells, or a smaller extent",
        )  # fmt: skip
    return int(pair[0]), int(pair[1])


def _frame(ny: int, nx: int, extent: object, cell: object) -> tuple[Extent, tuple[float, float]]:
    """(x0, x1, y0, y1) and (width, height) of a cell."""
    sides = None if cell is None else _numbers("cell", cell, 2, "a number > 0, or (width, height)", least=5e-324)
    if extent is None:
        width, height = sides or (1.0, 1.0)
        box: Extent = (0.0, nx * width, 0.0, ny * height)
    else:
        given = _numbers("extent", extent, 4, "(x0, x1, y0, y1), all finite", least=-math.inf)
        box = (given[0], given[1], given[2], given[3])
        width, height = sides or ((box[1] - box[0]) / nx, (box[3] - box[2]) / ny)
    sound = box[0] < box[1] < math.inf and box[2] < box[3] < math.inf
    if not sound or not 0 < width < math.inf or not 0 < height < math.inf:
        raise UsageError(
            "the extent holds no cell", code="HG1414", where="extent", value=extent if extent is not None else cell,
            expected="x0 < x1 and y0 < y1, of finite size", hint="for example (0, 1440, 0, 4000)",
        )  # fmt: skip
    for name, start, stop, side, n in (("x", box[0], box[1], width, nx), ("y", box[2], box[3], height, ny)):
        if not math.isclose(start + n * side, stop, rel_tol=1e-9, abs_tol=1e-6 * side):
            raise UsageError(
                f"cell, shape and extent do not agree along {name}", code="HG1415", where="extent, cell",
                value=f"{n} cells of {side:g} from {start:g} end at {start + n * side:g}", expected=f"{stop:g}",
                hint="give the extent or the cell, not both",
            )  # fmt: skip
    return box, (width, height)


def _same_length(columns: list[Column]) -> None:
    if len({len(c) for c in columns}) > 1:
        raise UsageError(
            "the columns differ in length", code="HG1416", where=", ".join(c.name for c in columns),
            value=", ".join(f"{c.name}: {len(c):,}" for c in columns), expected="one value per point in each",
        )  # fmt: skip


def _weight_scale(weights: Column | None, scale: object) -> float | None:
    if scale is not None and weights is None:
        raise UsageError("weight_scale without weights", code="HG1417", where="weight_scale", value=scale,
                         expected="weight= as well")  # fmt: skip
    if scale is None:
        if weights is not None and any(p.values.dtype.kind == "f" for p in weights.pieces):
            raise UsageError(
                "float weights need a scale: sums are kept as integers", code="HG1418", where="weight",
                expected="integers, or weight_scale", hint="weight_scale=1000 keeps three decimals",
            )  # fmt: skip
        return None
    return _numbers("weight_scale", scale, 1, "a finite number > 0", least=5e-324)[0]


def _group_count(groups: Column | None, n_groups: object) -> int:
    if groups is None:
        if n_groups is not None:
            raise UsageError("n_groups without groups", code="HG1419", where="n_groups", value=n_groups,
                             expected="group= as well")  # fmt: skip
        return 1
    if n_groups is None:
        return max((_largest(piece) for piece in groups.pieces), default=0) + 1
    if isinstance(n_groups, bool) or not isinstance(n_groups, (int, np.integer)) or n_groups < 1:
        raise UsageError("the number of groups is not usable", code="HG1420", where="n_groups", value=n_groups,
                         expected="a whole number >= 1")  # fmt: skip
    return int(n_groups)


def _largest(piece: Piece) -> int:
    """The largest code of the valid rows, at least 0."""
    if piece.valid is None or not piece.values.size:
        return max(int(piece.values.max(initial=0)), 0)
    bits = piece.valid
    mask = bits.values
    if bits.offset >= 0:
        mask = np.unpackbits(bits.values, bitorder="little")[bits.offset :][: piece.values.shape[0]].view(np.bool_)
    return max(int(piece.values[mask].max(initial=0)), 0)


def _room(stack: int, ny: int, nx: int, *, grouped: bool) -> None:
    """Refused before anything is allocated. A stack needs no more than its points, so only its keys must fit."""
    free = available_bytes()
    if grouped:
        if stack * ny * nx > MOST_STACKED:
            raise LimitError(
                "the groups have too many cells to number", code="HG4402", where="shape, n_groups",
                value=f"{stack:,} grids of {ny} x {nx} cells", expected=f"at most {MOST_STACKED:,} cells",
                hint="larger cells, or a part of the groups at a time",
            )  # fmt: skip
    elif ny * nx * 8 > free:
        raise LimitError(
            "the grid does not fit", code="HG4402", where="shape",
            value=f"{ny} x {nx} cells, {ny * nx / 2**27:.1f} GiB", expected=f"{free / 2**30:.1f} GiB",
            hint="larger cells",
        )  # fmt: skip


def _spans(given: list[Column], groups: Column | None, weights: Column | None, masks: Column | None) -> list[Span]:
    """Rows of equal layout, with all that can make a row invalid as masks."""
    spans = []
    for pieces in align(given):
        named = dict(zip((c.name for c in given), pieces, strict=True))
        validity: list[Bits] = [piece.valid for piece in pieces if piece.valid is not None]
        span = Span(writable(named["x"].values), writable(named["y"].values))
        if groups is not None:
            span = replace(span, group=named["group"].values)
        if weights is not None:
            span = replace(span, weight=writable(named["weight"].values))
        if masks is not None:
            validity.append(Validity(named["valid"].values))
        spans.append(replace(span, masks=tuple(_writable_bits(v) for v in validity)))
    return spans


def _writable_bits(bits: Bits) -> Bits:
    return Validity(writable(bits.values), bits.offset)


def _image(values: object) -> npt.NDArray[Any]:
    if devices.on_device(values) and not hasattr(values, "__array__"):
        raise devices.not_here("values", values)
    image = np.asarray(values)
    if image.dtype.kind in "iub":
        image = image.astype(np.float64)
    elif image.dtype == np.float16:
        image = image.astype(np.float32)
    if image.dtype.newbyteorder("=") not in (np.dtype(np.float32), np.dtype(np.float64)) or image.ndim < 2:
        raise UsageError(
            "this cannot be smoothed", code="HG1422", where="values", value=f"{image.dtype} of shape {image.shape}",
            expected="numbers of shape (..., ny, nx)",
        )  # fmt: skip
    return writable(np.require(image, dtype=image.dtype.newbyteorder("="), requirements=("C", "A")))


def _result(image: npt.NDArray[Any], out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if out is None:
        return np.empty_like(image)
    fits = isinstance(out, np.ndarray) and out.shape == image.shape and out.dtype == image.dtype
    if not fits or not out.flags.c_contiguous or not out.flags.writeable:
        raise UsageError(
            "out does not fit the result", code="HG1423", where="out",
            value=f"{getattr(out, 'dtype', type(out).__name__)} of shape {getattr(out, 'shape', None)}",
            expected=f"a writable contiguous {image.dtype} array of shape {image.shape}",
        )  # fmt: skip
    return out
