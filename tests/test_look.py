"""heatgrid look: how an input would be read, and the config that fixes it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heatgrid.cli import look, main
from heatgrid.cli.app import COMMANDS

NOON = 1_714_564_800_000
N = 60


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    rows = {
        "ts": [NOON + 1000 * i for i in range(N)],
        "distinct_id": [f"u{i % 7}" for i in range(N)],
        "page": pa.array([{"url": f"https://a.example/project/{i}/x?mail=joe@example.com"} for i in range(N)]),
        "what": ["mousedown", "mouseup", "MouseMove"] * (N // 3),
        "clientX": [float(i) for i in range(N)],
        "clientY": [float(i) for i in range(N)],
        "plan": ["free"] * N,
    }
    path = tmp_path / "dump.parquet"
    pq.write_table(pa.table(rows), path)
    return path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    def go(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return (code, *capfd.readouterr())

    return go


def test_the_page_says_what_is_read_as_what_and_why(run: Any, dump: Path) -> None:
    code, out, err = run("look", dump)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line and line[0] != " "}
    assert rows["time"] == "2024-05-01 12:00:00 to 2024-05-01 12:00:59 UTC, read in ms"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert {"time ts int64 synonym", "user distinct_id string synonym", "page page.url string synonym",
            "kind what string its values are kinds", "x clientX double synonym"} <= set(lines)  # fmt: skip
    assert rows["not"].startswith("read plan (")
    assert rows["points"] == "viewport: clientX, clientY"
    assert rows["kinds"] == "click 20, mouseup 20, move 20"
    assert rows["note"] == "click is mousedown: no row is a click"
    assert rows["pages"] == f"{N} URLs are 1 pages: /project/:id/x {N}"
    assert "joe" not in out
    assert rows["off"] == "features by name: --map feature=COLUMN, or --areas FILE with x and y"
    assert "scroll depth and attention: --map scroll_y=COLUMN --map viewport_h=COLUMN" in lines
    assert rows["gives"].startswith("counts by kind and period, pages, maps, sessions, visits")
    assert rows["next"] == f"heatgrid report {dump} -o report"


def test_the_config_fixes_what_was_read(run: Any, dump: Path, tmp_path: Path) -> None:
    config = tmp_path / "heatgrid.toml"
    assert run("look", dump, "-o", config)[0] == 0
    told = tomllib.loads(config.read_text())
    assert told["map"] == {
        "time": "ts", "user": "distinct_id", "page": "page.url", "kind": "what", "x": "clientX", "y": "clientY",
    }  # fmt: skip
    assert (told["declared"], told["frame"], told["time-unit"], told["kind"]) == (
        True, "viewport", "ms", {"click": ["mousedown"]},
    )  # fmt: skip
    plain = json.loads(run("pages", dump, "--json")[1])
    fixed = json.loads(run("pages", dump, "-c", config, "--json")[1])
    assert fixed["rows"] == plain["rows"]
    assert fixed["summary"]["kinds"] == plain["summary"]["kinds"]
    assert fixed["plan"] == plain["plan"]
    more = pq.read_table(dump).append_column("session", pa.array(["s"] * N))
    pq.write_table(more, dump)
    assert json.loads(run("pages", dump, "--json")[1])["summary"]["sessions"] == 1
    fixed = json.loads(run("pages", dump, "-c", config, "--json")[1])
    assert fixed["summary"]["sessions"] == 7, "a column that is not in the config is not read"


def test_a_config_with_a_wrong_word_is_answered_with_the_nearest(run: Any, dump: Path, tmp_path: Path) -> None:
    config = tmp_path / "heatgrid.toml"
    for body, code, says in (
        ('fram = "page"\n', 2, ("HG1020", "'frame'")),
        ('[map]\nsesion = "ts"\n', 2, ("HG1014", "'session'")),
        ('[map]\nuser = "distinctid"\n', 3, ("HG2212", "'distinct_id'")),
        ('[kind]\nclik = ["a"]\n', 2, ("HG1015", "'click'")),
        ('frame = "pages"\n', 2, ("HG1101", "'page'")),
        ("[page-rule]\n'^(' = '/x'\n", 2, ("HG1150",)),
        ("map = [", 3, ("HG2010",)),
    ):
        config.write_text(body)
        ended, _, err = run("pages", dump, "-c", config)
        assert ended == code, (body, err)
        assert [part for part in says if part not in err] == []


def test_page_rules_of_a_config_and_what_look_says_of_them(run: Any, dump: Path, tmp_path: Path) -> None:
    config = tmp_path / "heatgrid.toml"
    config.write_text('keep-param = ["mail"]\n[page-rule]\n"/project/:id/**" = "/project"\n')
    told = json.loads(run("look", dump, "-c", config, "--json")[1])
    assert told["pages"] == {"/project?mail=:email": N}
    raw = json.loads(run("look", dump, "--raw-urls", "--json")[1])
    assert len(raw["pages"]) == N
    assert told["reading"]["columns"]["page"] == {"column": "page.url", "why": "synonym"}


def test_without_a_time_it_says_what_is_lacking(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1.0], "y": [2.0], "session": ["s"]}), path)
    code, out, _ = run("look", path)
    assert code == 0
    assert "counts by kind and period: --map time=COLUMN" in " ".join(out.split())
    assert run("features", path)[0] == 3


def test_large_inputs_are_looked_at_not_read(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "LOOKED", 100)
    path = tmp_path / "a.parquet"
    rows = {"time": [NOON + i for i in range(1000)], "kind": ["click"] * 1000, "x": [1] * 1000, "y": [1] * 1000}
    pq.write_table(pa.table(rows), path, row_group_size=100)
    assert "click 100  (of the first 100 rows)" in run("look", path)[1]
    told = json.loads(run("look", path, "--json")[1])
    assert (told["looked_at"], told["rows"]) == (100, 1000)
    assert "look" in COMMANDS


def test_points_without_a_wanted_kind_list_the_kinds(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {"time": [NOON + i for i in range(9)], "kind": ["poke"] * 5 + ["nudge"] * 4, "x": [1] * 9, "y": [1] * 9}
    pq.write_table(pa.table(rows), path)
    code, _, err = run("report", path, "-o", tmp_path / "r")
    assert code == 3
    assert [word for word in ("HG2607", "poke 5, nudge 4", "--kind click=poke") if word not in err] == []
    assert not (tmp_path / "r").exists()
    assert run("report", path, "-o", tmp_path / "r", "--kind", "click=POKE")[0] == 0
    assert run("report", path, "-o", tmp_path / "s", "--map", "kind=")[0] == 0
    assert run("features", path)[0] == 0, "tables need no such kind"
