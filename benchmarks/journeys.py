"""Transitions between pages from columns in memory: heatgrid, DuckDB, Polars, ClickHouse (chdb).

Each engine holds the same rows in its own memory, in the form that suits it best (sessions as integers for the peers,
pages as dictionaries), on two threads. The peers count pairs and their distinct sessions; heatgrid measures the times
between the steps as well. One process an engine and round, round after round; the answers must be equal.

    python benchmarks/journeys.py --rows 10000000 --rounds 5
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent
CONTENDERS = ("heatgrid", "duckdb", "polars", "polars-over", "chdb")
Pairs = list[tuple[str, str, int, int]]


def columns(path: Path) -> pa.Table:
    """The usable rows in order of time, sessions and pages as dictionaries; kept beside the dump, to be sorted once."""
    kept = path.with_suffix(".sorted.arrow")
    if not kept.exists():
        table = in_order(path)
        with pa.ipc.new_file(kept, table.schema) as file:
            file.write_table(table)
    with pa.OSFile(str(kept)) as source:
        return pa.ipc.open_file(source).read_all()


def in_order(path: Path) -> pa.Table:
    names = ["time", "session", "page", "kind"]
    table = pq.read_table(path, columns=names, read_dictionary=["session", "page", "kind"])
    usable = pc.and_(pc.is_valid(table["session"]), pc.is_valid(table["page"]))
    years = pc.year(table["time"])
    usable = pc.and_(usable, pc.and_(pc.greater_equal(years, 2000), pc.less(years, 2101)))
    return table.filter(pc.fill_null(usable, False)).sort_by("time").unify_dictionaries().combine_chunks()


def plain(table: pa.Table) -> pa.Table:
    """For the peers: sessions as integers, and a number of the row, so that ties keep their order."""
    session = table["session"].combine_chunks().indices.cast(pa.int32())
    row = pa.array(np.arange(table.num_rows, dtype=np.int32))
    return table.set_column(1, "session", session).append_column("row", row)


def heatgrid(table: pa.Table, threads: int) -> Callable[[], Pairs]:
    import heatgrid as hg

    def work() -> Pairs:
        heat = hg.run(table, maps=(), tables=(), transitions=("pages",), threads=threads, keep_bots=True)
        rows = heat.transitions.select(["from", "to", "count", "sessions"]).to_pylist()
        return [tuple(row.values()) for row in rows if row["from"] != "(entry)" and row["to"] != "(exit)"]

    return work


def duckdb(table: pa.Table, threads: int) -> Callable[[], Pairs]:
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads = {threads}; SET preserve_insertion_order = false")
    con.register("arrow", plain(table))
    words = {name: sorted(set(table[name].combine_chunks().dictionary.to_pylist())) for name in ("page", "kind")}
    for name, found in words.items():
        listed = ", ".join("'" + word.replace("'", "''") + "'" for word in found)
        con.execute(f"CREATE TYPE {name}_name AS ENUM ({listed})")
    con.execute("""CREATE TABLE rows AS SELECT epoch_ms(time) AS ms, session, page::page_name AS page,
                   kind::kind_name AS kind, "row" FROM arrow ORDER BY "row" """)
    query = """SELECT before::VARCHAR, page::VARCHAR, count(*), count(DISTINCT session)
               FROM (SELECT session, page, kind, lag(page) OVER (PARTITION BY session ORDER BY ms, "row") AS before
                     FROM rows)
               WHERE before IS NOT NULL AND (kind = 'pageview' OR page <> before) GROUP BY ALL"""
    return lambda: con.execute(query).fetchall()


def polars(table: pa.Table, threads: int, *, windows: bool = False) -> Callable[[], Pairs]:
    import polars as pl

    rows = pl.DataFrame(plain(table)).rechunk().lazy()

    def work() -> Pairs:
        if windows:
            placed = rows.with_columns(before=pl.col("page").shift(1).over("session"))
        else:
            placed = rows.sort("session", maintain_order=True).with_columns(
                before=pl.when(pl.col("session") == pl.col("session").shift(1)).then(pl.col("page").shift(1))
            )
        steps = placed.filter(
            pl.col("before").is_not_null() & ((pl.col("kind") == "pageview") | (pl.col("page") != pl.col("before")))
        )
        found = steps.group_by("before", "page").agg(pl.len(), pl.col("session").n_unique()).collect()
        return found.cast({"before": pl.String, "page": pl.String}).rows()

    return work


def chdb(table: pa.Table, threads: int) -> Callable[[], Pairs]:
    from chdb.session import Session

    path = Path(tempfile.mkdtemp()) / "rows.parquet"
    pq.write_table(plain(table), path)
    session = Session()
    session.query(
        """CREATE TABLE rows (ms Int64, session Int32, page LowCardinality(String), kind LowCardinality(String),
            row Int32) ENGINE = MergeTree ORDER BY (session, ms, row)"""
    )
    session.query(
        f"""INSERT INTO rows SELECT toUnixTimestamp64Milli(toDateTime64(time, 3)), session, page, kind, row
            FROM file('{path}', Parquet)"""
    )
    session.query("OPTIMIZE TABLE rows FINAL")
    query = f"""SELECT before, page, count(), uniqExact(session)
                FROM (SELECT session, page, kind, lagInFrame(page) OVER w AS before, row_number() OVER w AS place
                      FROM rows WINDOW w AS (PARTITION BY session ORDER BY ms, row
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))
                WHERE place > 1 AND (kind = 'pageview' OR page != before) GROUP BY before, page
                SETTINGS max_threads = {threads}"""

    def work() -> Pairs:
        lines = str(session.query(query, "JSONEachRow")).splitlines()
        return [
            (r["before"], r["page"], int(r["count()"]), int(r["uniqExact(session)"])) for r in map(json.loads, lines)
        ]

    return work


def child(name: str, path: Path, warm: Path, threads: int) -> None:
    make = {
        "heatgrid": heatgrid, "duckdb": duckdb, "polars": polars, "chdb": chdb,
        "polars-over": lambda table, threads: polars(table, threads, windows=True),
    }[name]  # fmt: skip
    if name != "chdb":  # one session a process
        make(columns(warm), threads)()
    work = make(columns(path), threads)
    work()  # not counted: some decode, compile or fetch fresh memory for the first time
    started = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - started
    digest = hashlib.sha256(repr(sorted(tuple(row) for row in answer)).encode()).hexdigest()
    print(json.dumps({"seconds": seconds, "answer": digest, "pairs": len(answer)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by comma")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from heatgrid.bench import race
    from whole_way import dump

    path, warm = dump(args.dumps, args.rows, None), dump(args.dumps, 100_000, None)
    if args.child:
        child(args.child, path, warm, args.threads)
        return
    columns(path)
    runs: dict[str, list[dict]] = {name: [] for name in args.only.split(",")}
    command = [sys.executable, __file__, "--rows", args.rows, "--threads", args.threads, "--dumps", args.dumps]
    env = os.environ | {"POLARS_MAX_THREADS": str(args.threads)}
    for number in range(args.rounds):
        for name, each in runs.items():
            done = subprocess.run(
                [str(c) for c in (*command, "--child", name)], env=env, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr}")
            each.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number + 1} {name:12} {each[-1]['seconds']:8.3f} s", flush=True)
    answers = {run["answer"] for each in runs.values() for run in each}
    if len(answers) > 1:
        raise SystemExit(f"the answers differ: { {name: each[0] for name, each in runs.items()} }")
    medians = {name: statistics.median(run["seconds"] for run in each) for name, each in runs.items()}
    ours = [run["seconds"] for run in runs.get("heatgrid", [])]
    ratios = {}
    for name, each in runs.items() if ours else ():
        ratios[name] = statistics.median(a["seconds"] / b for a, b in zip(each, ours, strict=True))
    report = {
        "benchmark": "transitions", "rows": args.rows, "rounds": args.rounds, "threads": args.threads,
        "processor": race.machine()["processor"], "median_s": medians, "times_heatgrid": ratios,
        "seconds": {name: [run["seconds"] for run in each] for name, each in runs.items()},
    }  # fmt: skip
    out = args.out or HERE / "results" / f"transitions-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    for name, seconds in medians.items():
        print(f"{name:12} {seconds / args.rows * 1e9:8.1f} ns/row  {ratios.get(name, 0):6.2f} x heatgrid")


if __name__ == "__main__":
    main()
