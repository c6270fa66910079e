"""Symmetric separable filters, in tiles that stay in cache.

Each result is one chain of fused multiply-adds from the far taps to the near ones (small terms first), so its bits
depend neither on the tiles nor on the vector width. Four pairs of taps a sweep keep the loads per tap at 2.25; one pair
takes 1.3x the time, eight gain nothing more.
"""

from __future__ import annotations

from typing import Any

from heatgrid.cpu.intrinsics import fma
from heatgrid.cpu.jit import leaf


@leaf
def fill_slab(image: Any, rows: Any, first: int, column: int, slab: Any) -> None:
    """slab[t] = image row rows[first + t] from `column` on; a row of -1 is zero."""
    for t in range(slab.shape[0]):
        to = slab[t]
        if rows[first + t] < 0:
            for j in range(to.shape[0]):
                to[j] = 0
        else:
            row = image[rows[first + t]]
            row = row[column : column + to.shape[0]]
            for j in range(to.shape[0]):
                to[j] = row[j]


@leaf
def fill_margins(columns: Any, radius: int, lines: Any) -> None:
    """The lines' columns left and right of the image; columns[t] is the column to repeat, -1 for zero."""
    width = lines.shape[1] - 2 * radius
    for r in range(lines.shape[0]):
        line = lines[r]
        for t in range(radius):
            left = columns[t]
            right = columns[radius + width + t]
            line[t] = line[radius + left] if left >= 0 else 0
            line[radius + width + t] = line[radius + right] if right >= 0 else 0


@leaf
def filter_down(slab: Any, taps: Any, lines: Any) -> None:
    """lines[r] = sum over t of taps[|t|] * slab[r + radius + t]."""
    radius = taps.shape[0] - 1
    for r in range(lines.shape[0]):
        acc = lines[r]
        n = acc.shape[0]
        mid = r + radius
        for j in range(n):
            acc[j] = 0
        k = radius
        while k >= 4:
            a0, a1, a2, a3 = slab[mid - k], slab[mid - k + 1], slab[mid - k + 2], slab[mid - k + 3]
            b0, b1, b2, b3 = slab[mid + k], slab[mid + k - 1], slab[mid + k - 2], slab[mid + k - 3]
            w0, w1, w2, w3 = taps[k], taps[k - 1], taps[k - 2], taps[k - 3]
            for j in range(n):
                far = fma(w1, a1[j] + b1[j], fma(w0, a0[j] + b0[j], acc[j]))
                acc[j] = fma(w3, a3[j] + b3[j], fma(w2, a2[j] + b2[j], far))
            k -= 4
        while k >= 1:
            a0, b0, w0 = slab[mid - k], slab[mid + k], taps[k]
            for j in range(n):
                acc[j] = fma(w0, a0[j] + b0[j], acc[j])
            k -= 1
        centre, w0 = slab[mid], taps[0]
        for j in range(n):
            acc[j] = fma(w0, centre[j], acc[j])


@leaf
def filter_along(lines: Any, taps: Any, out: Any) -> None:
    """out[r, j] = sum over t of taps[|t|] * lines[r, j + radius + t]."""
    radius = taps.shape[0] - 1
    for r in range(out.shape[0]):
        acc = out[r]
        line = lines[r]
        n = acc.shape[0]
        for j in range(n):
            acc[j] = 0
        k = radius
        while k >= 4:
            a = line[radius - k : radius - k + 3 + n]
            b = line[radius + k - 3 : radius + k + n]
            w0, w1, w2, w3 = taps[k], taps[k - 1], taps[k - 2], taps[k - 3]
            for j in range(n):
                far = fma(w1, a[j + 1] + b[j + 2], fma(w0, a[j] + b[j + 3], acc[j]))
                acc[j] = fma(w3, a[j + 3] + b[j], fma(w2, a[j + 2] + b[j + 1], far))
            k -= 4
        while k >= 1:
            a = line[radius - k : radius - k + n]
            b = line[radius + k : radius + k + n]
            w0 = taps[k]
            for j in range(n):
                acc[j] = fma(w0, a[j] + b[j], acc[j])
            k -= 1
        a = line[radius : radius + n]
        w0 = taps[0]
        for j in range(n):
            acc[j] = fma(w0, a[j], acc[j])
