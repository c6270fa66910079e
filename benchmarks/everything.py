"""All that METRICS.md defines but users, splits and comparisons, in one pass over a Parquet dump; beside it six queries
of DuckDB that each give a part of it, and what decoding the columns costs by pyarrow and by heatgrid itself.

Whole processes in turn, round after round; each warms up on a small dump and times the work alone. The six answers are
asserted: what the one pass says of them must be equal, row by row.

    python benchmarks/everything.py --rows 20000000 --rounds 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
QUERIES = ("dwell", "click map", "rage", "transitions", "funnel", "scroll reach")
CONTENDERS = ("heatgrid", "duckdb", "decode by pyarrow", "decode by heatgrid")
STEPS = ("/", "/pricing", "/signup", "/dashboard")
CELL, NX, NY = 8.0, 2048, 32768
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
UNREAD = {"event_id": None}
"""Left out of the map: the dump repeats a few rows, and each query would have to look for them."""
Answer = list[tuple[object, ...]]


def plan():
    import heatgrid as hg
    from exposure import boxes

    return hg.Plan(
        maps=("clicks", "moves", "first_clicks", "last_clicks"), tables=("features", "pages"), cell=CELL, frame="page",
        friction=("rage:posthog", "quick_back", "page_loop", "thrash"), scroll=True, layout=boxes(), goal="click",
        transitions=("pages", "features"), paths=("pages",), funnel=[f"pageview:{page}" for page in STEPS],
        funnel_window_ms=10 * 365 * 86_400_000, keep_bots=True,
    )  # fmt: skip


def events(path: str):
    import heatgrid as hg

    return hg.read(path, map=UNREAD)


def heatgrid(path: str, threads: int) -> dict[str, Answer]:
    import heatgrid as hg

    heat = hg.run(events(path), plan(), threads=threads)
    return {
        "dwell": rows(heat.features, "feature", "events", "sessions", "dwell_ms", "visits"),
        "click map": cells(heat),
        "rage": [r[1:] for r in rows(heat.friction, "rule", "page", "feature", "flagged", "sessions")
                 if r[0] == "rage:posthog" and r[3]],
        "transitions": [r for r in rows(heat.transitions, "from", "to", "count", "sessions")
                        if r[0] != "(entry)" and r[1] != "(exit)"],
        "funnel": rows(heat.funnel, "sessions"),
        "scroll reach": summed(rows(heat.reach, "page", "y", "views")),
    }  # fmt: skip


def rows(table, *names: str) -> Answer:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def summed(found: Answer) -> Answer:
    """Over width buckets: the last value by those before it."""
    out: dict[tuple[object, ...], int] = {}
    for *key, value in found:
        out[tuple(key)] = out.get(tuple(key), 0) + value
    return [(*key, value) for key, value in out.items()]


def cells(heat) -> Answer:
    """Clicks by page and cell. (Their sessions are counted within a width bucket, and do not add up over them.)"""
    import numpy as np

    state = heat.state
    maps = state.maps["maps"]
    of_clicks = maps.keys[:, -3] == 0
    kept = np.flatnonzero(of_clicks[maps.tiles[:, 0]])
    tile, cell = np.nonzero(maps.counts[kept, :, 0])
    row, number = maps.tiles[kept][tile].T
    iy, ix = number // (NX // 16) * 16 + cell // 16, number % (NX // 16) * 16 + cell % 16
    names, page = state.names["page"], maps.keys[row, 0]
    whole = ((page * NY + iy) * NX + ix).astype(np.int64)
    keys, at = np.unique(whole, return_inverse=True)
    counts = np.bincount(at, maps.counts[kept][tile, cell, 0]).astype(np.int64)
    return [
        (names[k // (NX * NY)], k // NX % NY, k % NX, n) for k, n in zip(keys.tolist(), counts.tolist(), strict=True)
    ]


def queries(path: str) -> dict[str, str]:
    usable = f"session IS NOT NULL AND time >= '{FIRST}' AND time < '{LAST}'"
    source = f"(SELECT *, epoch_ms(time) AS ms FROM read_parquet('{path}', file_row_number = true) WHERE {usable})"
    here = "here AS (PARTITION BY session, tab ORDER BY time, file_row_number)"
    waking = ("visible", "pageview", "click", "move", "scroll", "input")
    mark = "CASE WHEN page IS NOT NULL THEN page WHEN kind = 'pageview' THEN chr(0) END"
    opens = f"""row_number() OVER here = 1 OR kind = 'pageview' OR (page IS NOT NULL AND page IS DISTINCT FROM
                last_value({mark} IGNORE NULLS) OVER (here ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))"""
    found = {}
    found["dwell"] = f"""
      WITH placed AS (
        SELECT session, feature, lead(ms) OVER here - ms AS step, lag(feature) OVER here AS before, {opens} AS opens,
               last_value(CASE WHEN kind = 'hidden' THEN true WHEN kind IN {waking} THEN false END IGNORE NULLS)
                 OVER (here ROWS UNBOUNDED PRECEDING) AS hidden
        FROM (SELECT session, tab, time, file_row_number, kind, page, feature, ms FROM {source}) WINDOW {here})
      SELECT feature, count(*), count(DISTINCT session),
             CAST(coalesce(sum(least(step, CASE WHEN step IS NOT NULL THEN 30000 END))
               FILTER (hidden IS NOT TRUE), 0) AS BIGINT),
             count(*) FILTER (opens OR before IS DISTINCT FROM feature)
      FROM placed WHERE feature IS NOT NULL GROUP BY ALL"""
    found["click map"] = f"""
      SELECT page, CAST(floor(y / {CELL}::DOUBLE) AS BIGINT) AS iy, CAST(floor(x / {CELL}::DOUBLE) AS BIGINT) AS ix,
             count(*)
      FROM {source} WHERE kind = 'click' AND isfinite(x) AND isfinite(y) AND x >= 0 AND y >= 0
        AND x / {CELL}::DOUBLE < {NX} AND y / {CELL}::DOUBLE < {NY} GROUP BY ALL"""
    found["rage"] = f"""
      WITH linked AS (
        SELECT *, coalesce(ms - lag(ms) OVER here < 1000 AND isfinite(x) AND isfinite(y)
                 AND abs(x::DOUBLE - lag(x) OVER here) + abs(y::DOUBLE - lag(y) OVER here) < 30, false) AS link
        FROM (SELECT session, tab, time, file_row_number, page, feature, x, y, ms FROM {source} WHERE kind = 'click')
        WINDOW {here}),
      chains AS (
        SELECT *, coalesce(lag(link) OVER here, false) AS second, coalesce(lag(link, 2) OVER here, false) AS first
        FROM linked WINDOW {here})
      SELECT coalesce(page, '(none)'), coalesce(feature, '(none)'), count(*), count(DISTINCT session)
      FROM chains WHERE link AND second AND NOT first GROUP BY ALL"""
    found["transitions"] = f"""
      WITH placed AS (
        SELECT session, time, file_row_number, coalesce(page, '(none)') AS page, {opens} AS opens
        FROM (SELECT session, tab, time, file_row_number, kind, page FROM {source}) WINDOW {here}),
      steps AS (
        SELECT session, page, lag(page) OVER (PARTITION BY session ORDER BY time, file_row_number) AS before
        FROM placed WHERE opens)
      SELECT before, page, count(*), count(DISTINCT session) FROM steps WHERE before IS NOT NULL GROUP BY ALL"""
    first, *others = STEPS
    chain = f"step0 AS (SELECT session, min(time) AS at FROM rows WHERE page = '{first}' GROUP BY session)"
    for k, page in enumerate(others, 1):
        chain += f""",
      step{k} AS (SELECT session, min(rows.time) AS at FROM rows JOIN step{k - 1} USING (session)
                  WHERE page = '{page}' AND rows.time >= step{k - 1}.at GROUP BY session)"""
    found["funnel"] = f"""
      WITH rows AS (SELECT session, time, page FROM {source} WHERE kind = 'pageview' AND page IN {STEPS}), {chain}
      {" UNION ALL ".join(f"SELECT {k}, count(*) FROM step{k}" for k in range(len(STEPS)))} ORDER BY 1"""
    found["scroll reach"] = f"""
      WITH placed AS (
        SELECT session, tab, time, file_row_number, page, {opens} AS opens, scroll_y::DOUBLE +
                 last_value(CASE WHEN viewport_h > 0 THEN viewport_h END IGNORE NULLS)
                   OVER (here ROWS UNBOUNDED PRECEDING) AS bottom, page_h
        FROM (SELECT session, tab, time, file_row_number, kind, page, scroll_y, viewport_h, page_h FROM {source})
        WINDOW {here}),
      numbered AS (
        SELECT session, tab, page, CASE WHEN bottom IS NOT NULL THEN least(bottom, page_h) END AS reach, opens,
               sum(CAST(opens AS INTEGER)) OVER (here ROWS UNBOUNDED PRECEDING) AS view FROM placed WINDOW {here}),
      views AS (
        SELECT coalesce(max(page) FILTER (opens), '(none)') AS page, max(reach) AS reach
        FROM numbered GROUP BY session, tab, view HAVING max(reach) IS NOT NULL),
      levels AS (
        SELECT page, CAST(floor(reach / 16) AS BIGINT) AS level, count(*) AS views FROM views GROUP BY ALL)
      SELECT page, level, views FROM levels"""
    return found


def duckdb(path: str, threads: int) -> tuple[dict[str, Answer], dict[str, float]]:
    """The answers, and the seconds of each."""
    import duckdb as db

    con = db.connect()
    con.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    answers, seconds = {}, {}
    for name, text in queries(path).items():
        started = time.perf_counter()
        answers[name] = con.execute(text).fetchall()
        seconds[name] = time.perf_counter() - started
    answers["funnel"] = [(n,) for _, n in answers["funnel"]]
    curve: dict[tuple[object, ...], int] = {}
    for page, level, views in answers["scroll reach"]:
        for below in range(level + 1):
            curve[page, below * 16] = curve.get((page, below * 16), 0) + views
    answers["scroll reach"] = [(*key, views) for key, views in curve.items()]
    return answers, seconds


def needed(path: str) -> tuple[str, ...]:
    """The columns of the source that the plan reads."""
    from heatgrid.engine.encode import Needs

    source = events(path)
    names = Needs.of(source.fit(plan())[0], set(source.columns), source.others).names
    return tuple(source.columns.get(name, name) for name in names)


def by_pyarrow(path: str, threads: int) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(threads)
    names = needed(path)
    schema = pq.read_schema(path)
    words = [name for name in names if pa.types.is_dictionary(schema.field(name).type)]
    file = pq.ParquetFile(path, read_dictionary=words, pre_buffer=True)
    return sum(b.num_rows for b in file.iter_batches(1 << 18, columns=list(names), use_threads=True))


def by_heatgrid(path: str, threads: int) -> int:
    from heatgrid.engine.encode import Needs
    from heatgrid.engine.workers import Workers

    source = events(path)
    names = Needs.of(source.fit(plan())[0], set(source.columns), source.others).names
    with Workers(threads) as workers:
        return sum(chunk.batch.num_rows for chunk in source.scan(names, threads=threads, workers=workers))


def child(name: str, path: str, warm: str, threads: int) -> None:
    from whole_way import warm_up

    work: Callable[[str], object] = {
        "heatgrid": lambda p: heatgrid(p, threads),
        "duckdb": lambda p: duckdb(p, threads),
        "decode by pyarrow": lambda p: by_pyarrow(p, threads),
        "decode by heatgrid": lambda p: by_heatgrid(p, threads),
    }[name]
    warm_up(work, warm)
    cpu, started = time.process_time(), time.perf_counter()
    answer = work(path)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    parts: dict[str, float] = {}
    if isinstance(answer, tuple):
        answer, parts = answer
        seconds = sum(parts.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    digests = {} if isinstance(answer, int) else {name: digest(found) for name, found in answer.items()}
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds, "peak_mb": peak, "parts": parts, "answers": digests}))


def digest(found: Answer) -> str:
    return hashlib.sha256(repr(sorted(map(tuple, found))).encode()).hexdigest() + f" ({len(found):,} rows)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--sessions", type=int, help="default: one for 50 rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by comma")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child, threads=args.threads)
        return
    from heatgrid.bench import race
    from whole_way import WARM_ROWS, dump, figures, ratios, read_once, show

    path, warm = dump(args.dumps, args.rows, args.sessions), dump(args.dumps, WARM_ROWS, None)
    runs: dict[str, list[dict]] = {name: [] for name in args.only.split(",")}
    for number in range(args.rounds):
        for name, each in runs.items():
            read_once(path)
            command = [sys.executable, __file__, "--threads", args.threads, "--child", name, path, warm]
            env = os.environ | {"POLARS_MAX_THREADS": str(args.threads)}
            done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr}")
            each.append(json.loads(done.stdout.splitlines()[-1]))
            print(
                f"round {number + 1} {name:20} {each[-1]['seconds']:8.2f} s  {each[-1]['peak_mb']:7.0f} MB", flush=True
            )
    for query in QUERIES:
        found = {name: {run["answers"][query] for run in each if run["answers"]} for name, each in runs.items()}
        if len(set().union(*found.values())) > 1:
            raise SystemExit(f"the answers of {query} differ: {found}")
    report = {
        "benchmark": "everything", "rows": args.rows, "sessions": args.sessions or args.rows // 50,
        "rounds": args.rounds, "threads": args.threads, "bytes": path.stat().st_size, "columns": needed(str(path)),
        "machine": race.machine(), "versions": race.versions(("numba", "numpy", "pyarrow", "duckdb")),
        "contenders": {name: figures(each, args.rows) for name, each in runs.items()},
        "times_heatgrid": ratios(runs, "heatgrid"),
        "queries_s": {query: sorted(run["parts"][query] for run in runs.get("duckdb", [])) for query in QUERIES},
    }  # fmt: skip
    out = args.out or HERE / "results" / f"everything-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    for query, times in report["queries_s"].items():
        print(f"  {query:14} {times[len(times) // 2] if times else 0:8.2f} s of DuckDB's")


if __name__ == "__main__":
    main()
