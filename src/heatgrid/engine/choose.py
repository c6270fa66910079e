"""Which way of binning: from a sample of the points, the caches of this machine and the memory allowed.

The answer is the same whatever is chosen; the reasons are kept with it (`Grid.meta["why"]`, `heatgrid doctor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.cpu import bin as leaves
from heatgrid.cpu import parts, place
from heatgrid.cpu.bin import COPIES
from heatgrid.engine.room import Caches, caches
from heatgrid.engine.spans import FORMS, Span, Target, form_of, load, scratch
from heatgrid.words.errors import LimitError

if TYPE_CHECKING:
    import numpy.typing as npt

WINDOWS = 8
WINDOW = 2048
HOT = 0.25
"""The share of points in the cell of one of the two before them from which a cell is hot."""
FEW_MISSES = 0.4
"""Expected misses a point up to which a private grid beyond the cache beats a partition (1920 x 10000 cells: 1.4 ns
against 2.1 at 0.3, 4.7 against 2.2 at 0.95)."""
FEW_LINES = 0.01
"""The same share up to which so few lines are in use that 32-bit counters are as near as bytes, and cheaper."""
IN_CACHE = 2
"""Grids of so many times L2 are still counted in private: half of the accesses hit."""
LARGEST_PRIVATE = 1 << 30
LARGEST_RUN = 1 << 18
SMALLEST_RUN = 1 << 16
SPARSE_FROM = 1 << 24
"""Cells of a stack up to which it is dense whatever its number of points."""
MOST_DENSE = 2**31 - 64
"""Cells of a stack that 32 bits number with room for what has no cell."""
MOST_PARTED = 1 << 31
"""Points of which 32 bits number the entries of a partition."""
MOST_ROUNDS = 8
FEW_POINTS = 2048
"""Cells a point from which sorting the points beats going through the cells."""
VARIANTS = ("direct", "private", "parts", "rows", "weighed", "sparse", "sorted")


@dataclass(frozen=True)
class Limits:
    """What a call may take; tests force every path with it."""

    private_bytes: int = LARGEST_PRIVATE
    stack_bytes: int = 1 << 40
    """For a stack of maps and what makes it."""
    run: int | None = None
    variant: str | None = None
    wide: bool | None = None
    copies: int | None = None
    far: bool | None = None
    form: int | None = None
    round_cells: int = 1 << 30
    """Cells that one round of a partition covers."""


@dataclass(frozen=True)
class Choice:
    variant: str
    threads: int
    wide: bool = False
    """Counters of 32 bits; else bytes."""
    copies: int = 1
    far: bool = False
    run: int = SMALLEST_RUN
    form: int | None = None
    """A form of cell.py forced by a test; else each block's own."""
    rounds: int = 1
    why: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        if self.variant != "private":
            return f"{self.variant} x{self.threads}"
        more = (f", {self.copies} copies" if self.copies > 1 else "") + (", ahead" if self.far else "")
        return f"private {'uint32' if self.wide else 'bytes'} x{self.threads}{more}"


@dataclass(frozen=True)
class Sample:
    """Of up to 16,384 points: the share that repeats a cell at once, and the share whose 64 cells nobody else is in."""

    hot: float
    alone: float


FORCED: Limits | None = None
"""Set by tests: what every call is forced to, where it can be."""


def choose(spans: Sequence[Span], target: Target, threads: int, limits: Limits) -> Choice:
    """The variant for these points. A forced one that cannot do the work is passed over."""
    points = sum(span.x.shape[0] for span in spans)
    weighted = any(span.weight is not None for span in spans)
    grouped = any(span.group is not None for span in spans)
    if limits.run is None:
        threads = max(1, min(threads, points // SMALLEST_RUN))
    run = limits.run or min(max(points // (threads * 8), SMALLEST_RUN), LARGEST_RUN)
    base = Choice("direct", threads, run=run, form=limits.form)
    variant = limits.variant
    if variant in _possible(target, weighted, grouped):
        base = replace(base, variant=str(variant), why=("asked for",))
        if variant == "direct":
            return replace(base, threads=1)
        if variant == "sparse":
            return replace(base, rounds=_rounds(target, limits))
        return _private(base, limits) if variant == "private" else base
    if grouped and is_sparse(target, points, limits):
        return _sparse(base, target, points, weighted, limits)
    return _dense(base, spans, target, points, weighted, limits)


def _possible(target: Target, weighted: bool, grouped: bool) -> tuple[str, ...]:
    if weighted:
        own = ("direct", "rows", "weighed") if target.cells <= MOST_DENSE else ()
        return (*own, "sorted") if grouped else own
    dense = ("direct", "private", "parts", "rows", "weighed")
    if not grouped:
        return dense
    return (*dense, "sparse", "sorted") if target.cells <= MOST_DENSE else ("sparse", "sorted")


def is_sparse(target: Target, points: int, limits: Limits) -> bool:
    """Whether of a stack only the cells hit are kept."""
    too_large = target.cells > MOST_DENSE or target.cells * 8 > limits.stack_bytes
    return too_large or target.cells > max(SPARSE_FROM, 2 * points)


def _rounds(target: Target, limits: Limits) -> int:
    return -(-target.groups // max(1, limits.round_cells // target.cells_of_map))


def _sparse(base: Choice, target: Target, points: int, weighted: bool, limits: Limits) -> Choice:
    rounds = _rounds(target, limits)
    why = f"{target.cells:,} cells for {points:,} points: only those hit are kept"
    for reason, holds in (
        ("weights", weighted),
        ("too many cells to go through", rounds > MOST_ROUNDS),
        ("few points", points * FEW_POINTS < target.cells),
        ("too many points for a partition", points > MOST_PARTED),
    ):
        if holds:
            _fits(points * 24, limits)
            return replace(base, variant="sorted", threads=1, why=(why, reason))
    parts_bytes = _parts_bytes(min(target.cells, limits.round_cells), points, base.threads)
    _fits(parts_bytes + points * 4, limits)
    return replace(base, variant="sparse", rounds=rounds, why=(why, f"{rounds} round{'s' * (rounds > 1)}"))


def _parts_bytes(cells: int, points: int, threads: int) -> int:
    return threads * 2 * (points + (cells // parts.PART + 2) * parts.BLOCK)


def _fits(needed: int, limits: Limits) -> None:
    if needed > limits.stack_bytes:
        raise LimitError(
            "these groups need more memory than there is", code="HG4403", where="group",
            value=f"{needed / 2**30:.1f} GiB", expected=f"at most {limits.stack_bytes / 2**30:.1f} GiB",
            hint="fewer points a call; the sparse cells of several calls can be added",
        )  # fmt: skip


def _dense(base: Choice, spans: Sequence[Span], target: Target, points: int, weighted: bool, limits: Limits) -> Choice:
    cells, threads = target.cells, base.threads
    if points * 8 < cells:
        return replace(base, variant="direct", threads=1, why=(f"{points:,} points for {cells:,} cells",))
    private_bytes = cells * (8 if weighted else 1) * threads
    if weighted:
        if private_bytes <= limits.private_bytes:
            return replace(base, variant="weighed", why=("weights",))
        return replace(base, variant="rows", why=("weights; a grid for each thread does not fit",))
    here = caches()
    seen = look(spans, target, points)
    why = (
        f"{cells:,} cells, L2 {here.l2 >> 10:,} KiB", f"{seen.alone:.0%} of a sample alone in their line",
        f"{seen.hot:.0%} repeat a cell",
    )  # fmt: skip
    base = replace(base, why=why)
    fits = private_bytes <= limits.private_bytes
    if fits and (cells <= IN_CACHE * here.l2 or seen.alone <= FEW_MISSES):
        return _private(base, limits, seen, target, points, here)
    if points <= MOST_PARTED and _parts_bytes(cells, points, threads) <= limits.private_bytes:
        return replace(base, variant="parts")
    if fits:
        return _private(replace(base, why=(*why, "a partition does not fit")), limits, seen, target, points, here)
    return replace(base, variant="rows", why=(*why, "private grids do not fit"))


def _private(
    base: Choice,
    limits: Limits,
    seen: Sample | None = None,
    target: Target | None = None,
    points: int = 0,
    here: Caches | None = None,
) -> Choice:
    wide, copies, far = False, 1, False
    if seen is not None and target is not None and here is not None:
        bytes_wide = 4 * target.cells * base.threads
        hot = seen.hot > HOT and COPIES * bytes_wide <= min(20 * points, limits.private_bytes)
        few = seen.alone <= FEW_LINES and bytes_wide <= min(points, limits.private_bytes)
        wide = hot or few or bytes_wide <= here.l2 // 2
        copies = COPIES if hot else 1
        far = target.cells > IN_CACHE * here.l2 and seen.alone > FEW_LINES
    wide = wide if limits.wide is None else limits.wide
    copies = copies if limits.copies is None else limits.copies
    far = far if limits.far is None else limits.far
    return replace(base, variant="private", wide=wide, copies=copies if wide else 1, far=far and not wide)


def look(spans: Sequence[Span], target: Target, points: int) -> Sample:
    """From windows of rows spread over the input. By Good and Turing, the share of points alone in their line is that
    of the next points that would fall where none of so many before fell: about the misses of a cache of as many lines.
    The windows by themselves are looked at too: where the input is sorted, its neighbours share lines."""
    windows = min(WINDOWS, max(1, points // (WINDOW * 8)))
    own = scratch(WINDOW)
    sink = np.uint32(min(target.cells, 2**32 - 1 - place.SPREAD))
    same = rows = 0
    alone_here: list[float] = []
    lines = []
    for k in range(windows):
        span, start = _row(spans, points * k // windows)
        stop = min(start + WINDOW, span.x.shape[0])
        if stop == start:
            continue
        block = load(replace(span, weight=None, masks=()), start, stop, target)
        out = own.cells[: stop - start]
        same += int(leaves.sample(block.x, block.y, block.group, target.ax, target.ay, target.groups, sink, out))
        rows += len(out)
        line = out[out < sink] >> 6
        lines.append(line.copy())
        alone_here.append(_alone(line))
    if not rows:
        return Sample(0.0, 0.0)
    return Sample(same / rows, min(_alone(np.concatenate(lines)), max(alone_here)))


def _alone(lines: npt.NDArray[Any]) -> float:
    if not lines.size:
        return 0.0
    ordered = np.sort(lines)
    new = np.concatenate(([0], np.flatnonzero(np.diff(ordered)) + 1, [ordered.size]))
    return float(np.count_nonzero(np.diff(new) == 1)) / lines.size


def _row(spans: Sequence[Span], row: int) -> tuple[Span, int]:
    for span in spans:
        if row < span.x.shape[0]:
            return span, row & ~7
        row -= span.x.shape[0]
    return spans[-1], 0


def explain(choice: Choice, target: Target, dtype: np.dtype[np.generic]) -> dict[str, str]:
    """What was chosen and why, in words."""
    form = form_of(target, dtype) if choice.form is None else choice.form
    return {"variant": choice.name, "cells_by": FORMS[form], "why": "; ".join(choice.why)}


def machine() -> dict[str, str]:
    """The facts that the choice rests on, for `heatgrid doctor`."""
    here = caches()
    return {
        "L2": f"{here.l2 >> 10:,} KiB",
        "L3": f"{here.l3 >> 10:,} KiB" if here.l3 else "unknown",
        "caches from": here.origin,
        "private grids": f"up to {IN_CACHE * here.l2:,} cells, or {FEW_MISSES:.0%} misses",
        "parts": f"of {parts.PART:,} cells",
    }
