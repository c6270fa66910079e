"""Columns of a batch into the block: dictionary indices to codes, nulls to what a block holds for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight

_MASKS = -((np.arange(256)[:, None] >> np.arange(8)) & 1)
"""All ones or none, by a byte of a bitmap and the bit in it."""
_ONES = -_MASKS.sum(axis=1)


@tight
def fill_where_null(bits: Any, bit_offset: Any, value: Any, out: Any) -> None:
    """out[i] = value where the validity bit is 0; integers (of floats their bits).

    Masks from a table, eight rows a byte of the bitmap: whatever LLVM knows to be a choice it makes a branch (4 ns a
    row at random nulls, so 0.5).
    """
    n = out.shape[0]
    start = min(n, (8 - (bit_offset & 7)) & 7)
    for i in range(start):
        if not (bits[(i + bit_offset) >> 3] >> ((i + bit_offset) & 7)) & 1:
            out[i] = value
    first = (start + bit_offset) >> 3
    for group in range((n - start) >> 3):
        masks = _MASKS[np.uint64(bits[np.uint64(first + group)])]
        some = out[start + 8 * group : start + 8 * group + 8]
        for k in range(8):
            some[k] = (some[k] & masks[k]) | (value & ~masks[k])
    for i in range(n - ((n - start) & 7), n):
        if not (bits[(i + bit_offset) >> 3] >> ((i + bit_offset) & 7)) & 1:
            out[i] = value


@tight
def remap(indices: Any, bits: Any, bit_offset: Any, table: Any, null_code: Any, out: Any) -> None:
    """out[i] = table[indices[i]], null_code where the validity bit is 0. No bits (length 0): all valid.

    Under a null the index may be anything, so it is held below the table's end; what it gives is replaced in a second
    look at the same lines.
    """
    last = np.uint32(table.shape[0] - 1)
    n = indices.shape[0]
    for start in range(0, n, 4096):
        stop = min(n, start + 4096)
        some = indices[start:stop]
        target = out[start:stop]
        for i in range(stop - start):
            target[i] = table[min(np.uint32(some[i]), last)]
        if bits.shape[0]:
            fill_where_null(bits, bit_offset + start, null_code, target)


@tight
def pick(index: Any, values: Any, out: Any) -> None:
    """out[i] = values[index[i]], 0 where the index is negative."""
    for i in range(index.shape[0]):
        j = index[i]
        out[i] = values[np.uint64(j)] if j >= 0 else 0


@tight
def copy_numbers(values: Any, bits: Any, bit_offset: Any, null: Any, out: Any) -> None:
    """out[i] = values[i] as float64, `null` where the validity bit is 0."""
    null_bits = np.float64(null).view(np.int64)
    n = values.shape[0]
    for start in range(0, n, 4096):
        stop = min(n, start + 4096)
        some = values[start:stop]
        target = out[start:stop]
        for i in range(stop - start):
            target[i] = some[i]
        if bits.shape[0]:
            fill_where_null(bits, bit_offset + start, null_bits, target.view(np.int64))


@tight
def check_time(
    values: Any, bits: Any, bit_offset: Any, first: Any, last: Any, before: Any, time: Any, ok: Any
) -> Any:  # fmt: skip
    """time = values; rows whose time is null or outside [first, last) are marked and take the time before them, so
    that they are never late. Returns how many.

    Nearly all rows are good: 64 of them are copied and asked about at once, and looked at one by one if one is not.
    """
    n = values.shape[0]
    bad = 0
    for start in range(0, n, 64):
        stop = min(n, start + 64)
        some = values[start:stop]
        target = time[start:stop]
        wrong = np.int64(0)
        for i in range(stop - start):
            t = some[i]
            target[i] = t
            wrong |= np.int64(t < first) | np.int64(t >= last)
        if bits.shape[0]:
            a = (start + bit_offset) >> 3
            b = (stop + bit_offset + 7) >> 3
            every = np.uint8(255)
            for byte in bits[a:b]:  # the neighbours' bits too: at worst 64 rows are looked at for nothing
                every &= byte
            wrong |= np.int64(every != 255)
        if wrong == 0:
            before = target[stop - start - 1]
            continue
        for i in range(start, stop):
            j = i + bit_offset
            valid = bits.shape[0] == 0 or (bits[j >> 3] >> (j & 7)) & 1
            if valid and first <= time[i] < last:
                before = time[i]
            else:
                time[i] = before
                ok[i] = 0
                bad += 1
    return bad


@tight
def in_range(ticks: Any, bits: Any, bit_offset: Any, low: Any, high: Any, out: Any) -> Any:
    """The bits of out (uint8, all 0 before): is a value valid and in [low, high). Returns how many are."""
    n = ticks.shape[0]
    found = np.int64(0)
    for start in range(0, n, 64):
        # whole words where all are valid: a few rows in a million are null or outside
        if start + 64 <= n and (bits.shape[0] == 0 or bit_offset & 7 == 0):
            some64 = ticks[start : start + 64]
            wrong = np.int64(0)
            for k in range(64):
                wrong |= np.int64(some64[k] < low) | np.int64(some64[k] >= high)
            if bits.shape[0]:
                a = (start + bit_offset) >> 3
                every = np.uint8(255)
                for byte in bits[a : a + 8]:
                    every &= byte
                wrong |= np.int64(every != 255)
            if wrong == 0:
                out[start >> 3 : (start >> 3) + 8] = 255
                found += 64
                continue
        found += _in_range(ticks, bits, bit_offset, low, high, start, min(n, start + 64), out)
    return found


@tight
def _in_range(
    ticks: Any, bits: Any, bit_offset: Any, low: Any, high: Any, first: Any, n: Any, out: Any
) -> Any:  # fmt: skip
    """The same for rows [first, n), one by one."""
    found = np.int64(0)
    for start in range(first, n, 8):
        some = np.uint8(0)
        for k in range(min(n - start, 8)):
            t = ticks[start + k]
            some |= np.uint8(np.uint8(t >= low) & np.uint8(t < high)) << np.uint8(k)
        if bits.shape[0]:
            at = start + bit_offset
            shift = np.uint8(at & 7)
            valid = bits[at >> 3] >> shift
            if shift and (at >> 3) + 1 < bits.shape[0]:
                valid |= bits[(at >> 3) + 1] << (np.uint8(8) - shift)
            some &= np.uint8(valid)
        out[start >> 3] = some
        found += _ONES[some]
    return found


@tight
def check_index(index: Any, ok: Any) -> Any:
    """Mark rows without an id (index < 0) that were not marked before. Returns how many."""
    bad = 0
    for i in range(index.shape[0]):
        if index[i] < 0 and ok[i]:
            ok[i] = 0
            bad += 1
    return bad


@tight
def check_count(count: Any, weight: Any, ok: Any) -> Any:
    """weight[i] = count[i] as an integer; rows whose count is not a whole number in [1, 2^53] are marked."""
    bad = 0
    for i in range(count.shape[0]):
        c = count[i]
        if c >= 1.0 and c <= 9007199254740992.0 and np.floor(c) == c:
            weight[i] = np.int64(c)
        else:
            weight[i] = 0
            if ok[i]:
                ok[i] = 0
                bad += 1
    return bad


@tight
def tally(order: Any, ready: Any, slot: Any, codes: Any, time: Any, counts: Any, bounds: Any) -> None:
    """counts[codes[i]] += 1 and bounds = (first, last) time over accepted rows order[:ready], where no scan does."""
    first = bounds[0]
    last = bounds[1]
    for k in range(ready):
        i = order[k]
        there = slot[i] >= 0
        counts[codes[i]] += there
        t = time[i]
        first = t if there and t < first else first
        last = t if there and t > last else last
    bounds[0] = first
    bounds[1] = last


@tight
def width_buckets(viewport_w: Any, edges: Any, out: Any) -> None:
    """The bucket of each row's own viewport width, -1 where it is null or not positive."""
    for i in range(viewport_w.shape[0]):
        w = viewport_w[i]
        b = np.int32(0)
        for e in range(edges.shape[0]):
            b += np.int32(w >= edges[e])
        out[i] = b if w > 0.0 and w < np.inf else -1


@tight
def period_codes(time: Any, starts: Any, codes: Any, out: Any) -> None:
    """codes[k] of the half-open period k that holds each time: starts[k] <= time < starts[k+1]."""
    k = 0
    for i in range(time.shape[0]):
        t = time[i]
        if not (starts[k] <= t < starts[k + 1]):
            low = 0
            high = starts.shape[0] - 1
            while high - low > 1:
                middle = (low + high) >> 1
                if starts[middle] <= t:
                    low = middle
                else:
                    high = middle
            k = low
        out[i] = codes[k]
