"""Counting points per cell: the second phase of binning, a scatter of a run's cells (place.py) into the counters.

While a run is scattered the next one's coordinates are asked for, a line each 16 points: memory otherwise idles until
the scatter is over (256 x 256 cells: 0.62 ns a point instead of 0.96 with two threads, the read alone 0.29).

Private counters are `wide`, uint32, where few of them are in use, and else bytes: a grid of bytes stays in a cache
four times smaller (1920 x 1080 cells: 1.3 ns against 2.3). A full byte starts again at 1 and its cell is noted in a
list, each note worth FULL: there are at most points / FULL of them. (A grid of wider counters behind the bytes cost
as much as the bytes, 2.5 ns instead of 1.4 for 1920 x 10000 cells: the system clears a page of it for every hot cell.)
So a byte is 0 only where nothing was counted.

wide : uint32 (stride * copies,), the copies of a cell side by side, or of length 0. stride: cells and then sinks, up to
a multiple of STRETCH.
counts : uint8 (stride,), or of length 0.
notes : uint32, the number of notes and then the notes; longer than points / FULL + 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from heatgrid.cpu.intrinsics import prefetch, prefetch_once
from heatgrid.cpu.jit import fused, tight
from heatgrid.cpu.place import add_groups, by_quotient, cells, divide_at_once

FULL = 255
STRETCH = 4096
COPIES = 4
"""Of a cell, where a hot one waits for the addition before; neighbouring points take them in turn."""
AHEAD = 96
STEP = 16


@fused
def tick(counts: Any, notes: Any, c: Any) -> None:
    """Add 1 to the byte of cell c."""
    n = np.uint8(counts[c] + np.uint8(1))
    if n == 0:
        n = np.uint8(1)
        k = np.uint32(notes[0] + np.uint32(1))
        notes[0] = k
        notes[k] = c
    counts[c] = n


class Later(NamedTuple):
    """Where the next run's coordinates begin, as addresses: the scatter does not depend on their type."""

    x: Any
    y: Any
    size: Any


@tight
def later_at(x: Any, y: Any, row: Any) -> Any:
    size = np.int64(x.itemsize)
    at = np.int64(row) * size
    return Later(np.int64(x.ctypes.data) + at, np.int64(y.ctypes.data) + at, size)


@tight
def fetch(later: Any, s: Any) -> None:
    """Ask for 16 points from the later run's point s on."""
    at = s * later.size
    prefetch_once(np.uint64(later.x + at))
    prefetch_once(np.uint64(later.y + at))
    if later.size == 8:
        prefetch_once(np.uint64(later.x + at + 64))
        prefetch_once(np.uint64(later.y + at + 64))


@tight
def add_wide(later: Any, out: Any, wide: Any) -> None:
    full = out.shape[0] & ~(STEP - 1)
    for s in range(0, full, STEP):
        fetch(later, s)
        for i in range(STEP):
            wide[out[s + i]] += np.uint32(1)
    for i in range(full, out.shape[0]):
        wide[out[i]] += np.uint32(1)


@tight
def add_copies(later: Any, out: Any, wide: Any) -> None:
    full = out.shape[0] & ~(STEP - 1)
    for s in range(0, full, STEP):
        fetch(later, s)
        for i in range(STEP):
            wide[np.uint64(out[s + i]) * np.uint64(COPIES) + np.uint64(i % COPIES)] += np.uint32(1)
    for i in range(full, out.shape[0]):
        wide[np.uint64(out[i]) * np.uint64(COPIES)] += np.uint32(1)


@tight
def add_bytes(later: Any, out: Any, counts: Any, notes: Any) -> None:
    full = out.shape[0] & ~(STEP - 1)
    for s in range(0, full, STEP):
        fetch(later, s)
        for i in range(STEP):
            tick(counts, notes, out[s + i])
    for i in range(full, out.shape[0]):
        tick(counts, notes, out[i])


@tight
def add_bytes_ahead(later: Any, out: Any, counts: Any, notes: Any) -> None:
    """The same, with the cells AHEAD places on asked for: for grids far beyond the core's own cache."""
    full = max(0, out.shape[0] - AHEAD) & ~(STEP - 1)
    for s in range(0, full, STEP):
        fetch(later, s)
        for i in range(STEP):
            prefetch(counts, np.uint64(out[s + i + AHEAD]))
            tick(counts, notes, out[s + i])
    for i in range(full, out.shape[0]):
        tick(counts, notes, out[i])


@tight
def count(
    x: Any, y: Any, group: Any, bits: Any, ax: Any, ay: Any, form: int, n_groups: int, sink: Any, wide: Any,
    copies: int, counts: Any, notes: Any, far: bool, words: Any, flags: Any, buffer: Any,
) -> Any:  # fmt: skip
    """Add 1 per point; returns the invalid ones. `copies` is 1 or COPIES."""
    runs = 0
    divided = 0
    bad = np.int64(0)
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        codes = group[a:b] if group.shape[0] != 0 else group
        how = divide_at_once(form, divided, runs)
        found = cells(x[a:b], y[a:b], codes, bits, a, ax, ay, how, 0, n_groups, sink, words, flags, out)
        bad += found[0]
        divided += found[1]
        runs += 1
        later = later_at(x, y, min(b, x.shape[0] - (b - a)))
        if counts.shape[0] == 0:
            if copies > 1:
                add_copies(later, out, wide)
            else:
                add_wide(later, out, wide)
        elif far:
            add_bytes_ahead(later, out, counts, notes)
        else:
            add_bytes(later, out, counts, notes)
    return bad


@tight
def widen(words: Any, counts: Any, first: int, values: Any) -> None:
    """values += bytes from cell `first` (a multiple of STRETCH) on; stretches without a point are not touched.

    words : counts as uint64.
    """
    for a in range(0, values.shape[0], STRETCH):
        b = min(a + STRETCH, values.shape[0])
        at = first + a
        some = np.uint64(0)
        own = words[at >> 3 : (at + STRETCH) >> 3]
        for i in range(own.shape[0]):
            some |= own[i]
        if some != 0:
            part = values[a:b]
            byte = counts[at : first + b]
            for i in range(part.shape[0]):
                part[i] += np.int64(byte[i])


@tight
def add_notes(notes: Any, first: int, values: Any) -> None:
    """values += the notes of the cells from `first` on."""
    for i in range(1, np.int64(notes[0]) + 1):
        c = np.int64(notes[i]) - first
        if (c >= 0) & (c < values.shape[0]):
            values[c] += FULL


@tight
def widen_copies(wide: Any, copies: int, first: int, values: Any) -> None:
    """values += uint32 counters from cell `first` on."""
    for a in range(0, values.shape[0], STRETCH):
        b = min(a + STRETCH, values.shape[0])
        own = wide[(first + a) * copies : (first + b) * copies]
        some = np.uint32(0)
        for i in range(own.shape[0]):
            some |= own[i]
        if some != 0:
            part = values[a:b]
            if copies == 1:
                for i in range(part.shape[0]):
                    part[i] += np.int64(own[i])
            else:
                for i in range(own.shape[0]):
                    part[i // COPIES] += np.int64(own[i])


@tight
def count_rows(
    x: Any, y: Any, group: Any, weight: Any, bits: Any, ax: Any, ay: Any, form: int, n_groups: int, sink: Any,
    first: int, values: Any, tally: Any, words: Any, flags: Any, buffer: Any,
) -> None:  # fmt: skip
    """Add 1 (or the weight, where there are weights) for the points whose cell lies in
    [first, first + len(values)): several threads share one grid by taking a range of its rows each.

    weight : length 0 where there are none.
    tally : int64 (5,): used, invalid points of the whole grid; the weights' sum as its high part, low 32 bits; the used
    points of the range.
    """
    runs = 0
    divided = 0
    lo = np.uint32(first)
    room = np.uint32(values.shape[0])
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        codes = group[a:b] if group.shape[0] != 0 else group
        how = divide_at_once(form, divided, runs)
        found = cells(x[a:b], y[a:b], codes, bits, a, ax, ay, how, 0, n_groups, sink, words, flags, out)
        tally[1] += found[0]
        divided += found[1]
        runs += 1
        own = weight[a:b] if weight.shape[0] != 0 else weight
        high = np.int64(0)
        low = np.int64(0)
        for i in range(out.shape[0]):
            c = out[i]
            if c >= sink:
                continue
            w = own[i] if own.shape[0] != 0 else np.int64(1)
            high += w >> 32
            low += w & 0xFFFFFFFF
            tally[0] += 1
            k = np.uint32(c - lo)
            if k < room:
                values[k] += w
                tally[4] += 1
        low += tally[3]
        tally[2] += high + (low >> 32)
        tally[3] = low & 0xFFFFFFFF


@tight
def sample(x: Any, y: Any, group: Any, ax: Any, ay: Any, n_groups: int, sink: Any, out: Any) -> Any:
    """The cells of a few points, as defined, for the selector. Returns how many have the cell of one of the two before
    them: the mark of a hotspot."""
    mapped = group.shape[0] != 0
    end = np.uint32(ax.n * ay.n) if mapped else sink
    by_quotient(x, y, ax, ay, end, out)
    if mapped:
        add_groups(group, 0, n_groups, end, sink, out)
    same = 0
    for i in range(2, out.shape[0]):
        same += (out[i] == out[i - 1]) | (out[i] == out[i - 2])
    return same


@tight
def fixed_point(weight: Any, scale: float, out: Any) -> None:
    """out = weight * scale rounded half to even; -1 where NaN, infinite, negative or above 2^53."""
    for i in range(weight.shape[0]):
        w = np.float64(weight[i]) * scale
        if weight[i] >= 0 and w <= 9007199254740992.0:
            out[i] = np.int64(np.rint(w))
        else:
            out[i] = -1


@tight
def whole_weight(weight: Any, out: Any) -> None:
    """out = the integer weight; -1 where negative or above 2^53."""
    for i in range(weight.shape[0]):
        if weight[i] >= 0 and weight[i] <= 9007199254740992:
            out[i] = np.int64(weight[i])
        else:
            out[i] = -1
