"""The README's recipes, run as they stand there, against computations that share nothing with heatgrid."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from heatgrid.cli import main
from heatgrid.words.pages import page_key

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = README.split("## Recipes")[1].split("\n## ")[0]
IDLE_MS = 30_000
GAP_S = 30 * 60
pytestmark = pytest.mark.data


def commands(of: str) -> list[str]:
    """The command lines of the recipe whose text names ``of``."""
    block = next(part for part in RECIPES.split("\n**")[1:] if of in part)
    return re.search(r"```sh\n(.*?)```", block, re.DOTALL)[1].strip().splitlines()  # type: ignore[index]


@pytest.fixture
def cook(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run one line of a recipe in a scratch folder; a heatgrid line gives its JSON object."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("docs", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setenv("HEATGRID_DATA", str(data_dir))

    def run(line: str, *more: str) -> Any:
        if not line.startswith("scripts/heatgrid "):
            subprocess.run(line, shell=True, check=True, timeout=60)
            return None
        words = shlex.split(line.replace("$HEATGRID_DATA", str(data_dir)))[1:]
        capfd.readouterr()
        code = main([*words, "--json", *more])
        told = capfd.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return run


def dwell(rows: pl.DataFrame, session: str, time: str) -> pl.DataFrame:
    """Each row's step to the next one of its session, at most IDLE_MS; the last has none."""
    step = pl.col("ms").shift(-1).over(session) - pl.col("ms")
    ordered = rows.with_columns(ms=pl.col(time).dt.epoch("ms")).sort("ms", maintain_order=True)
    return ordered.with_columns(dwell=step.clip(upper_bound=IDLE_MS).fill_null(0))


def counted(cells: Path, frame: pl.DataFrame, x: str, y: str, origin: tuple[int, int], size: tuple[int, int]) -> None:
    """The cells of a CSV file are those that floor division gives."""
    expected = (
        frame.select(ix=((pl.col(x) - origin[0]) / size[0]).floor(), iy=((pl.col(y) - origin[1]) / size[1]).floor())
        .group_by("ix", "iy").len()
    )  # fmt: skip
    found = pl.read_csv(cells)
    assert {(r["ix"], r["iy"]): r["count"] for r in found.to_dicts()} == {
        (int(r["ix"]), int(r["iy"])): r["len"] for r in expected.to_dicts()
    }


def test_one_persons_mouse(cook: Callable[..., Any], data_dir: Path) -> None:
    frame = pl.read_parquet(data_dir / "deviz_mouse_track" / "mouse_track.parquet")
    report, picture = commands("deviz")
    told = cook(report)
    presses = frame.filter((pl.col("type") == "Click") & (pl.col("pressed") == "True"))
    moves = frame.filter(pl.col("type") == "Move")
    measures = told["ledger"]["measures"]
    assert measures["clicks"]["used"] == presses.height == 79
    assert measures["moves"]["used"] == moves.height
    assert told["ledger"]["filtered"] == 80
    assert Path("out/mouse/index.html").is_file()
    cook(picture)
    assert Path("out/mouse.png").read_bytes().startswith(b"\x89PNG")
    cook(picture.replace("out/mouse.png", "out/mouse.csv"))
    counted(Path("out/mouse.csv"), moves, "x", "y", (0, 0), (16, 16))


def test_people_and_a_web_map(cook: Callable[..., Any], data_dir: Path) -> None:
    table, picture = commands("iweb")
    frame = pl.read_parquet(data_dir / "iweb_map_clicks" / "mouse_actions.parquet")
    areas = {}
    for row in pl.read_csv(ROOT / "docs" / "iweb_areas.csv").to_dicts():
        across = (pl.col("px") >= row["x0"]) & (pl.col("px") < row["x1"])
        areas[row["name"]] = across & (pl.col("py") >= row["y0"]) & (pl.col("py") < row["y1"])
    named = dwell(frame, "trial", "at").with_columns(
        area=pl.coalesce(*(pl.when(inside).then(pl.lit(name)) for name, inside in areas.items()))
    )
    expected = named.group_by("area", "typ").agg(
        clicks=pl.len(), sessions=pl.col("trial").n_unique(), dwell=pl.col("dwell").sum()
    )
    found = cook(table)
    assert found["summary"]["sessions"] == 479
    assert sum(row["clicks"] for row in found["rows"]) == 5_029
    assert {(r["feature"], r["typ"]): (r["clicks"], r["sessions"], r["dwell_ms"]) for r in found["rows"]} == {
        (r["area"], r["typ"]): (r["clicks"], r["sessions"], r["dwell"]) for r in expected.to_dicts()
    }
    cook(picture)
    cook(picture.replace("iweb.png", "iweb.csv"))
    once = frame.with_columns(ix=pl.col("px") // 8, iy=pl.col("py") // 8).unique(["trial", "ix", "iy"])
    counted(Path("out/iweb.csv"), once, "px", "py", (0, 0), (8, 8))


def test_a_shop_without_coordinates(cook: Callable[..., Any], data_dir: Path) -> None:
    weeks, platforms, features = commands("retentioneering")
    frame = pl.read_csv(data_dir / "retentioneering_ecom" / "ecom.csv.gz", try_parse_dates=True)
    sessions = pl.col("session_id").n_unique().alias("n")
    by_week = frame.group_by("event", week=pl.col("timestamp").dt.strftime("%G-W%V")).agg(sessions)
    expected = {(r["event"], r["week"]): r["n"] for r in by_week.to_dicts()}
    found = cook(weeks.replace(" -o out/weeks.png", ""))
    cells = {
        (row["feature"], c): row[c] for row in found["rows"] for c in found["columns"][1:] if c != "total" and row[c]
    }
    assert cells == expected
    by_platform = frame.group_by("event", "platform").agg(sessions)
    found = cook(platforms)
    cells = {(row["feature"], c): row[c] for row in found["rows"] for c in ("desktop", "mobile", "tablet") if row[c]}
    assert cells == {(r["event"], r["platform"]): r["n"] for r in by_platform.to_dicts()}
    times = dwell(frame, "session_id", "timestamp").group_by("event").agg(dwell=pl.col("dwell").sum(), n=pl.len())
    found = cook(features)
    assert {row["feature"]: (row["dwell_ms"], row["events"]) for row in found["rows"]} == {
        r["event"]: (r["dwell"], r["n"]) for r in times.to_dicts()
    }
    cook(weeks)
    assert Path("out/weeks.png").read_bytes().startswith(b"\x89PNG")


def test_a_web_servers_log_out_of_order(cook: Callable[..., Any]) -> None:
    convert, pages = commands("elastic")
    cook(convert)
    rows = [r for r in pl.read_csv("out/apache.csv", infer_schema=False).to_dicts() if r["bot"] == "false"]
    times = [datetime.fromisoformat(row["time"]).timestamp() for row in rows]
    assert times != sorted(times), "the log is known to be out of order"
    views: dict[str, int] = defaultdict(int)
    spent: dict[str, int] = defaultdict(int)
    by_user: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row, time in zip(rows, times, strict=True):
        views[page_key(row["page"])] += 1
        by_user[row["user"]].append((time, page_key(row["page"])))
    sessions = 0
    for visits in by_user.values():
        visits.sort(key=lambda visit: visit[0])
        sessions += 1
        for (time, page), (after, _) in pairwise(visits):
            if after - time >= GAP_S:
                sessions += 1
            else:
                spent[page] += min(IDLE_MS, round(1000 * (after - time)))
    found = cook(pages)
    assert found["summary"]["sessions"] == sessions
    assert {row["page"]: (row["views"], row["dwell_ms"]) for row in found["rows"]} == {
        page: (count, spent[page]) for page, count in views.items()
    }


def test_three_million_flights(cook: Callable[..., Any], data_dir: Path) -> None:
    whole, one = commands("vega-datasets")
    frame = pl.read_parquet(data_dir / "vega_flights_3m" / "flights-3m.parquet")
    inside = frame.filter(pl.col("distance").is_between(0, 3000, "left") & pl.col("delay").is_between(-60, 240, "left"))
    told = cook(whole)["ledger"]["measures"]["clicks"]
    assert (told["used"], told["outside"]) == (inside.height, frame.height - inside.height)
    assert Path("out/flights.png").read_bytes().startswith(b"\x89PNG")
    cook(one)
    counted(Path("out/atlanta.csv"), inside.filter(pl.col("origin") == "ATL"), "distance", "delay", (0, -60), (25, 5))
