"""Foreign oracles of journeys: DuckDB for transitions, ClickHouse (chdb) for the funnel; on the demo dump and ties."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.demo.generate import write
from oracle import sql
from oracle.journeys import funnel_level
from oracle.sessions import percentile

FIRST, LAST = 946_684_800_000_000, 4_133_980_800_000_000
STRICT = ((), ("order",), ("increase",), ("order", "increase"))


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """The demo dump, and after it the rows of it that count."""
    folder = tmp_path_factory.mktemp("journeys")
    write(folder / "events.parquet", 150_000, seed=12)
    source = f"""(SELECT * FROM {sql.parquet([folder / "events.parquet"])}
                  WHERE epoch_us(time) >= {FIRST} AND epoch_us(time) < {LAST} AND session IS NOT NULL
                  QUALIFY row_number() OVER (PARTITION BY session, event_id ORDER BY time, file_row_number) = 1
                    OR event_id IS NULL)"""
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(f"COPY (SELECT * FROM {source}) TO '{folder / 'rows.parquet'}' (FORMAT parquet)")
    return folder


@pytest.mark.parametrize("order", ["auto", "any"])
def test_duckdb_counts_the_same_transitions(dump, order):
    heat = hg.run(str(dump / "events.parquet"), order=order, maps=(), transitions=("pages",), keep_bots=True)
    has = set(pq.read_schema(dump / "rows.parquet").names)
    with duckdb.connect(config={"threads": 2}) as db:
        found = db.execute(sql.transitions(f"read_parquet('{dump / 'rows.parquet'}')", has)).fetchall()
    want = {
        (a or "(entry)", b or "(exit)"): (count, sessions, percentile(times or [], 50), percentile(times or [], 95))
        for a, b, count, sessions, times in found
    }
    rows = heat.transitions.to_pylist()
    assert len(want) > 300
    got = {(r["from"], r["to"]): (r["count"], r["sessions"], r["p50_ms"], r["p95_ms"]) for r in rows}
    assert got == want


def clickhouse(query) -> list[list[int]]:
    chdb = pytest.importorskip("chdb", reason="ClickHouse (chdb) is not installed: its windowFunnel is not asked")
    return [[int(v) for v in line.split(",")] for line in str(chdb.query(query, "CSV")).split()]


def options(strict) -> str:
    return "".join(f", 'strict_{name}'" for name in strict)


@pytest.mark.parametrize("strict", STRICT)
@pytest.mark.parametrize("window_ms", [2_000, 600_000])
def test_clickhouse_sees_the_same_funnel_in_the_demo_dump(dump, strict, window_ms):
    pages = [row["page"] for row in hg.run(str(dump / "events.parquet"), maps=()).pages.to_pylist()[:3]]
    steps = [f"pageview:{pages[0]}", "click", f"page={pages[1]}", {"kind": ["move", "click"], "page": pages[2]}]
    wanted = [
        f"kind = 'pageview' AND page = '{pages[0]}'", "kind = 'click'", f"page = '{pages[1]}'",
        f"kind IN ('move', 'click') AND page = '{pages[2]}'",
    ]  # fmt: skip
    conditions = ", ".join(f"ifNull({c}, 0)" for c in wanted)
    levels = clickhouse(f"""
        SELECT level, count() FROM (
          SELECT windowFunnel({window_ms}{options(strict)})(
            toUInt64(toUnixTimestamp64Milli(toDateTime64(time, 3))), {conditions}) AS level
          FROM file('{dump / "rows.parquet"}', Parquet) GROUP BY session) GROUP BY level""")
    reached = [sum(n for level, n in levels if level >= k) for k in (1, 2, 3, 4)]
    heat = hg.run(
        str(dump / "events.parquet"), maps=(), funnel=steps, funnel_window_ms=window_ms, strict=strict,
        keep_bots=True,
    )  # fmt: skip
    assert heat.funnel["sessions"].to_pylist() == reached
    assert sum(n for _, n in levels) == heat.summary["sessions"]
    assert reached[0] > 1000
    assert reached[1] > 10


@pytest.mark.parametrize("strict", STRICT)
def test_clickhouse_engine_and_oracle_agree_on_ties_and_returns(strict, tmp_path):
    """A row of several steps, rows of one time, chains begun anew: 3,000 sessions of them."""
    rng, rows = random.Random(7), []
    for session in range(3_000):
        now = 1_788_220_800_000
        for _ in range(rng.randint(1, 14)):
            now += rng.choice((0, 0, 0, 1, 1, 2, 4))
            rows.append({"session": session, "time": now, "page": str(rng.choice((0, 1, 2, 4, 8, 3, 6, 7, 12)))})
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "rows.parquet")
    bits = ", ".join(f"bitTest(toUInt8(page), {i})" for i in range(4))
    found = clickhouse(f"""SELECT session, windowFunnel(4{options(strict)})(toUInt64(time), {bits})
                           FROM file('{tmp_path / "rows.parquet"}', Parquet) GROUP BY session ORDER BY session""")
    pairs = {}
    for row in rows:
        mine = [i + 1 for i in range(4) if int(row["page"]) >> i & 1] or [0]
        pairs.setdefault(row["session"], []).extend((row["time"], step) for step in mine)
    assert [level for _, level in found] == [funnel_level(pairs[s], 4, 4, strict)[0] for s, _ in found]
    steps = [{"page": [str(p) for p in (0, 1, 2, 4, 8, 3, 6, 7, 12) if p >> i & 1]} for i in range(4)]
    times = table.set_column(1, "time", table["time"].cast(pa.timestamp("ms", "UTC")))
    heat = hg.run(times.sort_by("session"), maps=(), funnel=steps, funnel_window_ms=4, strict=strict)
    reached = [sum(level >= k for _, level in found) for k in (1, 2, 3, 4)]
    assert heat.funnel["sessions"].to_pylist() == reached
    assert 0 < reached[3] < reached[0] < 3_000
