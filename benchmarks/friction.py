"""Rage clicks (PostHog's rule) by page and feature, from columns in memory: heatgrid, DuckDB, Polars, chdb.

Each contender holds the rows in its own form before the clock starts, on two threads; they take turns in one process,
round after round, and all answers must be equal. All filter the clicks first; `whole` is heatgrid's run over all rows,
which counts kinds, views and sessions too, and `scan` the same without the rule.

    python benchmarks/friction.py --rows 10000000 --rounds 7
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "2")
COLUMNS = ["time", "session", "tab", "kind", "page", "feature", "x", "y"]
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
FOUND = ("page", "feature", "flagged", "sessions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="heatgrid,whole,scan,duckdb,polars,chdb")
    parser.add_argument("--sessions", type=int, help="default: one for 50 rows")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from whole_way import dump

    rows = columns(dump(args.dumps, args.rows, args.sessions))
    makers = {"heatgrid": heatgrid, "whole": whole, "scan": scan, "duckdb": duckdb_, "polars": polars_, "chdb": chdb_}
    work = {name: makers[name](rows) for name in args.only.split(",")}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(-1, args.rounds):  # the first is not counted
        answers = {}
        for name, run in work.items():
            started = time.perf_counter()
            answer = run()
            if number >= 0:
                seconds[name].append(time.perf_counter() - started)
            if answer is not None:
                answers[name] = sorted(map(tuple, answer))
        if any(answer != answers["heatgrid"] for answer in answers.values()):
            raise SystemExit(f"the answers differ: { {name: len(a) for name, a in answers.items()} }")
    medians = {name: statistics.median(all_) for name, all_ in seconds.items()}
    ours = ("heatgrid", "whole", "scan")
    best = min((s, name) for name, s in medians.items() if name not in ours)
    for name, s in medians.items():
        print(f"{name:10} {s:8.3f} s   {s / medians['heatgrid']:6.2f} x heatgrid   {min(seconds[name]):.3f} at best")
    print(f"{best[0] / medians['heatgrid']:.2f} x the best of the others ({best[1]}); rows flagged: "
          f"{sum(row[2] for row in answers['heatgrid']):,}")  # fmt: skip
    from heatgrid.bench import race

    out = args.out or Path(__file__).parent / "results" / f"friction-{args.rows}.json"
    ratios = {
        name: statistics.median(a / b for a, b in zip(each, seconds["heatgrid"], strict=True))
        for name, each in seconds.items()
    }
    report = {
        "benchmark": "rage clicks", "rows": args.rows, "rounds": args.rounds, "threads": 2, "best": best[1],
        "machine": race.machine(), "median_s": medians, "times_heatgrid": ratios, "seconds": seconds,
    }  # fmt: skip
    out.write_text(json.dumps(report, indent=1) + "\n")


def columns(path: Path):
    """Columns of the demo dump with the number of each row; the strings as one dictionary a column."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["session", "tab", "kind", "page", "feature"]
    table = pq.read_table(path, columns=COLUMNS, read_dictionary=names)
    for name in ("x", "y"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.float64()))
    table = table.unify_dictionaries().combine_chunks()
    return table.append_column("n", pa.array(np.arange(table.num_rows)))


def heatgrid(rows, where="kind = 'click'"):
    import heatgrid as hg

    table = rows.drop_columns(["n"])

    def run():
        heat = hg.run(
            hg.read(table, where=where), friction="rage:posthog", maps=(), tables=(), threads=2, keep_bots=True
        )
        found = (heat.friction[name].to_pylist() for name in FOUND)
        return [row for row in zip(*found, strict=True) if row[2]]

    return run


def whole(rows):
    return heatgrid(rows, where=None)


def scan(rows):
    import heatgrid as hg

    events = rows.drop_columns(["n"])

    def run():
        hg.run(events, maps=(), tables=(), threads=2, keep_bots=True)

    return run


def duckdb_(rows):
    """A click is linked to the one before it; of a chain the third is linked, as the second is, and the first not."""
    import duckdb

    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone = 'UTC'")
    con.register("arrow_rows", rows)
    con.execute("CREATE TABLE events AS SELECT * FROM arrow_rows")
    usable = f"session IS NOT NULL AND time >= '{FIRST}' AND time < '{LAST}'"
    window = "w AS (PARTITION BY session, tab ORDER BY ms, n)"
    text = f"""
      WITH clicks AS (SELECT session, tab, n, page, feature, x, y, epoch_ms(time) AS ms FROM events
                      WHERE kind = 'click' AND {usable}),
      linked AS (SELECT *, coalesce(ms - lag(ms) OVER w < 1000
                   AND abs(x - lag(x) OVER w) + abs(y - lag(y) OVER w) < 30, false) AS link
                 FROM clicks WINDOW {window}),
      chains AS (SELECT *, coalesce(lag(link) OVER w, false) AS second, coalesce(lag(link, 2) OVER w, false) AS first
                 FROM linked WINDOW {window})
      SELECT coalesce(page, '(none)'), coalesce(feature, '(none)'), count(*), count(DISTINCT session)
      FROM chains WHERE link AND second AND NOT first GROUP BY page, feature"""
    return lambda: con.execute(text).fetchall()


def chdb_(rows):
    """Its lag over a row that is not there gives 0 or '': the partition's first row is told by row_number."""
    import pyarrow.parquet as pq
    from chdb.session import Session

    path = Path(tempfile.mkdtemp()) / "rows.parquet"
    pq.write_table(rows, path)
    session = Session()
    session.query("CREATE DATABASE IF NOT EXISTS b ENGINE = Atomic")
    session.query(f"CREATE TABLE b.events ENGINE = Memory AS SELECT * FROM file('{path}', Parquet)")
    window = "(PARTITION BY session, tab ORDER BY ms, n ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    text = f"""
      WITH clicks AS (SELECT session, tab, n, page, feature, x, y, toUnixTimestamp64Milli(time) AS ms FROM b.events
                      WHERE kind = 'click' AND session IS NOT NULL AND time >= toDateTime64('2000-01-01', 3, 'UTC')
                        AND time < toDateTime64('2101-01-01', 3, 'UTC')),
      linked AS (SELECT *, row_number() OVER w > 1 AND ms - lagInFrame(ms) OVER w < 1000
                   AND coalesce(abs(x - lagInFrame(x) OVER w) + abs(y - lagInFrame(y) OVER w) < 30, false) AS link
                 FROM clicks WINDOW w AS {window}),
      chains AS (SELECT *, lagInFrame(link) OVER w AS second, lagInFrame(link, 2) OVER w AS first
                 FROM linked WINDOW w AS {window})
      SELECT coalesce(page, '(none)') AS p, coalesce(feature, '(none)') AS f, count() AS c, uniqExact(session) AS s
      FROM chains WHERE link AND second AND NOT first GROUP BY page, feature
      SETTINGS max_threads = 2 FORMAT JSONCompactEachRow"""

    def run():
        lines = session.query(text).bytes().decode().splitlines()
        return [(p, f, int(c), int(s)) for p, f, c, s in map(json.loads, lines)]

    return run


def polars_(rows):
    """One sort by session and shifts across it: faster than `over`."""
    import polars as pl

    frame = pl.from_arrow(rows)
    same = (pl.col("session") == pl.col("session").shift(1)) & pl.col("tab").eq_missing(pl.col("tab").shift(1))
    step = (pl.col("time") - pl.col("time").shift(1)).dt.total_milliseconds()
    away = (pl.col("x") - pl.col("x").shift(1)).abs() + (pl.col("y") - pl.col("y").shift(1)).abs()
    link = (same & (step < 1000) & (away < 30) & away.is_finite()).fill_null(value=False)
    again = [pl.col("link").shift(k).fill_null(value=False) for k in (1, 2)]
    # a link says that both clicks are of one session and tab, so that chains never leave them
    lazy = (
        frame.lazy()
        .filter(pl.col("kind") == "click", pl.col("session").is_not_null(), pl.col("time") >= FIRST,
                pl.col("time") < LAST)
        .select("session", "tab", "time", "n", "page", "feature", "x", "y")
        .sort("session", "tab", "time", "n")
        .with_columns(link=link)
        .filter(pl.col("link") & again[0] & ~(again[0] & again[1]))
        .group_by("page", "feature")
        .agg(flagged=pl.len(), sessions=pl.col("session").n_unique())
    )  # fmt: skip
    none = "(none)"
    return lambda: [(p or none, f or none, c, s) for p, f, c, s in lazy.collect(engine="streaming").rows()]


if __name__ == "__main__":
    main()
