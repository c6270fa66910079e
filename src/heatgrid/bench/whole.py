"""The whole way in three engines: one Parquet dump to the click map and the dwell per feature, with distinct sessions.

All do the same work to the same answer, each in the best form found for it, on two threads. The map is cut by page
and cell of 8 px (no width buckets: those would cost the peers a window over views and heatgrid next to nothing).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("time", "session", "tab", "page", "kind", "feature", "x", "y")
CELL = 8.0
NX, NY = 2048, 32768
IDLE = 30_000
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
WAKING = ("visible", "pageview", "click", "move", "scroll", "input")
CELL_ORDER = [("page", "ascending"), ("iy", "ascending"), ("ix", "ascending")]


def heatgrid(path: str, threads: int = 2) -> tuple[pa.Table, pa.Table]:
    import heatgrid as hg

    events = hg.read(path, map={"event_id": None, "viewport_w": None})
    # bots by pace would be left out by a second reading, which no peer does
    heat = hg.run(events, maps=("clicks",), tables=("features",), cell=CELL, threads=threads, keep_bots=True)
    return cells_of(heat), features_of(heat)


def cells_of(heat: Any) -> pa.Table:
    import numpy as np

    state = heat.state
    maps = state.maps["maps"]
    tile, cell = np.nonzero(maps.counts[:, :, 0])
    row, number = maps.tiles[tile].T
    iy, ix = number // (NX // 16) * 16 + cell // 16, number % (NX // 16) * 16 + cell % 16
    page = np.array(state.names["page"], object)[maps.keys[row, 0]]
    events, sessions = maps.counts[tile, cell].astype(np.int64).T
    table = pa.table({"page": pa.array(page, pa.string()), "iy": iy, "ix": ix, "events": events, "sessions": sessions})
    return table.sort_by(CELL_ORDER)


def features_of(heat: Any) -> pa.Table:
    return heat.features.select(["feature", "events", "sessions", "dwell_ms", "visits"]).sort_by("feature")


def decode(path: str, threads: int = 2) -> int:
    """The floor: the same columns decoded by pyarrow, its fastest way, and thrown away."""
    pa.set_cpu_count(threads)
    file = pq.ParquetFile(path, read_dictionary=["session", "tab", "page", "kind", "feature"], pre_buffer=True)
    return sum(b.num_rows for b in file.iter_batches(1 << 18, columns=list(COLUMNS), use_threads=True))


def duckdb(path: str, threads: int = 2) -> tuple[pa.Table, pa.Table]:
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    rows = f"""SELECT * FROM read_parquet('{path}', file_row_number = true)
               WHERE session IS NOT NULL AND time >= '{FIRST}' AND time < '{LAST}'"""
    cells = con.sql(f"""
        SELECT page, CAST(floor(y / {CELL}::DOUBLE) AS BIGINT) AS iy, CAST(floor(x / {CELL}::DOUBLE) AS BIGINT) AS ix,
               count(*) AS events, count(DISTINCT session) AS sessions
        FROM ({rows} AND kind = 'click' AND isfinite(x) AND isfinite(y))
        WHERE x >= 0 AND y >= 0 AND x / {CELL}::DOUBLE < {NX} AND y / {CELL}::DOUBLE < {NY} GROUP BY ALL""")
    cells = cells.to_arrow_table()
    features = con.sql(f"""
        WITH placed AS (
          SELECT session, feature, lead(ms) OVER here - ms AS step, lag(feature) OVER here AS before,
                 kind = 'pageview' OR page IS DISTINCT FROM lag(page) OVER here AS opens,
                 last_value(CASE WHEN kind = 'hidden' THEN true WHEN kind IN {WAKING} THEN false END IGNORE NULLS)
                   OVER (here ROWS UNBOUNDED PRECEDING) AS hidden
          FROM (SELECT session, tab, time, file_row_number, kind, page, feature, epoch_ms(time) AS ms FROM ({rows}))
          WINDOW here AS (PARTITION BY session, tab ORDER BY time, file_row_number))
        SELECT feature, count(*) AS events, count(DISTINCT session) AS sessions,
               CAST(coalesce(sum(CASE WHEN step > {IDLE} THEN {IDLE} ELSE step END)
                 FILTER (hidden IS NOT TRUE), 0) AS BIGINT) AS dwell_ms,
               count(*) FILTER (opens OR before IS DISTINCT FROM feature) AS visits
        FROM placed WHERE feature IS NOT NULL GROUP BY ALL ORDER BY feature""").to_arrow_table()
    return _plain(cells, CELL_ORDER), _plain(features, [("feature", "ascending")])


def polars(path: str, *, windows: bool = False) -> tuple[pa.Table, pa.Table]:
    """windows: `over` as one writes it first, the faster form from 50 M rows on (326 to 516 ns a row); else one sort by
    session, and shifts across it.

    The number of threads is Polars' own: POLARS_MAX_THREADS before the import.
    """
    import polars as pl

    rows = pl.scan_parquet(path).filter(pl.col("session").is_not_null(), pl.col("time") >= FIRST, pl.col("time") < LAST)
    point = [pl.col(c).cast(pl.Float64) / CELL for c in ("x", "y")]
    inside = [p.is_finite() & (p >= 0) & (p < n) for p, n in zip(point, (NX, NY), strict=True)]
    cells = (
        rows.filter(pl.col("kind") == "click", *inside)
        .select("page", "session", iy=point[1].floor().cast(pl.Int64), ix=point[0].floor().cast(pl.Int64))
        .group_by("page", "iy", "ix")
        .agg(events=pl.len().cast(pl.Int64), sessions=pl.col("session").n_unique().cast(pl.Int64))
        .collect(engine="streaming")
    )
    asleep = pl.when(pl.col("kind") == "hidden").then(True).when(pl.col("kind").is_in(WAKING)).then(False)
    own = rows.select("session", "tab", "time", "page", "kind", "feature").with_columns(asleep=asleep)
    if windows:
        keys = ["session", "tab"]
        placed = own.sort("time", maintain_order=True).with_columns(
            step=(pl.col("time").shift(-1) - pl.col("time")).over(keys),
            before=pl.col("feature").shift(1).over(keys),
            opens=((pl.col("kind") == "pageview") | pl.col("page").ne_missing(pl.col("page").shift(1))).over(keys),
            hidden=pl.col("asleep").forward_fill().over(keys),
        )
    else:
        same = (pl.col("session") == pl.col("session").shift(1)) & (pl.col("tab") == pl.col("tab").shift(1))
        placed = (
            own.sort("session", "tab", "time", maintain_order=True)
            .with_columns(first=~same.fill_null(value=False))
            .with_columns(
                step=pl.when(~pl.col("first").shift(-1).fill_null(value=True)).then(
                    pl.col("time").shift(-1) - pl.col("time")
                ),
                before=pl.when(~pl.col("first")).then(pl.col("feature").shift(1)),
                opens=pl.col("first") | (pl.col("kind") == "pageview") | (pl.col("page") != pl.col("page").shift(1)),
                hidden=pl.when(pl.col("first") & pl.col("asleep").is_null())
                .then(False)
                .otherwise(pl.col("asleep"))
                .forward_fill(),
            )
        )
    step = pl.col("step").dt.total_milliseconds().clip(upper_bound=IDLE)
    features = (
        placed.filter(pl.col("feature").is_not_null())
        .group_by("feature")
        .agg(
            events=pl.len().cast(pl.Int64),
            sessions=pl.col("session").n_unique().cast(pl.Int64),
            dwell_ms=pl.when(pl.col("hidden").fill_null(value=False)).then(None).otherwise(step).sum().cast(pl.Int64),
            visits=(pl.col("opens") | pl.col("before").ne_missing(pl.col("feature"))).sum().cast(pl.Int64),
        )
        .collect(engine="streaming")
    )
    return _plain(cells.to_arrow(), CELL_ORDER), _plain(features.to_arrow(), [("feature", "ascending")])


def _plain(table: pa.Table, order: list[tuple[str, str]]) -> pa.Table:
    """Strings as strings, so that tables of three engines compare."""
    fields = [pa.field(f.name, pa.int64() if pa.types.is_integer(f.type) else pa.string()) for f in table.schema]
    return table.cast(pa.schema(fields)).sort_by(order).combine_chunks()
