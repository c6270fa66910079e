"""A grid as levels of a colour table: which part is drawn, how large a block is, what a colour stands for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heatgrid.outputs.grid import Grid
from heatgrid.words.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    Levels = npt.NDArray[np.uint8]

SCALES = ("log", "linear", "eq")
FAINTEST = 1e-5
"""Of the largest value: the error of smoothing, which may be of either sign where there is nothing."""
TALLEST = 20_000.0
"""A page drawn whole is at most this high or wide (px); a longer one is cut where all but 0.5 % of the points lie."""
SPARSE, LEAST, LEAST_SPARSE = 500, 3, 5
"""Pixels a block is wide at least, so that a single click can be seen; more where there are few points."""
Smoother = Callable[["Values", float | tuple[float, float]], "npt.NDArray[np.floating]"]


@dataclass
class Plot:
    """Levels 0 (nothing) to 255 (``vmax`` and above) by drawn block.

    extent : (x0, x1, y0, y1) drawn, in px of the page.
    block : px of the page (width, height) that one level stands for.
    ticks : (position 0..1 on the colour bar, label).
    notes : what the reader must know: blocks summed, parts cut, values above vmax.
    """

    levels: Levels
    extent: tuple[float, float, float, float]
    block: tuple[float, float]
    unit: str
    ticks: list[tuple[float, str]]
    vmax: float
    scale: str
    smoothed: bool
    notes: list[str] = field(default_factory=list)


def plot(
    grid: Grid,
    *,
    scale: str = "log",
    vmax: float | None = None,
    smooth: Smoother | None = None,
    sigma: float | None = None,
    extent: tuple[float, float, float, float] | None = None,
    room: tuple[int, int] = (760, 1800),
    least: int | None = None,
) -> Plot:
    """Levels of a single grid for ``room`` pixels (wide, high).

    ``vmax`` fixes what the brightest colour means (not with ``eq``, whose colours are ranks within one map);
    ``extent`` fixes what is drawn, else the occupied part is. ``smooth(values, sigma in cells)`` runs before blocks
    are summed. ``least`` is how many cells a block is wide at least, whatever the counts.
    """
    import numpy as np

    if grid.values.ndim != 2:
        raise UsageError(
            "a picture shows one grid", code="HG1311", where="grid", value=f"{grid.values.ndim} axes",
            expected="values of shape (ny, nx)", hint="draw grid.values[i] as a Grid of its own",
        )  # fmt: skip
    check_levels(scale, vmax, sigma)
    if sigma and smooth is None:
        raise UsageError("sigma needs a smoother", code="HG1314", where="smooth", expected="heatgrid.smooth")
    notes: list[str] = []
    cell = grid.cell
    (ix0, ix1, iy0, iy1), cut = _window(grid, extent)
    values = grid.values[iy0:iy1, ix0:ix1].astype(np.float64)
    if smooth is not None and sigma:
        cells = sigma / cell[0] if cell[0] == cell[1] else (sigma / cell[1], sigma / cell[0])
        values = np.asarray(smooth(values, cells), np.float64)
        values = np.where(values > FAINTEST * values.max(initial=0), values, 0.0)
        notes.append(f"smoothed by a Gaussian of sigma {sigma:g} px")
    few = vmax is None and least is None and values.sum() < SPARSE  # with a vmax blocks must not depend on counts
    pixels = 1 if sigma else LEAST_SPARSE if few else LEAST
    bx, by = (max(least or 1, math.ceil(n * pixels / limit)) for n, limit in zip(values.shape[::-1], room, strict=True))
    if cell[0] == cell[1]:
        bx = by = max(bx, by)
    values = _blocks(values, bx, by)
    block = (cell[0] * bx, cell[1] * by)
    if bx > 1 or by > 1:
        notes.append(f"drawn in blocks of {bx} x {by} cells, their counts summed")
    if cut:
        notes.append(f"{cut:,} {grid.unit} lie outside the part drawn")
    top = float(values.max(initial=0))
    limit = float(vmax) if vmax is not None else max(top, 1e-12 if sigma else 1.0)
    side = _side(limit, block) if sigma else None
    times = side * side / (block[0] * block[1]) if side else 1.0
    over = int((values > limit).sum())
    if over:
        notes.append(f"{over:,} blocks are above the top of the scale, {_number(limit * times)}")
    levels, ticks = _levels(values, scale, limit, raw=not sigma, times=times)
    if over:
        ticks[-1] = (ticks[-1][0], ticks[-1][1] + "+")
    x0, y0 = grid.extent[0] + ix0 * cell[0], grid.extent[2] + iy0 * cell[1]
    drawn = (x0, x0 + values.shape[1] * block[0], y0, y0 + values.shape[0] * block[1])
    unit = f"{grid.unit} in {block[0]:g} x {block[1]:g} px"
    if side:
        unit = f"{grid.unit} for each {side:,.0f} x {side:,.0f} px, smoothed"
    return Plot(levels, drawn, block, unit, ticks, limit, scale, bool(sigma), notes)


def _side(limit: float, block: tuple[float, float]) -> float:
    """Edge in px of the square that a smoothed map's legend counts for: with 0.57 clicks nobody can do anything."""
    density = limit / (block[0] * block[1])
    return next((side for side in (10.0, 100.0, 1000.0) if density * side * side >= 10), 1000.0)


def check_levels(scale: str, vmax: float | None, sigma: float | None) -> None:
    """What can be said of a scale before there is a map. Raises UsageError HG1312 (scale), HG1313, HG1314."""
    if scale not in SCALES:
        raise UsageError(
            "unknown scale", code="HG1312", where="scale", value=scale, expected="one of " + ", ".join(SCALES),
            hint=nearest(scale, SCALES),
        )  # fmt: skip
    if vmax is not None and not (math.isfinite(vmax) and vmax > 0):
        raise UsageError("vmax is not usable", code="HG1313", where="vmax", value=vmax, expected="a number > 0")
    if vmax is not None and scale == "eq":
        raise UsageError(
            "an equalised scale has no vmax: its colours are ranks within one map", code="HG1313", where="vmax",
            value=vmax, hint="scale log or linear, to compare pictures",
        )  # fmt: skip
    if sigma is not None and not (math.isfinite(sigma) and sigma >= 0):
        raise UsageError("sigma is not usable", code="HG1314", where="sigma", value=sigma, expected="px >= 0")


def _window(grid: Grid, extent: tuple[float, float, float, float] | None) -> tuple[tuple[int, int, int, int], int]:
    """Cells (ix0, ix1, iy0, iy1) to draw, and the points left out by it."""
    ny, nx = grid.shape
    width, height = grid.cell
    x0, _, y0, _ = grid.extent
    if extent is not None:
        ix0, ix1 = (min(max(f((v - x0) / width), 0), nx) for f, v in ((math.floor, extent[0]), (math.ceil, extent[1])))
        iy0, iy1 = (min(max(f((v - y0) / height), 0), ny) for f, v in ((math.floor, extent[2]), (math.ceil, extent[3])))
        if ix0 >= ix1 or iy0 >= iy1:
            raise UsageError(
                "the part to draw lies outside the map", code="HG1315", where="extent", value=extent,
                expected=f"within {grid.extent}",
            )  # fmt: skip
        window = ix0, ix1, iy0, iy1
    elif (x0, y0) != (0.0, 0.0):
        window = 0, nx, 0, ny
    else:
        least_x, least_y = _seen(grid, "viewport_w") / width, _seen(grid, "page_h") / height
        window = (
            0, _reach(grid.values.sum(axis=0), least_x, TALLEST / width),
            0, _reach(grid.values.sum(axis=1), least_y, TALLEST / height),
        )  # fmt: skip
    ix0, ix1, iy0, iy1 = window
    return window, int(grid.values.sum() - grid.values[iy0:iy1, ix0:ix1].sum())


def _seen(grid: Grid, name: str) -> float:
    value = grid.meta.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _reach(counts: npt.NDArray[np.int64], least: float, most: float) -> int:
    """Cells from the edge to the last occupied one, and up to a tenth more where ``least`` (the window) reaches on;
    beyond ``most``, to 99.5 % of the counts."""
    import numpy as np

    occupied = np.flatnonzero(counts)
    last = int(occupied[-1]) + 1 if occupied.size else 1
    if last > most:
        sums = np.cumsum(counts)
        last = int(np.searchsorted(sums, 0.995 * sums[-1])) + 1
    return min(max(last, min(math.ceil(min(least, most)), math.ceil(1.1 * last))), len(counts))


def _blocks(values: npt.NDArray[np.float64], bx: int, by: int) -> npt.NDArray[np.float64]:
    """Sums of by x bx cells; the last blocks may be filled up with zeros."""
    import numpy as np

    if bx == by == 1:
        return values
    ny, nx = values.shape
    padded = np.pad(values, ((0, -ny % by), (0, -nx % bx)))
    sums: npt.NDArray[np.float64] = padded.reshape(padded.shape[0] // by, by, padded.shape[1] // bx, bx).sum((1, 3))
    return sums


def _levels(
    values: Values, scale: str, vmax: float, raw: bool, times: float = 1.0
) -> tuple[Levels, list[tuple[float, str]]]:
    """Levels, and ticks in units of ``times`` the values; counts have whole ones."""
    import numpy as np

    if scale == "eq":
        found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        counts = np.where(found > 0, counts, 0)
        shares = np.cumsum(counts) / max(1, counts.sum())
        levels = np.where(found > 0, np.maximum(1, np.rint(255 * shares)), 0)[inverse.reshape(values.shape)]
        hits = found[found > 0]
        at = [q for q in (0.25, 0.5, 0.75, 1.0) if hits.size]
        hit = [float(found[min(int(np.searchsorted(shares, q - 1e-12)), len(found) - 1)]) for q in at]
        ticks = [(q, _number(value * times)) for q, value in zip(at, hit, strict=True)]
        told = {label: (q, label) for q, label in ticks}
        return levels.astype(np.uint8), _apart(list(told.values())) or [(1.0, "0")]
    part = np.log1p(values) / math.log1p(vmax) if scale == "log" else values / vmax
    levels = np.rint(255 * np.clip(part, 0.0, 1.0))
    if raw:
        levels = np.where(values > 0, np.maximum(levels, 1), 0)
    return levels.astype(np.uint8), (_log_ticks(vmax, times) if scale == "log" else _linear_ticks(vmax, times))


def _log_ticks(vmax: float, times: float) -> list[tuple[float, str]]:
    top = vmax * times
    decades = [10.0**e for e in range(16) if 10.0**e < top]
    if len(decades) < 3:
        decades = sorted([*decades, *(d * m for d in decades for m in (2, 5) if d * m < top)])
    marks = [*decades, top] if top >= 1 else [top]
    return _apart([(math.log1p(m / times) / math.log1p(vmax), _number(m)) for m in marks])


def _linear_ticks(vmax: float, times: float) -> list[tuple[float, str]]:
    top = vmax * times
    step = max(1.0, nice_step(top, 4)) if top >= 1 else nice_step(top, 4)  # there is no half click
    marks = [step * i for i in range(1, 50) if step * i < top - step * 1e-6]
    return _apart([*((m / top, _number(m)) for m in marks), (1.0, _number(top))])


def nice_step(span: float, parts: int) -> float:
    """1, 2 or 5 times a power of ten, so that ``span`` has about ``parts`` steps."""
    raw = span / parts
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Without the ticks whose labels would touch; the last always stays."""
    kept: list[tuple[float, str]] = []
    for tick in reversed(ticks):
        if not kept or kept[-1][0] - tick[0] >= 0.13:
            kept.append(tick)
    return kept[::-1]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
