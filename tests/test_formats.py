"""Formats by name: what they declare, canonical Parquet of them, and one that another package declares."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.sources.adapters.registry import Lines, Recordings, Tables, load, names
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.events import CANONICAL

ROOT = Path(__file__).resolve().parents[1]
T = 1_717_200_000_000
EVENTS = [
    {"type": 4, "data": {"href": "https://a.example/p/1234?mail=q@r.example", "width": 1000, "height": 600}},
    {"type": 3, "data": {"source": 2, "type": 2, "id": 4, "x": 5, "y": 6}},
    {"type": 3, "data": {"source": 1, "positions": [{"x": 1, "y": 1, "id": 4, "timeOffset": -5}]}},
]
EVENTS = [event | {"timestamp": T + 1000 * n} for n, event in enumerate(EVENTS)]


@pytest.mark.parametrize("name", names())
def test_every_format_says_what_it_gives_and_lacks(name, capfd):
    adapter = load(name)
    assert adapter.name == name
    assert isinstance(adapter, Recordings | Lines | Tables)
    assert {"time", "kind"} <= set(adapter.schema.names) & set(CANONICAL)
    assert adapter.lacks
    assert main(["formats", name]) == 0
    shown = capfd.readouterr().out
    assert all(what in shown for what in adapter.lacks)
    assert main(["formats", name, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)["formats"][name]
    assert set(told) == {"about", "gives", "lacks", "evidence", "options", "tried"}
    assert adapter.tried in shown


def test_the_list_has_every_format_and_an_unknown_one_is_an_error(capfd):
    assert main(["formats"]) == 0
    shown = capfd.readouterr().out
    assert all(re.search(rf"^{name} ", shown, re.MULTILINE) for name in (*names(), "parquet", "csv"))
    untried = {line.split()[0] for line in shown.splitlines() if "(not tried on a real one)" in line}
    assert untried == set(names()) - {"rrweb", "snowplow"}
    for name in ("matomo", "openreplay", "hotjar", "crazyegg"):
        assert re.search(rf"^not {name} ", shown, re.MULTILINE)
        assert main(["formats", name]) == 2
        told = capfd.readouterr().err
        assert "no adapter for this format" in told
        assert "rrweb" in told or "docs/other_formats.md" in told
    assert main(["formats", "rrwep"]) == 2
    assert "did you mean 'rrweb'" in capfd.readouterr().err


def test_canonical_parquet_gives_the_same_without_being_told_anything(tmp_path, capfd):
    source, made = tmp_path / "one.json", tmp_path / "one.parquet"
    source.write_text(json.dumps(EVENTS))
    assert main(["convert", str(source), "-o", str(made), "--json", "-q"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] == {"read": 3, "written": 3}
    assert pq.read_table(made)["page"].to_pylist() == ["/p/:id"] * 3
    assert b"q@r.example" not in made.read_bytes()
    plan = {"maps": ("clicks", "moves"), "scroll": True, "friction": ("thrash", "dead")}
    direct, again = hg.run(hg.read(source), **plan), hg.run(hg.read(made), **plan)
    assert hg.read(made).evidence == hg.read(source).evidence != hg.read({"time": [T], "kind": ["click"]}).evidence
    assert again.refused == direct.refused
    for name in ("features", "pages", "scroll", "reach"):
        assert getattr(again, name).equals(getattr(direct, name))
    assert again.map("clicks").values.tolist() == direct.map("clicks").values.tolist()
    assert main(["convert", str(source), "-o", str(made), "--keep-urls", "-q"]) == 0
    assert "q@r.example" in str(pq.read_table(made)["page"].to_pylist())


def test_convert_counts_what_is_lost_and_keeps_the_old_file_on_failure(tmp_path, capfd):
    source, made = tmp_path / "one.ndjson", tmp_path / "one.parquet"
    source.write_text("\n".join([*map(json.dumps, EVENTS), "{", "5"]))
    assert main(["convert", str(source), "-o", str(made)]) == 0
    assert "3 of 5 rows (rejected: 2 decode)" in capfd.readouterr().err
    before = made.read_bytes()
    source.write_text(json.dumps(EVENTS)[:-5])
    assert main(["convert", str(source), "-o", str(made), "-q"]) == 3
    assert made.read_bytes() == before
    assert main(["convert", str(source), "-o", "x.csv", "-q"]) == 2


@pytest.fixture
def kiosk(tmp_path, monkeypatch):
    """The package of docs/own_format.md, installed."""
    text = (ROOT / "docs" / "own_format.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    entry = re.search(r'"heatgrid.sources"\]\n(.*?)```', text, re.DOTALL)[1].replace('"', "")
    folder = tmp_path / "installed"
    about = folder / "kiosk-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "kiosk.py").write_text(code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kiosk\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[heatgrid.sources]\n{entry}broken = kiosk:Nothing\n")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("kiosk", None)


def test_a_format_of_another_package_is_read_as_its_documentation_says(kiosk, tmp_path, capfd):
    log = tmp_path / "a.kiosk"
    log.write_text("1717200000000;2a;start;50;50\n1717200001000;1b;menu;10;10\nbroken\n1717200002000;2a;menu;99;1\n")
    heat = hg.run(hg.read(tmp_path, format="kiosk"))
    assert heat.ledger.read == 4
    assert heat.ledger.rejected == {"decode": 1}
    assert heat.plan.cell_size == (10.8, 10.8)
    assert [note for note in heat.summary["notes"] if note.startswith(f"not readable: {log}:3: 1 fields")]
    assert hg.run(hg.read(log, format="kiosk:floor=2")).summary["sessions"] == 1
    assert main(["formats", "kiosk"]) == 0
    assert "a touch screen has no pointer" in capfd.readouterr().out
    assert "kiosk" in names()
    with pytest.raises(InputError, match="HG2220"):
        hg.read(log, format="broken")
    with pytest.raises(UsageError, match="HG1207"):
        hg.read(log, format="kiosk:storey=2")


DOC = (Path(__file__).parents[1] / "docs" / "other_formats.md").read_text(encoding="utf-8")


def test_matomos_tables_are_read_by_the_join_that_the_docs_give():
    query = re.search(r"```sql\n(.*?)```", DOC, re.DOTALL)[1]
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE log_hsr AS SELECT * FROM (VALUES (1, TIMESTAMP '2024-06-01 10:00:00', 1200, 700), "
            "(2, TIMESTAMP '2024-06-01 11:00:00', 400, 800)) t(idloghsr, server_time, viewport_w_px, viewport_h_px)"
        )
        connection.execute(
            "CREATE TABLE log_hsr_event AS SELECT * FROM (VALUES (1, 500, 1, 7, 20, 30), (1, 1500, 2, 7, 20, 30), "
            "(1, 4000, 2, 9, 1, 1), (2, 100, 2, 7, 5, 5), (2, 900, 3, NULL, 0, 400)) "
            "t(idloghsr, time_since_load, event_type, idselector, x, y)"
        )
        heat = hg.run(hg.read(connection.sql(query)))
    rows = {row["feature"]: (row["clicks"], row["sessions"], row["dwell_ms"]) for row in heat.features.to_pylist()}
    assert rows == {"selector 7": (2, 2, 2500 + 800), "selector 9": (1, 1, 0)}
    assert heat.summary["sessions"] == 2
    assert "clicks" in heat.refused


def test_openreplays_events_are_read_by_the_flags_that_the_docs_give(tmp_path, capfd):
    """Percents of a page whose size nobody tells are no points."""
    words = shlex.split(re.search(r"```sh\n(.*?)```", DOC, re.DOTALL)[1])
    made = [
        {"$event_name": name, "created_at": f"2024-06-01T10:00:0{k}Z", "distinct_id": "d", "session_id": "s",
         "$current_path": "/p/12", "$properties": {"normalized_x": 40.5, "normalized_y": 101}}
        for k, name in enumerate(("PAGEVIEW", "CLICK", "CLICK"))
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))
    at = words.index("-o")
    asked = [str(tmp_path / "events.jsonl"), *words[3:at], *words[at + 2 :]]
    assert main(["pages", *asked, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [(row["page"], row["clicks"]) for row in told["rows"]] == [("/p/:id", 2)]
