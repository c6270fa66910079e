"""Gaussian smoothing of a stack of grids: which form for which axis, bands and strips, threads."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heatgrid.cpu import recursive, smooth
from heatgrid.cpu.vectors import LINE
from heatgrid.engine.gauss import CUT, border, outside, pairs_of, radius_of, taps_of
from heatgrid.engine.pool import each

if TYPE_CHECKING:
    from heatgrid.engine.gauss import Array

MOST_RADIUS = 1 << 20
MOST_TAPS = 30
"""Direct up to so many taps on a side, recursive above. Two threads, float32: at 1920 x 1080 the recursive form takes
2.8 ms for any sigma and the direct one 2.7 at 20 taps, 3.9 at 30 and 4.6 at 40; at 1920 x 10000, which must pass
through memory twice for it, 29 - 34 ms against 16, 22 and 34. Float64 crosses at 20 and 25."""
MOST_SIGMA_32 = 200.0
"""Above it float32 images are filtered recursively in float64: rounding then adds more than 2e-6 an axis (4e-6 at 400,
1.7e-5 at 1600, on a step of 1 % of the level)."""
STEPS = 2
"""Steps of rows that the panels hold beside the filter's reach, before what is kept is moved to their start."""
CELLS_OF_THREAD = 1 << 18
"""Cells for which a thread is worth starting: they take 0.4 ms, and to start one takes 0.1 to 0.2."""
BANDS = 2
"""Bands a thread, so that none waits long for the last."""
WIDE = 8
"""Vectors of columns side by side in a strip: 512 bytes of each row."""
HALF_BYTES = 8 << 20
"""What the way forth may leave behind for the way back, a strip; fewer columns side by side where it would be more."""


class Axis(NamedTuple):
    """One axis of the images and its filter."""

    n: int
    sigma: float
    boundary: str
    truncate: float | None

    def taps(self, dtype: Any) -> Array:
        cut = CUT if self.truncate is None else self.truncate
        return taps_of(self.sigma, radius_of(self.sigma, cut), self.n, self.boundary, dtype)

    def is_recursive(self, most: int = MOST_TAPS) -> bool:
        """A cut asked for can only be made directly. most: taps on a side that still are."""
        return self.truncate is None and min(radius_of(self.sigma, CUT), self.n) > most


def smooth_stack(
    values: Array, out: Array, sigmas: tuple[float, float], truncate: float | None, boundary: str, threads: int
) -> None:
    """out = values smoothed along the last two axes; both contiguous, of one type. `out` may be `values`.

    A filter of the two axes that is recursive runs first, along the rows and then down the columns in place; direct
    ones follow in one go.
    """
    ny, nx = values.shape[-2:]
    threads = max(1, min(threads, values.size // CELLS_OF_THREAD))
    down, along = (Axis(n, s, boundary, truncate) for n, s in zip((ny, nx), sigmas, strict=True))
    if values.dtype == np.float32 and any(a.is_recursive() and a.sigma > MOST_SIGMA_32 for a in (down, along)):
        exact = values.astype(np.float64)
        smooth_stack(exact, exact, sigmas, truncate, boundary, threads)
        out[...] = exact
        return
    if np.may_share_memory(values, out) and values.ctypes.data != out.ctypes.data:
        values = values.copy()
    sources, results = values.reshape(-1, ny * nx), out.reshape(-1, ny * nx)
    if along.is_recursive():
        _recursive_along(sources, results, down, along, threads)
        sources = results
    if down.is_recursive():
        _recursive_down(sources, results, down, along, threads)
        sources = results
    if not (along.is_recursive() and down.is_recursive()):
        down, along = (a._replace(sigma=0.0) if a.is_recursive() else a for a in (down, along))
        _direct(sources, results, down, along, threads)


def _direct(sources: Array, results: Array, down: Axis, along: Axis, threads: int) -> None:
    """Bands of rows. In place, each has copies of the rows that its neighbours overwrite before it needs them."""
    dtype = sources.dtype
    lanes = LINE // dtype.itemsize
    ny, nx = down.n, along.n
    taps_down, taps_along = down.taps(dtype), along.taps(dtype)
    reach, side = len(taps_down) - 1, len(taps_along) - 1
    rows, columns = border(ny, reach, down.boundary), border(nx, side, along.boundary)
    tops = _bands(ny, max(lanes, 2 * reach), lanes, -(-BANDS * threads // len(sources)) if threads > 1 else 1)
    here = sources.ctypes.data == results.ctypes.data
    bands = []
    for source, result in zip(sources, results, strict=True):
        for top, bottom in itertools.pairwise((*tops, ny)):
            above, below = source[max(top - reach, 0) * nx : top * nx], source[bottom * nx : (bottom + reach) * nx]
            if here:
                above, below = above.copy(), below.copy()
            bands.append((source, above, below, result, top, bottom))
    wide = -(-nx // lanes)
    room = min(2 * reach + (1 + STEPS) * lanes, 2 * reach + ny + 2 * lanes)
    sizes = (wide * lanes + 2 * side) * lanes, lanes * lanes, wide * room * lanes

    def work(todo: Iterable[Any], lines: Array, block: Array, panels: Array) -> None:
        for source, above, below, result, top, bottom in todo:
            smooth.direct_band(
                source, above, below, result, nx, top, bottom, rows, columns, taps_down, taps_along,
                lines, block, panels,
            )  # fmt: skip

    _share(bands, threads, work, sizes, dtype)


def _recursive_along(sources: Array, results: Array, down: Axis, along: Axis, threads: int) -> None:
    """As many rows at a time as a vector has lanes."""
    dtype = sources.dtype
    lanes = LINE // dtype.itemsize
    ny, nx = down.n, along.n
    before, behind, edges = outside(nx, along.sigma, along.boundary)
    pairs = pairs_of(along.sigma, dtype)
    columns = np.arange(nx)
    groups = [(s, r, top) for s, r in zip(sources, results, strict=True) for top in range(0, ny, lanes)]

    sizes = recursive.STATES * lanes, nx * lanes, nx * lanes

    def work(todo: Iterable[Any], state: Array, half: Array, lines: Array) -> None:
        for source, result, top in todo:
            tall = min(lanes, ny - top)
            if not recursive.recursive_rows(
                source, top, tall, nx, columns, edges, before, behind, pairs, state, half, lines, result
            ):
                part = source.reshape(ny, nx)[top : top + tall]
                result.reshape(ny, nx)[top : top + tall] = _directly(part, Axis(tall, 0.0, "constant", None), along)

    _share(groups, threads, work, sizes, dtype)


def _recursive_down(sources: Array, results: Array, down: Axis, along: Axis, threads: int) -> None:
    """Strips of columns."""
    dtype = sources.dtype
    lanes = LINE // dtype.itemsize
    ny, nx = down.n, along.n
    before, behind, edges = outside(ny, down.sigma, down.boundary)
    pairs = pairs_of(down.sigma, dtype)
    wide = max(1, min(WIDE, HALF_BYTES // (ny * LINE)))
    whole = nx // lanes * lanes
    lefts = [*range(0, whole, wide * lanes), *([whole] if whole < nx else [])]
    strips = [(s, r, left) for s, r in zip(sources, results, strict=True) for left in lefts]

    sizes = wide * recursive.STATES * lanes, wide * ny * lanes, ny * lanes if whole < nx else 0

    def work(todo: Iterable[Any], state: Array, half: Array, lines: Array) -> None:
        for source, result, left in todo:
            right = min(left + wide * lanes, whole) if left < whole else nx
            if left < whole:
                finite = recursive.recursive_strip(
                    source, left, nx, ny, (right - left) // lanes, edges, before, behind, pairs, state, half,
                    result, left, nx,
                )  # fmt: skip
            else:
                finite = recursive.recursive_columns(
                    source, left, right - left, nx, ny, edges, before, behind, pairs, state, half, lines,
                    result,
                )  # fmt: skip
            if not finite:
                part = np.ascontiguousarray(source.reshape(ny, nx)[:, left:right])
                still = Axis(right - left, 0.0, "constant", None)
                result.reshape(ny, nx)[:, left:right] = _directly(part, down, still)

    _share(strips, threads, work, sizes, dtype)


def _directly(part: Array, down: Axis, along: Axis) -> Array:
    """NaN and infinite values must not spread beyond the filter, so what holds them is filtered directly."""
    out = np.empty_like(part)
    _direct(part.reshape(1, -1), out.reshape(1, -1), down, along, 1)
    return out


def _bands(n: int, least: int, lanes: int, most: int) -> list[int]:
    """Where up to `most` bands of n rows begin, each of whole steps and of `least` rows or more."""
    height = max(-(-n // most), least)
    height = -(-height // lanes) * lanes
    tops = list(range(0, n, height))
    return tops[:-1] if len(tops) > 1 and n - tops[-1] < least else tops


def _share(tasks: Iterable[Any], threads: int, work: Callable[..., None], sizes: tuple[int, ...], dtype: Any) -> None:
    """Workers take tasks from one list until it is empty, each with rooms of `sizes` for all of them."""
    todo = deque(tasks)
    threads = min(threads, len(todo))
    rooms = [[_space(size, dtype) for size in sizes] for _ in range(threads)]
    each(threads, lambda k: work(_taken(todo), *rooms[k]))


def _space(size: int, dtype: Any) -> Array:
    """Numbers from the start of a cache line on: vectors across two lines load at half the speed."""
    space = np.empty(size * dtype.itemsize + LINE, np.uint8)
    first = -space.ctypes.data % LINE
    return space[first : first + size * dtype.itemsize].view(dtype)


def _taken(todo: deque[Any]) -> Iterable[Any]:
    while True:
        try:
            yield todo.popleft()
        except IndexError:
            return
