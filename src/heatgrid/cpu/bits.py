"""Arrow validity bitmaps: bit i of byte i >> 3, least significant first; an array may start at any bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import leaf


@leaf
def and_bits(bits: Any, offset: int, n: int, out: Any) -> None:
    """out &= the n bits that start at bit `offset`; out starts at bit 0."""
    whole = n >> 3
    start = offset >> 3
    shift = offset & 7
    if shift == 0:
        for i in range(whole):
            out[i] &= bits[start + i]
    else:
        for i in range(whole):
            pair = np.uint32(bits[start + i]) | (np.uint32(bits[start + i + 1]) << np.uint32(8))
            out[i] &= np.uint8(pair >> np.uint32(shift))
    for i in range(whole << 3, n):
        j = offset + i
        if not (bits[j >> 3] >> (j & 7)) & 1:
            out[i >> 3] &= np.uint8(255 - (1 << (i & 7)))


@leaf
def and_mask(mask: Any, out: Any) -> None:
    """out &= one byte per row (0 is not valid)."""
    for i in range(mask.shape[0]):
        if not mask[i]:
            out[i >> 3] &= np.uint8(255 - (1 << (i & 7)))
