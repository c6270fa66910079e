"""The command line: results, exit codes, messages, and how it ends when it is stopped."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heatgrid.cli import doctor, fault, main, summary, tables
from heatgrid.cli.app import COMMANDS
from heatgrid.cli.progress import Bar
from heatgrid.cli.work import judge
from heatgrid.demo.generate import write
from heatgrid.engine.findings import TITLES
from heatgrid.words.errors import LimitError, QualityError
from heatgrid.words.ledger import Ledger

ROWS = 6_000


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, ROWS, seed=3)
    return str(path)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [name for name in os.environ if name.startswith("HEATGRID_")]:
        monkeypatch.delenv(name)

    def go(*words: object) -> Ended:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Ended(code, *capfd.readouterr())

    return go


def asked(run: Run, *words: object) -> dict[str, Any]:
    """The plan that these words spell."""
    ended = run("plan", "--json", *words)
    assert ended.code == 0, ended.err
    return dict(json.loads(ended.out)["plan"])


# ---- help, usage errors


def test_help_names_every_command_and_every_option_has_a_line(run: Run) -> None:
    top = run("--help")
    assert top.code == 0
    assert [line.split()[0] for line in top.out.split("Commands:")[1].splitlines() if line.startswith("  ")][
        : len(COMMANDS)
    ] == list(COMMANDS)
    for name in COMMANDS:
        ended = run(name, "--help")
        assert ended.code == 0
        assert "--json" in ended.out
        assert "Usage: heatgrid " + name in ended.out
    assert run("--version").out.startswith("heatgrid 0.")
    assert run().code == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("repot",), 2, ("HG1003", "'report'")),
        (("features",), 2, ("HG1001", "EVENTS")),
        (("features", "x", "--cel", "8"), 2, ("HG1002", "'--cell'")),
        (("features", "x", "--cell", "abc"), 2, ("HG1012", "abc", "--cell 8")),
        (("features", "x", "--cell", "0"), 2, ("HG1103",)),
        (("features", "x", "--extent", "0,10,5"), 2, ("HG1012", "4 numbers")),
        (("features", "x", "--idle", "30"), 2, ("HG1010", "--idle 30s")),
        (("features", "x", "--every", "weak"), 2, ("HG1101", "'week'")),
        (("features", "x", "--tz", "Europe/Berln"), 2, ("HG1104",)),
        (("features", "x", "--map", "sesion=a"), 2, ("HG1014", "'session'")),
        (("features", "x", "--map", "session"), 2, ("HG1013",)),
        (("features", "x", "--kind", "clik=a"), 2, ("HG1015", "'click'")),
        (("features", "x", "--max-rejected", "lots"), 2, ("HG1011", "5%")),
        (("features", "x", "--threads", "0"), 2, ("HG1017",)),
        (("features", "x", "--order", "tim"), 2, ("HG1016", "'time'")),
        (("features", "x", "--time-unit", "min"), 2, ("HG1016", "'ms'")),
        (("features", "x", "--min-rows", "abc"), 2, ("--min-rows",)),
        (("matrix", "x", "--values", "clics"), 2, ("HG1016", "'clicks'")),
        (("map", "x", "-o", "m.png", "--layer", "click"), 2, ("HG1016", "'clicks'")),
        (("map", "x"), 2, ("HG1021", "-o map.png")),
        (("report", "x"), 2, ("HG1021",)),
        (("report", "a.heat", "b.csv", "-o", "out"), 2, ("HG1018", "a.heat")),
        (("features", "a.heat", "--cell", "3"), 2, ("HG1019", "--cell")),
        (("features", "a.heat"), 3, ("HG2400", "a.heat")),
        (("features", "no/such.parquet"), 3, ("no/such.parquet",)),
        (("features", "x", "-c", "no.toml"), 3, ("HG2010", "no.toml")),
        (("demo", "--rows", "0"), 2, ("HG1023",)),
    ],
)
def test_mistakes_are_named_with_their_remedy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, says: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert [part for part in says if part not in ended.err] == []
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("map x -o a.xyz", 2, ("HG1320", "expected: .png .parquet .arrow .csv .json .npz")),
        ("map x -o a", 2, ("HG1320",)),
        ("map x -o - --to png", 2, ("HG1320",)),
        ("map x -o a.png --background nosuch.png", 3, ("HG2320", "nosuch.png")),
        ("map x -o a.png --cmap infernoo", 2, ("HG1310", "'inferno'")),
        ("map x -o a.png --smooth -1", 2, ("HG1314",)),
        ("map x -o a.png --vmax 0", 2, ("HG1313",)),
        ("map x -o a.png --vmax 5 --scale eq", 2, ("HG1313",)),
        ("map x -o a.png --opacity 2", 2, ("HG1317",)),
        ("map x -o a.png --css-width 0", 2, ("HG1317",)),
        ("map x -o nodir/a.png", 3, ("HG2301", "nodir", "mkdir -p")),
        ("map x -o full", 2, ("HG1320",)),
        ("map x -o a.png --segment device=mobile", 2, ("HG1030", "--by device")),
        ("map x -o a.png --by os --segment device=mobile", 2, ("HG1030", "--by os,device")),
        ("map x -o a.png --period 2026-09-01", 2, ("HG1030", "--every week")),
        ("map x -o - --json", 2, ("HG1022",)),
        ("map x -o a.png --cells posthog", 2, ("HG1320",)),
        ("features x -o a.xyz", 2, ("HG1320", "expected: .parquet")),
        ("features x -o a.png", 2, ("HG1320",)),
        ("features x -o - --to pdf", 2, ("HG1320",)),
        ("features x -o - --json", 2, ("HG1022",)),
        ("pages x -o nodir/a.csv", 3, ("HG2301",)),
        ("pages x -o full.csv", 3, ("HG2301", "full.csv")),
        ("matrix x -o a.gif", 2, ("HG1320", ".png")),
        ("paths x -o a.gif", 2, ("HG1320", ".png")),
        ("paths x --show steps --steps 0", 2, ("HG1024", "--steps")),
        ("funnel x --funnel click -o a.gif", 2, ("HG1320", ".png")),
        ("friction x -o a.png", 2, ("HG1320",)),
        ("layout x -o a.png", 2, ("HG1320", ".toml")),
        ("scroll x -o a.gif", 2, ("HG1320", ".png")),
        ("scroll x -o a.png --background nosuch.png", 3, ("HG2320",)),
        ("scroll x -o a.png --css-width nan", 2, ("HG1317",)),
        ("build x -o nodir/a.heat", 3, ("HG2301",)),
        ("merge a.heat b.heat -o nodir/a.heat", 3, ("HG2301",)),
        ("report x -o nodir/report", 3, ("HG2301", "nodir")),
        ("report x -o full.csv", 2, ("HG1302", "foreign")),
        ("demo -o .", 2, ("HG1302", "foreign")),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int, says: tuple[str, ...]
) -> None:
    """Fails if the output is looked at after the run: here there is no input at all, which would be the first error."""
    monkeypatch.chdir(tmp_path)
    for folder in ("full.csv", "report"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "foreign").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    ended = run(*words.split())
    assert (ended.code, ended.out if "--json" not in words else "") == (code, ""), ended.err
    assert [part for part in says if part not in ended.err] == []
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_can_be_written_is_no_obstacle(run: Run, tmp_path: Path) -> None:
    """Fails if the check of an output refuses a device, an older file, or a suffix in capitals."""
    old = tmp_path / "old.PNG"
    old.write_text("old")
    for words in ("map x -o /dev/null --to csv", f"map x -o {old}", f"layout x -o {tmp_path}/a.toml", "pages x -o -"):
        ended = run(*words.split())
        assert ended.code == 3, ended.err
        assert "where:    x" in ended.err


def test_the_caret_stands_below_the_place(run: Run, dump: str) -> None:
    """Fails if the second line of the place is shown escaped, or beside the first."""
    for where, at in (("page == ", "page == "), ("contry = 'DE'", ""), ("page > 5", "")):
        lines = run("features", dump, "--where", where).err.splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("  where:"))
        assert lines[first + 1].strip() == "^"
        assert lines[first + 1].index("^") == lines[first].index(where.strip()) + len(at.rstrip())


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    """Fails if the help is shown as the text of an error, all in one line."""
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert "\n  report " in ended.err
    assert "error" not in ended.err.splitlines()[0]


def test_unknown_columns_are_answered_with_the_nearest(run: Run, dump: str) -> None:
    ended = run("features", dump, "--by", "devise")
    assert ended.code in (2, 3)
    assert "'device'" in ended.err
    ended = run("features", dump, "--map", "x=poiner")
    assert ended.code == 3
    assert "'pointer'" in ended.err


def test_an_error_with_json_is_one_object_on_stdout(run: Run) -> None:
    ended = run("features", "x", "--cell", "abc", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["error"]["code"] == "HG1012"
    assert json.loads(ended.out)["heatgrid"] == 1


# ---- bugs, memory, disk


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("boom"), 1, "HG0001"),
        (MemoryError(), 5, "HG4001"),
        (ImportError("a.so: failed to map segment from shared object"), 5, "HG4001"),
        (RuntimeError("can't start new thread"), 5, "HG4001"),
        (OSError(12, "Cannot allocate memory"), 5, "HG4001"),
        (OSError(28, "No space left on device"), 5, "HG4002"),
        (PermissionError(13, "Permission denied", "/some/where"), 3, "/some/where"),
        (LimitError("too wide", code="HG4999"), 5, "HG4999"),
    ],
)
def test_what_escapes_has_its_code_and_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, says: str
) -> None:
    def fails() -> dict[str, Any]:
        raise error

    monkeypatch.setattr(doctor, "facts", fails)
    ended = run("doctor")
    assert ended.code == code
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in run("doctor", "--debug").err


def test_colour_only_on_a_terminal_and_never_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown() -> str:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        fault.show(LimitError("bad \x1b[31m name", code="HG4999", where="a\nb\x07"))
        return screen.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert shown().startswith("\x1b[1;31merror:")
    assert "\x1b[31m" not in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown()
    assert "\x07" not in shown()
    assert len(shown().splitlines()) == 2


# ---- options, environment, config


def test_options_reach_the_plan(run: Run, dump: str) -> None:
    words = "--cell 4x16 --extent=0,100,0,200 --frame viewport --by device,country --by plan --every week"
    words += (
        " --tz Europe/Berlin --idle 20s --session-gap 10min --lateness 250ms --min-sessions 3 --dedupe rows"
        " --distinct users --maps moves --transitions pages --paths pages,features --funnel click --funnel /a"
        " --funnel-window 30min --strict order --retention week"
    )
    plan = asked(run, dump, *words.split(), "--kind", "click=press,push")
    expected = {
        "cell": [4.0, 16.0],
        "extent": [0.0, 100.0, 0.0, 200.0],
        "frame": "viewport",
        "by": ["device", "country", "plan"],
        "every": "week",
        "tz": "Europe/Berlin",
        "idle_ms": 20_000,
        "session_gap": 600_000,
        "lateness_ms": 250,
        "min_sessions": 3,
        "dedupe": "rows",
        "distinct": ["users"],
        "maps": ["moves"],
        "transitions": ["pages"],
        "paths": ["pages", "features"],
        "funnel": [{"kind": ["click"]}, {"page": ["/a"]}],
        "funnel_window_ms": 1_800_000,
        "strict": ["order"],
        "retention": "week",
        "kinds": {"click": ["press", "push"]},
    }
    assert {name: plan[name] for name in expected} == expected


def test_flags_beat_the_environment_beats_the_file_beats_the_default(
    run: Run, dump: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heatgrid.toml"
    file.write_text(
        'cell = 5\nevery = "day"\nby = ["device", "plan"]\nout = "ignored by plan"\n[kind]\nclick = ["press"]\n'
    )
    assert asked(run, dump)["cell"] == [8.0, 8.0]
    plan = asked(run, dump, "-c", file)
    assert (plan["cell"], plan["every"], plan["by"]) == ([5.0, 5.0], "day", ["device", "plan"])
    assert plan["kinds"] == {"click": ["press"]}
    monkeypatch.setenv("HEATGRID_CELL", "6")
    monkeypatch.setenv("HEATGRID_CONFIG", str(file))
    plan = asked(run, dump)
    assert (plan["cell"], plan["every"]) == ([6.0, 6.0], "day")
    assert asked(run, dump, "--cell", "7", "--every", "hour")["cell"] == [7.0, 7.0]
    file.write_text("cel = 5\n")
    ended = run("plan", dump)
    assert ended.code == 2
    assert "'cell'" in ended.err


# ---- results


def test_plan_says_what_it_would_do_and_writes_nothing(run: Run, dump: str, tmp_path: Path) -> None:
    ended = run("plan", dump, "--threads", "1")
    assert ended.code == 0
    lines = dict(line.split(None, 1) for line in ended.out.splitlines())
    assert lines["rows"] == f"{ROWS:,}"
    assert lines["threads"] == "1"
    assert lines["memory"].startswith("about ")
    assert lines["device"].startswith("cpu")
    streamed = json.loads(run("plan", dump, "--json").out)
    held = json.loads(run("plan", dump, "--json", "--order", "any").out)
    assert held["memory_bytes"] == streamed["memory_bytes_unordered"] > streamed["memory_bytes"]
    assert run("plan", dump, "--backend", "gpu").code == 6
    assert run("features", dump, "--backend", "gpu").code == 6


def test_a_table_readable_as_json_on_stdout_and_as_a_file(run: Run, dump: str, tmp_path: Path) -> None:
    readable, both = run("features", dump), run("features", dump, "--json")
    head = readable.out.splitlines()[0].split()
    assert head[:4] == ["feature", "events", "clicks", "sessions"]
    data = json.loads(both.out)
    assert (data["heatgrid"], data["command"]) == (1, "features")
    assert data["ledger"]["read"] == ROWS
    assert len(readable.out.splitlines()) == 2 + len(data["rows"])
    assert readable.out.splitlines()[2].split()[0] == data["rows"][0]["feature"]
    piped = run("features", dump, "-o", "-", "--to", "csv", "--quiet")
    assert piped.err == ""
    rows = list(csv.DictReader(io.StringIO(piped.out)))
    assert [row["feature"] for row in rows] == [row["feature"] for row in data["rows"]]
    path = tmp_path / "f.parquet"
    assert run("features", dump, "-o", path).code == 0
    assert pq.read_table(path).to_pylist() == data["rows"]
    assert run("features", dump, "-o", "-", "--json").code == 2


def test_columns_that_hold_nothing_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(pa.table({"page": ["/a"], "sessions": pa.array([None], pa.int64())}))
    assert capsys.readouterr().out.splitlines()[0] == "page"


def test_segments_and_periods_give_their_rows(run: Run, dump: str) -> None:
    ended = run("pages", dump, "--by", "device", "--every", "month", "--json")
    rows = json.loads(ended.out)["rows"]
    assert {"page", "device", "period", "events"} <= set(rows[0])
    total = json.loads(run("pages", dump, "--json").out)["rows"]
    assert sum(row["events"] for row in rows) == sum(row["events"] for row in total)


def test_the_matrix_by_week_and_by_segment(run: Run, dump: str, tmp_path: Path) -> None:
    week = json.loads(run("matrix", dump, "--json", "--values", "events").out)
    assert week["columns"][0] == "feature"
    assert week["columns"][1].startswith("2026-W")
    device = json.loads(
        run("matrix", dump, "--json", "--columns", "device", "--rows", "page", "--values", "clicks").out
    )
    assert set(device["columns"]) <= {"page", "desktop", "phone", "tablet", "(none)", "total"}
    users = json.loads(run("matrix", dump, "--json", "--values", "users", "--columns", "account").out)
    assert users["plan"]["distinct"] == ["users"]
    picture = tmp_path / "usage.png"
    assert run("matrix", dump, "-o", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_map_of_the_busiest_page_as_picture_and_cells(run: Run, dump: str, tmp_path: Path) -> None:
    picture, cells = tmp_path / "m.png", tmp_path / "m.csv"
    drawn = run("map", dump, "-o", picture, "--smooth", "16", "--vmax", "9", "--scale", "linear")
    assert drawn.code == 0, drawn.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = json.loads(run("map", dump, "-o", cells, "--cell", "64", "--json").out)
    assert told["path"] == str(cells)
    assert f"the busiest page: {told['map']['page']} " in drawn.err
    assert cells.stat().st_size > 20
    ended = run("map", dump, "-o", picture, "--page", "/pricng")
    assert ended.code == 2
    assert "'/pricing'" in ended.err


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("paths --top 3", ["path", "steps", "sessions", "share"]),
        ("paths --show transitions --of features", ["from", "to", "count", "sessions", "p_out", "p_in",
         "p50_ms", "p95_ms"]),
        ("paths --show steps --steps 2", ["page", "1", "2"]),
        ("funnel --funnel pageview --funnel click", ["step", "name", "sessions", "rate_first", "rate_previous",
         "p50_ms", "left", "exits", "next_page", "next_sessions", "last_feature", "last_sessions"]),
        ("funnel --funnel pageview --funnel click --show drop-offs", ["step", "what", "name", "sessions"]),
    ],
)  # fmt: skip
def test_journeys_in_every_format(run: Run, dump: str, tmp_path: Path, words: str, columns: list[str]) -> None:
    command, *options = words.split()
    made = json.loads(run(command, dump, *options, "--json").out)
    assert made["columns"] == columns
    assert made["rows"]
    if command == "paths" and "--top" in options:
        assert [row["path"] for row in made["rows"]][3:] == ["(other)"]
    for name in ("x.csv", "x.parquet", "x.arrow", "x.json", "x.npz"):
        assert run(command, dump, *options, "-o", tmp_path / name).code == 0
    with open(tmp_path / "x.csv") as file:
        assert next(csv.reader(file)) == columns
    assert len(pq.read_table(tmp_path / "x.parquet")) == len(made["rows"])
    drawn = run(command, dump, *options, "-o", tmp_path / "x.png")
    assert drawn.code == (2 if "--top" in options else 0)
    assert (tmp_path / "x.png").exists() == ("--top" not in options)


def test_mistakes_with_journeys(run: Run, dump: str, tmp_path: Path) -> None:
    for words, code in (
        (("funnel", dump), "HG1026"),
        (("funnel", dump, "--funnel", "kind="), "HG1114"),
        (("paths", dump, "--top", "0"), "HG1024"),
        (("paths", dump, "-o", tmp_path / "x.png"), "HG1025"),
        (("paths", dump, "--show", "path"), "HG101"),
    ):
        ended = run(*words)
        assert ended.code == 2
        assert code in ended.err
    saved = tmp_path / "x.heat"
    assert run("build", dump, "-o", saved, "--funnel", "pageview", "--funnel", "click").code == 0
    assert run("funnel", saved).out == run("funnel", dump, "--funnel", "pageview", "--funnel", "click").out
    assert "HG1506" in run("paths", saved).err


def test_saved_states_stand_for_events_and_merge(run: Run, tmp_path: Path) -> None:
    parts = []
    for seed in (1, 2):
        table = pa.Table.from_batches([_renamed(seed)])
        pq.write_table(table, tmp_path / f"{seed}.parquet")
        parts.append(str(tmp_path / f"{seed}.heat"))
        assert run("build", tmp_path / f"{seed}.parquet", "-o", parts[-1]).code == 0
    whole = run("pages", tmp_path / "1.parquet", tmp_path / "2.parquet")
    assert whole.code == 0, whole.err
    assert run("pages", *parts).out == whole.out
    assert run("merge", *parts, "-o", tmp_path / "both.heat").code == 0
    assert run("pages", tmp_path / "both.heat").out == whole.out
    assert run("merge", parts[0], parts[0], "-o", tmp_path / "no.heat").code == 2
    assert not (tmp_path / "no.heat").exists()


def _renamed(seed: int) -> pa.RecordBatch:
    """A small batch with session ids of its own."""
    sessions = [f"s{seed}-{i % 5}" for i in range(40)]
    return pa.RecordBatch.from_pydict(
        {
            "time": pa.array([1_700_000_000_000 + 500 * i for i in range(40)], pa.timestamp("ms", "UTC")),
            "session": sessions,
            "page": ["/a" if i % 3 else "/b" for i in range(40)],
            "kind": ["click" if i % 4 else "pageview" for i in range(40)],
            "feature": [f"f{i % 7}" for i in range(40)],
            "x": [float(i) for i in range(40)],
            "y": [float(2 * i) for i in range(40)],
        }
    )


def test_the_report_and_its_summary(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "events.parquet"
    write(dump, 20_000, seed=3)  # of 6,000 nothing passes the bar
    ended = run("report", dump, "-o", tmp_path / "r", "--by", "device")
    assert ended.code == 0, ended.err
    assert ended.out == ""
    assert (tmp_path / "r" / "index.html").is_file()
    lines = ended.err.splitlines()
    assert len(lines) <= summary.MOST
    assert "20,000 rows read = " in lines[0]
    assert lines[-1] == f"wrote {tmp_path / 'r' / 'index.html'}"
    told = sum(line.startswith(tuple(TITLES.values())) for line in lines)
    assert 1 <= told == min(3, len(json.loads((tmp_path / "r" / "summary.json").read_text())["findings"]))
    assert any(line.startswith("off: distinct users (--distinct users)") and "--by" not in line for line in lines)
    told = json.loads(run("report", dump, "-o", tmp_path / "r", "--json").out)
    assert told["path"] == str(tmp_path / "r" / "index.html")


def test_the_demo_plants_counts_and_reports(run: Run, tmp_path: Path) -> None:
    ended = run("demo", "-o", tmp_path / "d", "--rows", "20000", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (tmp_path / "d" / "events.parquet").is_file()
    assert Path(told["path"]) == tmp_path / "d" / "report" / "index.html"
    assert told["planted"]["rows"] == told["ledger"]["read"] == 20_000
    assert told["planted"]["ties"] > 0
    assert "planted: 20,000 rows, " in ended.err


def test_hostile_names_reach_the_screen_escaped(run: Run, tmp_path: Path) -> None:
    batch = _renamed(1).to_pydict()
    batch["page"] = ["/a\x1b[2J\u202e<b>"] * 40
    batch["feature"] = ["=cmd()"] * 40
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table(batch), path)
    ended = run("pages", path)
    assert ended.code == 0, ended.err
    for text in (ended.out, ended.err, run("map", path, "-o", tmp_path / "m.png").err):
        assert not {"\x1b", "\u202e"} & set(text)
    assert "<b>" in ended.out
    assert "'=cmd()" in run("features", path, "-o", "-").out


def test_events_on_stdin() -> None:
    lines = b"time,session,page,kind\n2026-01-01T00:00:00,s,/a,click\n2026-01-01T00:00:01,s,/b,click\n"
    with start("pages", "-", "--quiet", stdin=subprocess.PIPE) as child:
        out, err = child.communicate(lines, timeout=60)
    assert (err, child.returncode) == (b"", 0)
    assert [line.split()[0] for line in out.decode().splitlines()] == ["page", "----", "/a", "/b"]


def test_the_wait_of_the_first_run_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    doctor.say_if_first(quiet=True)
    assert capsys.readouterr().err == ""
    doctor.say_if_first(quiet=False)
    assert "compiles the kernels" in capsys.readouterr().err
    (tmp_path / "a.nbi").touch()
    doctor.say_if_first(quiet=False)
    assert capsys.readouterr().err == ""


# ---- quality


def test_too_many_rejected_or_too_few_rows_fail_before_anything_is_written(run: Run, dump: str, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    ended = run("features", dump, "-o", out, "--max-rejected", "0")
    assert (ended.code, out.exists()) == (4, False)
    assert "HG3001" in ended.err
    assert "--max-rejected 1%" in ended.err
    ended = run("features", dump, "-o", out, "--min-rows", ROWS + 1)
    assert (ended.code, out.exists()) == (4, False)
    assert "HG3002" in ended.err
    assert run("features", dump, "-o", out).code == 0


def test_dropped_duplicates_are_no_fault_and_the_limit_itself_passes() -> None:
    judge(Ledger(read=100, accepted=50, rejected={"duplicate": 49, "time": 1}), 0.01, 50)
    with pytest.raises(QualityError, match="HG3001"):
        judge(Ledger(read=100, accepted=98, rejected={"time": 2}), 0.01, 0)
    judge(Ledger(), 0.0, 0)


# ---- progress


def test_the_bar_knows_its_share_and_stays_off_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bar.line(50, 200, 0.5) == "[========                      ]  25%  50 rows, 0.0 M/s, 2 s left"
    assert Bar.line(5_000_000, None, 2.0) == "5,000,000 rows, 2.5 M/s"
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Bar(shown=True) as bar:
        bar.started -= 10
        assert bar(1, 2) is True
    assert pipe.getvalue() == ""
    monkeypatch.setattr(pipe, "isatty", lambda: True)
    with Bar(shown=True) as bar:
        bar.started -= 10
        bar(1, 2)
    assert "50%" in pipe.getvalue()
    assert pipe.getvalue().endswith("\r")


# ---- processes: signals, closed pipes, full disks


def start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "heatgrid", *words]
    return subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options)


@contextlib.contextmanager
def waiting(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has read a little and waits for more input."""
    environment = os.environ | {"TMPDIR": str(folder)}
    child = start(*words, stdin=subprocess.PIPE, env=environment)
    assert child.stdin is not None
    child.stdin.write(b"time,session,page,kind\n" + b"2026-01-01T00:00:00,s,/a,click\n" * 40_000)
    child.stdin.flush()
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")]
)
def test_a_signal_ends_a_run_within_a_second_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int, word: bytes
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with waiting(temporary, "report", "-", "-o", str(tmp_path / "out"), "--format", "csv") as child:
        time.sleep(2.5)
        assert child.poll() is None
        sent = time.monotonic()
        child.send_signal(number)
        assert child.wait(timeout=10) == code
        assert time.monotonic() - sent < 2
        assert child.stderr is not None
        assert child.stderr.read().strip() == b"heatgrid: " + word
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


@pytest.mark.parametrize("words", [("--json",), ("-o", "-"), ()])
def test_a_closed_pipe_is_silent(dump: str, words: tuple[str, ...]) -> None:
    with start("features", dump, "--quiet", *words) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert (child.stderr.read(), child.wait(timeout=60)) == (b"", 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_an_error(dump: str) -> None:
    with open("/dev/full", "wb") as full, start("features", dump, "--quiet", stdout=full) as child:
        told = child.communicate(timeout=60)[1]
    assert child.returncode == 5
    assert b"HG4002" in told


def test_a_word_that_is_nearly_a_period_or_an_option_of_the_environment(tmp_path, capfd, monkeypatch):
    rows = {"time": pa.array([1_790_000_000_000], pa.timestamp("ms", "UTC")), "session": ["a"], "device": ["x"]}
    pq.write_table(pa.table(rows | {"feature": pa.array(["f"]).dictionary_encode()}), tmp_path / "rows.parquet")
    path = str(tmp_path / "rows.parquet")
    assert main(["matrix", path, "--columns", "wek", "-q"]) == 3
    assert "did you mean 'week'" in capfd.readouterr().err
    assert main(["matrix", path, "--columns", "zzz", "-q"]) == 3
    told = capfd.readouterr().err
    assert "'device'" in told
    assert "a period: hour, day, week, month" in told
    assert main(["funnel", path, "--funnel", "pageview:/", "pageview:/b", "-q"]) == 3
    assert "--funnel pageview:/b" in capfd.readouterr().err
    monkeypatch.setenv("HEATGRID_CEL", "16")
    monkeypatch.setenv("HEATGRID_MEMORY", "4GB")
    assert main(["look", path]) == 0
    said = capfd.readouterr()
    assert "HEATGRID_MEMORY" not in said.err
    assert "HEATGRID_CEL in the environment is no option and is not read: did you mean 'HEATGRID_CELL'" in said.err
    assert "string (codes)" in said.out
    assert "dictionary<" not in said.out
