"""The scan leaves out what a plan lacks columns for. Each of these has one such column alone, and needs it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg

AT = 1_780_000_000_000


def steps(rows: dict[str, list[object]]) -> list[tuple[str, str]]:
    heat = hg.run(rows, maps=(), tables=("pages",), transitions=("pages",))
    return sorted(zip(heat.transitions["from"].to_pylist(), heat.transitions["to"].to_pylist(), strict=True))


def test_seq_alone_orders_rows_of_one_time() -> None:
    """Fails without seq in scan.ODD: the rows of one time would keep the order of the input."""
    rows = {"time": [AT, AT], "seq": [2, 1], "session": ["s", "s"], "page": ["/second", "/first"]}
    assert ("/first", "/second") in steps(rows)
    assert ("/second", "/first") not in steps(rows)


def test_the_rank_of_files_alone_orders_rows_of_one_time(tmp_path: Path) -> None:
    """Fails without rank in scan.ODD: b.parquet is read first, since it begins first, and its row would stay first."""
    kinds = pa.schema({"time": pa.timestamp("ms"), "session": pa.string(), "page": pa.string()})
    files = {"a": ([AT + 100, AT + 200], ["/a", "/end"]), "b": ([AT + 50, AT + 100], ["/begin", "/b"])}
    for name, (times, pages) in files.items():
        table = pa.table({"time": times, "session": ["s", "s"], "page": pages}).cast(kinds)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    heat = hg.run(str(tmp_path / "*.parquet"), maps=(), tables=("pages",), transitions=("pages",))
    found = set(zip(heat.transitions["from"].to_pylist(), heat.transitions["to"].to_pylist(), strict=True))
    assert found == {("(entry)", "/begin"), ("/begin", "/a"), ("/a", "/b"), ("/b", "/end"), ("/end", "(exit)")}


@pytest.mark.parametrize(("views", "expected"), [(["v1", "v2", "v1", "v2"], 2), (["v1", "v1", "v2", "v3"], 3)])
def test_views_have_ids(views: list[str], expected: int) -> None:
    """Fails without view in scan.ODD: all rows are of one page, so there would be one view."""
    times = [AT, AT + 10, AT + 20, AT + 30]
    rows = {"time": times, "session": ["s"] * 4, "page": ["/"] * 4, "view": views}
    heat = hg.run(rows, maps=(), tables=("pages",))
    assert heat.state.totals["views"] == expected
