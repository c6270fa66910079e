"""Which ids a block of rows may hold, in a bit set: none that it holds is denied, and few others are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight


@fused
def _set(bits: Any, lo: Any, hi: Any, mask: Any) -> None:
    for half in (lo, hi):
        at = (np.uint64(half) >> np.uint64(7)) & mask
        bits[at >> np.uint64(6)] |= np.uint64(1) << (at & np.uint64(63))


@tight
def mark(lo: Any, hi: Any, bits: Any) -> None:
    """bits : uint64, a power of two of them."""
    mask = np.uint64(bits.shape[0] * 64 - 1)
    for i in range(np.uint64(lo.shape[0])):
        _set(bits, lo[i], hi[i], mask)


@tight
def mark_rows(index: Any, lo: Any, hi: Any, bits: Any) -> None:
    """The same of the ids (lo, hi)[index[i]], where they are more than the rows; index -1: none."""
    mask = np.uint64(bits.shape[0] * 64 - 1)
    for i in range(np.uint64(index.shape[0])):
        if index[i] >= 0:
            j = np.uint64(index[i])
            _set(bits, lo[j], hi[j], mask)


@tight
def may_hold(lo: Any, hi: Any, bits: Any, out: Any) -> None:
    """out[i] = 1 where an id may be there, else 0."""
    mask = np.uint64(bits.shape[0] * 64 - 1)
    for i in range(np.uint64(lo.shape[0])):
        a = (np.uint64(lo[i]) >> np.uint64(7)) & mask
        b = (np.uint64(hi[i]) >> np.uint64(7)) & mask
        there = bits[a >> np.uint64(6)] >> (a & np.uint64(63)) & bits[b >> np.uint64(6)] >> (b & np.uint64(63))
        out[i] = there & np.uint64(1)
