"""The same counting by other libraries, each in its best form and warm: one call a contender, an int64 array each.

Those that release the GIL get half of the points in each of two Python threads; those without validity NaN for null.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Work:
    """One question: how many points fall into each cell of `shape` (each 1 wide), for each of `groups` codes."""

    x: Any
    y: Any
    shape: tuple[int, int]
    cell: float = 1.0
    group: Any = None
    groups: int = 0
    nulls: tuple[Any, Any] | None = None
    """x and y as Arrow arrays with validity bitmaps, for those that take them."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        ny, nx = self.shape
        return 0.0, nx * self.cell, 0.0, ny * self.cell


def heatgrid(work: Work, threads: int, backend: str = "cpu") -> Any:
    """The stack, or what a sparse one is: its cells are decoded a few at a time as they are asked for."""
    grid = heatgrid_grid(work, threads, backend)
    return getattr(grid, "cells", None) or grid.values


def heatgrid_grid(work: Work, threads: int, backend: str = "cpu") -> Any:
    import heatgrid as hg

    x, y = work.nulls or (work.x, work.y)
    more: dict[str, Any] = {"group": work.group, "n_groups": work.groups} if work.groups else {}
    return hg.bin_points(x, y, shape=work.shape, cell=work.cell, threads=threads, backend=backend, **more)


def halves(work: Work, threads: int, part: Any) -> Any:
    cuts = [len(work.x) * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda k: part(slice(cuts[k], cuts[k + 1])), range(threads)))
    total = found[0]
    for other in found[1:]:
        total = total + other
    return total


def datashader(work: Work, threads: int) -> Any:
    import datashader as ds
    import pandas as pd

    ny, nx = work.shape
    x0, x1, y0, y1 = work.extent
    canvas = ds.Canvas(nx, ny, (x0, x1), (y0, y1))

    def part(rows: slice) -> Any:
        columns = {"x": work.x[rows], "y": work.y[rows]}
        if not work.groups:
            return canvas.points(pd.DataFrame(columns, copy=False), "x", "y", ds.count()).values
        codes = pd.Categorical.from_codes(work.group[rows], categories=np.arange(work.groups))
        frame = pd.DataFrame({**columns, "g": codes}, copy=False)
        return canvas.points(frame, "x", "y", ds.by("g", ds.count())).values

    return halves(work, threads, part)


def fast_histogram(work: Work, threads: int) -> Any:
    from fast_histogram import histogram2d

    ny, nx = work.shape
    x0, x1, y0, y1 = work.extent

    def part(rows: slice) -> Any:
        return histogram2d(work.y[rows], work.x[rows], bins=(ny, nx), range=((y0, y1), (x0, x1)))

    return halves(work, threads, part)


def boost_histogram(work: Work, threads: int) -> Any:
    import boost_histogram as bh

    ny, nx = work.shape
    x0, x1, y0, y1 = work.extent
    axes: list[Any] = [bh.axis.Regular(ny, y0, y1), bh.axis.Regular(nx, x0, x1)]
    columns = [work.y, work.x]
    if work.groups:
        axes.insert(0, bh.axis.Integer(0, work.groups, underflow=False, overflow=False))
        columns.insert(0, work.group)
    histogram = bh.Histogram(*axes, storage=bh.storage.Int64())
    histogram.fill(*columns, threads=threads)
    return histogram.values()


def _frame(work: Work) -> Any:
    import polars as pl

    return pl.DataFrame({"x": work.x, "y": work.y, "g": work.group})


def polars(work: Work, threads: int) -> Any:
    """One integer key for the cell; threads are POLARS_MAX_THREADS, set before the import."""
    import polars as pl

    ny, nx = work.shape
    x, y = (pl.col(c) for c in ("x", "y"))
    key = pl.col("g").cast(pl.UInt32) * (ny * nx) + y.floor().cast(pl.UInt32) * nx + x.floor().cast(pl.UInt32)
    return (
        _frame(work)
        .lazy()
        .filter(x >= 0, x < nx, y >= 0, y < ny)
        .select(key=key)
        .group_by("key")
        .len()
        .collect(engine="streaming")
    )


def duckdb(work: Work, threads: int) -> Any:
    import duckdb
    import pyarrow as pa

    ny, nx = work.shape
    points = pa.table({"x": work.x, "y": work.y, "g": work.group})
    with duckdb.connect(config={"threads": threads}) as base:
        base.register("points", points)
        return base.sql(f"""
            SELECT g::UINTEGER * {ny * nx} + floor(y)::UINTEGER * {nx} + floor(x)::UINTEGER AS key, count(*) AS len
            FROM points WHERE x >= 0 AND x < {nx} AND y >= 0 AND y < {ny} GROUP BY key
        """).to_arrow_table()


GRIDS = ("datashader", "fast_histogram", "boost_histogram")
STACKS = ("datashader", "boost_histogram", "polars", "duckdb")


def same(answer: Any, truth: Any) -> bool:
    """Whether an answer, dense or as (key, count), is the dense truth; (..., groups) comes from datashader."""
    if isinstance(answer, np.ndarray):
        if answer.ndim == 3 and answer.shape != truth.shape:
            answer = np.moveaxis(answer, 2, 0)
        return bool((answer.reshape(truth.shape) == truth).all())
    if isinstance(answer, tuple):
        keys, counts = answer
    elif hasattr(answer, "columns"):  # a table
        keys, counts = (np.asarray(answer[c]) for c in ("key", "len"))
    else:
        keys, counts = answer.rows(0, len(answer))
    flat = truth.reshape(-1)
    return len(keys) == np.count_nonzero(flat) and bool((flat[keys] == counts).all())
