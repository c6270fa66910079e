"""128-bit hashes of ids: two multiply-rotate lanes over 8-byte words, finished by Murmur3's mixer.

The seeds are constants, so that the same id has the same hash in every run and on every backend: states prove
by them that they hold different sessions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import fused, tight

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xC2B2AE3D27D4EB4F)
_C = np.uint64(0x165667B19E3779F9)
_D = np.uint64(0x27D4EB2F165667C5)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_INT = np.uint64(0x5EED0000000000AA)


@fused
def mix64(v: Any) -> Any:
    """Murmur3's 64-bit finaliser: every input bit reaches every output bit."""
    v = np.uint64(v)
    v ^= v >> np.uint64(33)
    v *= _M1
    v ^= v >> np.uint64(33)
    v *= _M2
    v ^= v >> np.uint64(33)
    return v


@fused
def spread(key: Any) -> Any:
    """A cheap hash of a 63-bit key for tables of a power of two: the high bits of the product, where all bits of the
    key meet, folded down (taking bits 20 and up alone left out the map number and made chains of 100)."""
    v = np.uint64(key) * _A
    return v ^ (v >> np.uint64(32))


@fused
def _rotate(v: Any, r: Any) -> Any:
    return (v << np.uint64(r)) | (v >> np.uint64(64 - r))


@tight
def hash_strings(offsets: Any, data: Any, lo: Any, hi: Any) -> None:
    """lo, hi (int64) of each string data[offsets[i]:offsets[i+1]]."""
    for i in range(lo.shape[0]):
        start = offsets[i]
        stop = offsets[i + 1]
        a = _A ^ np.uint64(stop - start)
        b = _B + np.uint64(stop - start)
        p = start
        while p < stop:
            word = np.uint64(0)
            for k in range(min(8, stop - p)):
                word |= np.uint64(data[p + k]) << np.uint64(8 * k)
            a = _rotate((a ^ word) * _C, 29) + b
            b = _rotate((b + word) * _D, 33) ^ a
            p += 8
        a = mix64(a + b)
        b = mix64(b ^ a ^ _A)
        lo[i] = np.int64(a)
        hi[i] = np.int64(b)


@tight
def hash_ints(values: Any, lo: Any, hi: Any) -> None:
    """lo, hi of 64-bit integers; another family than strings, so 5 and "5" differ."""
    for i in range(lo.shape[0]):
        a = mix64(np.uint64(values[i]) ^ _INT)
        lo[i] = np.int64(a)
        hi[i] = np.int64(mix64(np.uint64(values[i]) + a * _C + _B))


@tight
def mix_into(lo: Any, hi: Any, other_lo: Any, other_hi: Any) -> None:
    """Fold a second id into the first, in place: (user, tab) as one key, or a row of several columns."""
    for i in range(lo.shape[0]):
        a = mix64(np.uint64(lo[i]) + _rotate(np.uint64(other_lo[i]), 17) * _C)
        b = mix64(np.uint64(hi[i]) ^ (np.uint64(other_hi[i]) * _D + a))
        lo[i] = np.int64(a)
        hi[i] = np.int64(b)
