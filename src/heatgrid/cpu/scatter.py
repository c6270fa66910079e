"""Rows sent to parts by the hash of their session: which part, in which order, and a part's rows put together again."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.ids import mix64
from heatgrid.cpu.jit import tight

DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS
_SALT = np.uint64(0x9E3779B97F4A7C15)


@tight
def parts_of(index: Any, ok: Any, lo: Any, salt: Any, n_parts: Any, part: Any, counts: Any) -> None:
    """part[i] = part of the session lo[index[i]], counts[part] += 1; n_parts where ok[i] is 0.

    salt : other parts for the same sessions, so that the rows of one part can be parted again.
    """
    n = np.uint64(n_parts)
    step = _SALT * np.uint64(salt + 1)
    for i in range(np.uint64(index.shape[0])):
        if ok[i]:
            h = mix64(np.uint64(lo[np.uint64(index[i])]) + step)
            p = ((h >> np.uint64(32)) * n) >> np.uint64(32)
        else:
            p = n
        part[i] = np.uint16(p)
        counts[p] += 1


@tight
def order_of(part: Any, at: Any, order: Any) -> None:
    """order[at[part[i]]++] = i: rows by part, each part's in the order of the input."""
    for i in range(np.uint64(part.shape[0])):
        p = np.uint64(part[i])
        order[np.uint64(at[p])] = np.int64(i)
        at[p] += 1


@tight
def collect(column: Any, bounds: Any, part: Any, out: Any) -> None:
    """A part's rows of a batch, block after block: block b has them at bounds[b, part] to bounds[b, part + 1]."""
    at = np.uint64(0)
    for b in range(np.uint64(bounds.shape[0])):
        for i in range(np.uint64(bounds[b, part]), np.uint64(bounds[b, part + 1])):
            out[at] = column[i]
            at += np.uint64(1)


@tight
def sort_by_bits(keys: Any, other: Any, first: Any, last: Any, counts: Any) -> Any:
    """Sort non-negative keys by their bits first <= b < last; equal ones keep their order. counts : DIGITS of room.

    Digit by digit, from one array to the other and back. Returns how often: where odd, `other` holds the result.
    """
    a = keys
    b = other
    rounds = 0
    bit = np.uint64(first)
    while bit < np.uint64(last):
        counts[:] = 0
        for i in range(np.uint64(a.shape[0])):
            counts[(np.uint64(a[i]) >> bit) & np.uint64(DIGITS - 1)] += 1
        at = np.int64(0)
        for k in range(np.uint64(DIGITS)):
            n = counts[k]
            counts[k] = at
            at += n
        for i in range(np.uint64(a.shape[0])):
            key = a[i]
            digit = (np.uint64(key) >> bit) & np.uint64(DIGITS - 1)
            b[np.uint64(counts[digit])] = key
            counts[digit] += 1
        a, b = b, a
        rounds += 1
        bit += np.uint64(DIGIT_BITS)
    return rounds
