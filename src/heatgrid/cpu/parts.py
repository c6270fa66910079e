"""Binning by partition, for points spread over grids beyond the caches: the cells go to the part of the grid they lie
in, PART cells each, and then each part is counted by itself in counters that stay in the core's own cache.

A part's cells are kept as their low 16 bits, in blocks of BLOCK entries taken from one pool as they are needed, so no
pass has to count first. They gather in a line of 64 bytes a part, which is streamed past the caches when full: written
in place each line would first be read, and the caches hold no more than the lines.

pool : uint16, 64-byte aligned; before : int32, a block's predecessor (-1: none); lines : uint16 (parts, 32), aligned.
next_in : uint32 (parts,), where in `lines` each part's next entry goes; at : uint32 (parts,), where in the pool its
line goes then; parts start on blocks 0, 1, 2, ... The last part takes the points without a cell and keeps nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.bin import FULL, STEP, fetch, later_at, tick
from heatgrid.cpu.intrinsics import fence, not_zero, stream_line, trailing_zeros
from heatgrid.cpu.jit import tight
from heatgrid.cpu.place import cells, divide_at_once

BITS = 16
PART = 1 << BITS
LINE = 32
BLOCK = 1024


@tight
def send(later: Any, out: Any, pool: Any, before: Any, lines: Any, next_in: Any, at: Any, used: Any) -> Any:
    """Each cell to its part. Returns the blocks used."""
    last = np.uint32(at.shape[0] - 1)
    for s in range(0, out.shape[0], STEP):
        fetch(later, s)
        for i in range(s, min(s + STEP, out.shape[0])):
            c = out[i]
            p = np.uint32(c >> np.uint32(BITS))
            k = next_in[p]
            lines[k] = np.uint16(c)
            k = np.uint32(k + np.uint32(1))
            if k & np.uint32(LINE - 1) == 0:
                k = np.uint32(k - np.uint32(LINE))
                if p != last:
                    q = at[p]
                    stream_line(pool, np.uint64(q), lines, np.uint64(k))
                    q = np.uint32(q + np.uint32(LINE))
                    if q & np.uint32(BLOCK - 1) == 0:
                        before[used] = np.int32(q // np.uint32(BLOCK)) - 1
                        q = np.uint32(used * BLOCK)
                        used += 1
                    at[p] = q
            next_in[p] = k
    return used


@tight
def partition(
    x: Any, y: Any, group: Any, bits: Any, ax: Any, ay: Any, form: int, first: int, n_groups: int, sink: Any,
    pool: Any, before: Any, lines: Any, next_in: Any, at: Any, used: int, words: Any, flags: Any, buffer: Any,
) -> Any:  # fmt: skip
    """Send the points of the groups [first, first + n_groups) to their parts; `sink` is the first cell of the last.

    Returns (blocks used, invalid points).
    """
    runs = 0
    divided = 0
    bad = np.int64(0)
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        codes = group[a:b] if group.shape[0] != 0 else group
        how = divide_at_once(form, divided, runs)
        found = cells(x[a:b], y[a:b], codes, bits, a, ax, ay, how, first, n_groups, sink, words, flags, out)
        bad += found[0]
        divided += found[1]
        runs += 1
        used = send(later_at(x, y, min(b, x.shape[0] - (b - a))), out, pool, before, lines, next_in, at, used)
    fence()
    return used, bad


@tight
def held(before: Any, next_in: Any, at: Any, out: Any) -> None:
    """out[part] += entries of each part."""
    for p in range(out.shape[0]):
        n = np.int64(at[p]) % BLOCK + np.int64(next_in[p]) % LINE
        b = before[np.int64(at[p]) // BLOCK]
        while b >= 0:
            n += BLOCK
            b = before[b]
        out[p] += n


@tight
def count_part(pool: Any, before: Any, lines: Any, next_in: Any, at: Any, part: int, counts: Any, notes: Any) -> None:
    """Add a part's entries to counts, one grid of PART bytes as in bin.py."""
    rest = lines[part * LINE : np.int64(next_in[part])]
    for i in range(rest.shape[0]):
        tick(counts, notes, rest[i])
    end = np.int64(at[part])
    b = end // BLOCK
    own = pool[b * BLOCK : end]
    while True:
        for i in range(own.shape[0]):
            tick(counts, notes, own[i])
        b = np.int64(before[b])
        if b < 0:
            break
        own = pool[b * BLOCK : (b + 1) * BLOCK]


@tight
def set_cells(counts: Any, notes: Any, values: Any) -> Any:
    """values = the counters, which are 0 afterwards. Returns their sum."""
    n = np.int64(0)
    own = counts[: values.shape[0]]
    for i in range(values.shape[0]):
        v = np.int64(own[i])
        values[i] = v
        n += v
    for i in range(1, np.int64(notes[0]) + 1):
        values[notes[i]] += FULL
        n += FULL
    counts[:] = 0
    notes[0] = 0
    return n


@tight
def take_cells(counts: Any, notes: Any, carry: Any, low: Any, byte: Any, used: int, more: Any, wide: int) -> Any:
    """The cells that are not 0, in order, from place `used` of low (uint16) and byte (uint8) on; the counters are 0
    afterwards. What a byte cannot hold goes to more (int64, (n, 2)) from row `wide` on, as (place, what is missing).

    counts : 64-byte aligned. carry : uint32 (PART,), 0 before and after. Returns the next free place and row.
    64 counters are looked at together: going by words of 8, the branches alone took 3 ns a cell found.
    """
    noted = np.int64(notes[0])
    for i in range(1, noted + 1):
        carry[notes[i]] += np.uint32(FULL)
    notes[0] = 0
    for a in range(0, counts.shape[0], 64):
        some = not_zero(counts, np.uint64(a))
        if some != 0:
            while some != 0:
                c = np.uint64(a) + trailing_zeros(some)
                some &= some - np.uint64(1)
                low[used] = np.uint16(c)
                byte[used] = counts[c]
                if noted and carry[c] != 0:
                    more[wide, 0] = used
                    more[wide, 1] = carry[c]
                    wide += 1
                    carry[c] = 0
                used += 1
            counts[a : a + 64] = 0
    return used, wide


@tight
def unpack(starts: Any, first: Any, low: Any, byte: Any, part: int, start: int, keys: Any, counts: Any) -> None:
    """keys and counts of the places from `start`, which is in `part`, on. Part p has the places starts[p] up to
    starts[p + 1] and begins at key first[p]."""
    for i in range(keys.shape[0]):
        while start + i >= starts[part + 1]:
            part += 1
        keys[i] = first[part] + np.int64(low[start + i])
        counts[i] = byte[start + i]


@tight
def unpack_rows(starts: Any, first: Any, low: Any, byte: Any, cells_of_map: Any, nx: Any, group: Any, iy: Any,
                ix: Any, counts: Any) -> None:  # fmt: skip
    """The same for all places, as group, iy, ix and count. Most are in the row of the one before: no division."""
    row_start = np.int64(0)
    row_end = np.int64(0)
    g = np.int64(0)
    row = np.int64(0)
    for part in range(first.shape[0]):
        for i in range(starts[part], starts[part + 1]):
            key = first[part] + np.int64(low[i])
            if key >= row_end:
                g = key // cells_of_map
                row = (key - g * cells_of_map) // nx
                row_start = g * cells_of_map + row * nx
                row_end = row_start + nx
            group[i] = g
            iy[i] = row
            ix[i] = key - row_start
            counts[i] = byte[i]


@tight
def keys_of(
    x: Any, y: Any, group: Any, bits: Any, ax: Any, ay: Any, form: int, n_groups: Any, keys: Any, words: Any,
    flags: Any, buffer: Any,
) -> Any:  # fmt: skip
    """keys = group * cells of a map + cell in 64 bits, or -1 where a point has none; returns the invalid points.

    `group` here always has a code for each point.
    """
    runs = 0
    divided = 0
    bad = np.int64(0)
    one = np.uint32(ax.n * ay.n)
    for a in range(0, x.shape[0], buffer.shape[0]):
        b = min(a + buffer.shape[0], x.shape[0])
        out = buffer[: b - a]
        how = divide_at_once(form, divided, runs)
        found = cells(x[a:b], y[a:b], group[:0], bits, a, ax, ay, how, 0, 1, one, words, flags, out)
        bad += found[0]
        divided += found[1]
        runs += 1
        codes = group[a:b]
        own = keys[a:b]
        for i in range(out.shape[0]):
            g = np.int64(codes[i])
            inside = (out[i] < one) & (g >= 0) & (g < n_groups)
            own[i] = g * np.int64(one) + np.int64(out[i]) if inside else -1
    return bad


@tight
def unfold(keys: Any, cells_of_map: Any, nx: Any, group: Any, iy: Any, ix: Any) -> None:
    """Sorted keys as group, iy and ix."""
    g = np.int64(0)
    start = np.int64(0)
    for i in range(keys.shape[0]):
        key = np.int64(keys[i])
        if key >= start + cells_of_map:
            g = key // cells_of_map
            start = g * cells_of_map
        rest = np.uint32(key - start)
        row = np.uint32(rest // np.uint32(nx))
        group[i] = g
        iy[i] = row
        ix[i] = np.uint32(rest - np.uint32(row * np.uint32(nx)))
