"""heatgrid bench: fair turns, checked answers, figures that follow from the seconds, and what is missing said."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heatgrid.bench import binning, blurs, picture, points, race, suite
from heatgrid.cli import main

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--rows", "20000", "--rounds", "2", "--grid", "48x64", "--sigma", "2", "--groups", "3", "--threads", "2")
ASKED = suite.Asked(rows=20_000, grids=((48, 64),), sigmas=(2.0,), groups=3, rounds=1, threads=2)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def go(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(["bench", *(str(word) for word in words)]), *capfd.readouterr()

    return go


def test_contenders_take_turns_and_each_is_checked_once() -> None:
    said: list[str] = []
    checked: list[tuple[str, Any]] = []

    def contender(name: str) -> Callable[[], str]:
        return lambda: said.append(name) or name.upper()  # type: ignore[func-returns-value]

    found = race.race({n: contender(n) for n in "abc"}, lambda *given: checked.append(given), 3)
    assert "".join(said) == "abc" * 4
    assert checked == [("a", "A"), ("b", "B"), ("c", "C")]
    assert {name: len(times) for name, times in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_short_works_are_warmed_and_slow_ones_have_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "_seconds", lambda run: run())
    calls = {"quick": 0, "slow": 0}

    def contender(name: str, seconds: float) -> Callable[[], float]:
        def work() -> float:
            calls[name] += 1
            return seconds

        return work

    works = {"quick": contender("quick", 0.02), "slow": contender("slow", 1.0)}
    found = race.race(works, lambda *_: None, race.SLOW_ROUNDS + 2, short=True)
    assert found == {"quick": [0.02] * (race.SLOW_ROUNDS + 2), "slow": [1.0] * race.SLOW_ROUNDS}
    assert calls == {"quick": 2 + 4 * (race.SLOW_ROUNDS + 2), "slow": 2 + race.SLOW_ROUNDS}


def test_a_summary_is_medians_spread_and_ratios() -> None:
    seconds = {"floor": [0.5, 0.5, 0.5], "heatgrid": [1.0, 2.0, 4.0], "a": [4.0, 5.0, 6.0], "b": [9.0, 3.0, 9.0]}
    found = race.summary(seconds, 1_000_000_000)
    assert found["ns"] == {"floor": 0.5, "heatgrid": 2.0, "a": 5.0, "b": 9.0}
    assert found["ns_least_most"]["b"] == [3.0, 9.0]
    assert found["times_heatgrid"]["a"] == 2.5
    assert found["times_in_a_round"]["b"] == 2.25
    assert found["best_peer"] == "a"
    assert race.summary({"heatgrid": [1.0]}, 1)["best_peer"] is None


def test_every_part_is_measured_with_its_floor(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    code, out, err = run(*SMALL, "--json", "-o", path)
    assert code == 0, err
    said, kept = json.loads(out), json.loads(path.read_text())
    assert {name: said[name] for name in kept} == kept
    assert [case["section"] for case in kept["cases"]] == ["points"] * 3 + ["maps", "smooth", "dwell", "dump"]
    assert err.count("measured: ") == len(kept["cases"])
    for case in kept["cases"]:
        assert set(case["ns"]) == {"floor", "heatgrid"}
        assert case["times_heatgrid"]["heatgrid"] == 1
        assert all(0 < least <= case["ns"][name] <= most for name, (least, most) in case["ns_least_most"].items())
    assert [case["items"] for case in kept["cases"]] == [20_000] * 4 + [48 * 64] + [20_000] * 2
    assert kept["missing"] == []
    assert kept["no_gpu"] is None


def test_the_table_names_what_is_missing_and_what_was_chosen(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "find_spec", lambda name: None if name in ("cv2", "polars") else find_spec(name))
    monkeypatch.setenv("HEATGRID_GPU", "0")
    code, out, err = run(*SMALL, "--only", "points", "--peers", "--backend", "cpu,gpu", "-v", "-q")
    assert (code, err) == (0, "")
    # others may be missing too, where the tests run
    missing = next(line for line in out.splitlines() if line.startswith("not installed: "))
    names, _, command = missing.removeprefix("not installed: ").partition(" (pip install ")
    assert {"opencv-python-headless", "polars"} <= set(names.split(", "))
    assert command == " ".join(names.split(", ")) + ")"
    assert "no GPU was measured: HEATGRID_GPU=0 turns the GPU off" in out
    assert suite.GPU not in out
    assert out.count("chosen: ") == 3
    assert "L2: " in out
    lines = [line.split() for line in out.splitlines()]
    assert sum(line[:1] == ["heatgrid"] and line[-2:] == ["1.00", "x"] for line in lines) == 3


def test_a_gpu_that_is_there_is_a_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_of: list[str] = []

    def grid(work: points.Work, threads: int, backend: str = "cpu") -> Any:
        asked_of.append(backend)
        return real(work, threads)

    real = points.heatgrid_grid
    monkeypatch.setattr(points, "heatgrid_grid", grid)
    monkeypatch.setattr("heatgrid.gpu.availability.why_not", lambda: "")
    report = suite.run(replace(ASKED, gpu=True, sections=("maps",)), lambda _: None)
    assert set(report["cases"][0]["ns"]) == {"floor", "heatgrid", suite.GPU}
    assert asked_of.count("gpu") == 2


@pytest.mark.parametrize("section", [name for name in suite.SECTIONS if name != "device"])
@pytest.mark.filterwarnings("ignore")
def test_peers_answer_alike(section: str) -> None:
    report = suite.run(replace(ASKED, peers=True, sections=(section,)), lambda _: None)
    there = {m for m in suite.PEERS if find_spec(m)}
    seen = {name for case in report["cases"] for name in case["ns"]} - {"floor", "heatgrid"}
    possible = {"points": set(points.GRIDS), "maps": set(points.STACKS), "dwell": set(), "dump": {"duckdb", "polars"}}
    if section == "smooth":
        assert len(seen) == 2 * ("cv2" in there) + 4 * ("scipy" in there)
        assert all(set(case["errors"]) == seen | {"heatgrid"} for case in report["cases"])
    else:
        assert seen == possible[section] & there


def test_another_answer_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = points.heatgrid_grid

    def moved(work: points.Work, threads: int, backend: str = "cpu") -> Any:
        grid = wrong(work, threads, backend)
        grid.values[0, 0] += 1
        return grid

    monkeypatch.setattr(points, "heatgrid_grid", moved)
    with pytest.raises(AssertionError, match="counts otherwise"):
        suite.run(replace(ASKED, sections=("points",)), lambda _: None)
    answers = iter([{"a": [1]}, {"a": [2]}])
    table = type("Table", (), {"to_pydict": lambda _: next(answers)})
    with pytest.raises(AssertionError, match="other answers otherwise"):
        suite._equal({"heatgrid": table, "other": table}, ASKED)
    with pytest.raises(AssertionError, match="an error of"):
        blurs.measure((48, 64), 2.0, {"heatgrid": blurs.copy}, 1, 2)


def test_the_truth_is_what_a_loop_counts() -> None:
    x, y = binning.made("clustered", (20, 30), 500)
    cells = np.zeros((20, 30), int)
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if 0 <= px < 30 and 0 <= py < 20:
            cells[int(py), int(px)] += 1
    assert cells.sum() > 300
    assert (binning.truth(points.Work(x, y, (20, 30))) == cells).all()


@pytest.mark.parametrize(
    ("words", "code", "where"),
    [
        (("--grid", "0x5"), "HG1012", "--grid"),
        (("--grid", "5"), "HG1012", "--grid"),
        (("--sigma", "wide"), "HG1012", "--sigma"),
        (("--sigma", "0"), "HG1012", "--sigma"),
        (("--only", "point"), "HG1016", "--only"),
        (("--backend", "tpu"), "HG1016", "--backend"),
        (("--rows", "0"), "HG1028", "--rows"),
        (("--threads", "0"), "HG1028", "--threads"),
        (("-o", "bench.txt"), "HG1029", "--out"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], code: str, where: str
) -> None:
    ended, out, err = run(*SMALL[:2], *words)
    assert (ended, out) == (2, "")
    assert f"[{code}]" in err
    assert where in err


def test_the_picture_shows_each_contender_where_its_time_is(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    lines = [picture.Line(f"case {k}", "1 ns", {"heatgrid": (1, 0.9, 1.2), "peer": (10, 9, 12)}) for k in range(3)]
    drawn = Image.open(io.BytesIO(picture.chart(lines, title="times"))).convert("RGB")
    pixels = np.asarray(drawn).astype(int)
    own, peer = (
        np.flatnonzero((pixels == np.array(hue)).all(2)[100:].any(0)) for hue in (picture.OWN, picture.HUES[0])
    )
    assert own.min() < own.max() < peer.min()
    later = [replace(lines[0], dots=lines[0].dots | {"peer": (11, 9, 12)}), *lines[1:]]
    assert picture.digest(later) != picture.digest(lines)
    assert Image.open(io.BytesIO(picture.chart(later, title="times"))).info["Comment"] == picture.digest(later)
    path = tmp_path / "bench.png"
    assert run(*SMALL, "--only", "dwell", "-q", "-o", path)[0] == 0
    with Image.open(path) as image:
        assert image.size[0] == picture.WIDTH


def test_the_extra_brings_the_peers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {line.partition(">")[0] for line in project["optional-dependencies"]["peers"]}
    assert extra == set(suite.PEERS.values())
