"""Results as people look at them: slides, terminals, notebooks, frames."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.cli.picture import sides
from heatgrid.outputs import slides, terminal
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.pictures import GROUND, map_palette
from heatgrid.outputs.plots import plot
from heatgrid.words.errors import UsageError

EVIL = "[red]<img src=x onerror=alert(1)>\x1b[31m"


def grid(values: object, **meta: object) -> Grid:
    array = np.asarray(values, np.int64)
    ny, nx = array.shape
    facts = {"page": "/a", "layer": "clicks", "events": int(array.sum()), "sessions": 412, "bucket": "1440+"}
    extent = (0.0, nx * 8.0, 0.0, ny * 8.0)
    return Grid(array, extent, used=int(array.sum()), name="clicks", unit="clicks", meta=facts | meta)


def events(sessions: int = 80) -> pa.Table:
    """Desktops click often at one place, phones seldom at another."""
    rows: list[dict[str, Any]] = []
    for s in range(sessions):
        phone = s % 2 == 1
        for k in range(2 if phone else 6):
            rows.append({
                "time": 1_760_000_000_000 + s * 600_000 + k * 1000, "session": f"s{s}", "page": "/a", "kind": "click",
                "x": 100.0 if phone else 300.0, "y": 200.0, "viewport_w": 1500, "feature": EVIL,
                "device": "phone" if phone else "desktop",
            })  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def heat() -> hg.Heat:
    return hg.run(events(), hg.Plan(maps=("clicks",), by=("device",), every="week"))


@pytest.fixture(scope="module")
def state(heat: hg.Heat, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("show") / "a.heat"
    heat.save(path)
    return str(path)


# ---- slides


def test_two_parts_of_a_slide_have_one_scale_and_blocks_of_one_size(tmp_path: Path) -> None:
    """Fails if each part takes its own largest count, or its own block."""
    small, large = np.zeros((40, 40), np.int64), np.zeros((400, 160), np.int64)
    small[3, 5], large[399, 159] = 10, 1000
    drawn = slides._plots(
        [grid(small), grid(large)], (860, 700), {"scale": "linear", "vmax": None, "smooth": None, "sigma": None}
    )  # fmt: skip
    assert drawn[0].vmax == drawn[1].vmax == 1000
    assert drawn[0].block == drawn[1].block
    assert drawn[0].levels.max() == round(255 * 10 / 1000)
    assert drawn[1].levels.max() == 255


def test_a_slide_is_16_to_9_and_says_n_unit_and_parts(
    heat: hg.Heat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    plain = slides.drawable
    monkeypatch.setattr(slides, "drawable", lambda text: said.append(text) or plain(text))
    wrapped = slides.wrap
    monkeypatch.setattr(slides, "wrap", lambda text, *rest: said.append(text) or wrapped(text, *rest))
    parts = [{"device": "desktop"}, {"device": "phone"}]
    heat.slide(tmp_path / "s.png", page="/a", segments=parts, legend=tmp_path / "l.svg")
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == (1920, 1080)
        seen = {tuple(int(v) for v in rgb) for rgb in np.unique(np.asarray(image).reshape(-1, 3), axis=0)}
    assert GROUND in seen
    told = "\n".join(said)
    for part in ("/a · clicks", "n = 240 events", "n = 80 events", "device = desktop", "device = phone",
                 "clicks in 8 x 8 px, log scale, one scale for all", heat.ledger.run_line()):  # fmt: skip
        assert part in told
    svg = (tmp_path / "l.svg").read_text()
    assert svg.startswith("<svg xmlns=")
    assert re.findall(r'text-anchor="middle">([\d,]+)<', svg)[-1] == "240", "all clicks of a part are in one cell"
    assert "clicks in 8 x 8 px, log scale" in svg


def test_maps_that_no_scale_holds_are_refused(tmp_path: Path) -> None:
    one, other = grid([[1]]), grid([[1]])
    other.unit = "sessions"
    for grids, scale in (([one, other], "log"), ([one, one], "eq"), ([one] * 5, "log"), ([], "log")):
        with pytest.raises(UsageError) as error:
            slides.slide(grids, tmp_path / "x.png", scale=scale)
        assert error.value.code == "HG1319"
    assert not (tmp_path / "x.png").exists()


def test_segments_of_one_column_stand_side_by_side() -> None:
    assert sides([]) == [None]
    assert sides([("device", "phone")]) == [{"device": "phone"}]
    assert sides([("device", "a"), ("plan", "free"), ("device", "b")]) == [
        {"device": "a", "plan": "free"}, {"device": "b", "plan": "free"},
    ]  # fmt: skip
    with pytest.raises(UsageError, match="two columns"):
        sides([("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")])


def test_the_command_draws_a_slide(state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "s.png")
    words = ["picture", state, "-o", out, "--page", "/a", "--segment", "device=desktop", "--segment", "device=phone"]
    assert main([*words, "--vmax", "50", "--legend", str(tmp_path / "l.svg"), "--quiet"]) == 0
    assert ">50+<" in (tmp_path / "l.svg").read_text(), "240 clicks are above the scale"
    assert main(["picture", state, "-o", str(tmp_path / "s.jpg")]) == 2
    assert "HG1320" in capsys.readouterr().err


# ---- legends


@pytest.mark.parametrize("scale", ["log", "linear", "eq"])
@pytest.mark.parametrize("top", [1, 2, 3, 7, 40, 12_345])
def test_counts_have_whole_ticks(scale: str, top: int) -> None:
    """There is no half click."""
    drawn = plot(grid([[0, 1, top]]), scale=scale)
    assert all(re.fullmatch(r"[\d,]+", label) for _, label in drawn.ticks), drawn.ticks
    assert drawn.ticks[-1] == (1.0, f"{top:,}")


def test_a_smoothed_map_counts_for_squares_that_hold_some() -> None:
    values = np.zeros((100, 100), np.int64)
    values[50, 50] = 40
    drawn = plot(grid(values), smooth=hg.smooth, sigma=40)
    assert drawn.vmax < 1
    assert "for each 100 x 100 px, smoothed" in drawn.unit
    # a Gaussian of sigma 40 px has 10,000 / (2 pi 1600) of its weight in a square of 100 px at its peak's height
    assert float(drawn.ticks[-1][1]) == pytest.approx(40 * 10_000 / (2 * np.pi * 1600), rel=0.02)


# ---- terminals


def test_half_blocks_carry_two_cells_each() -> None:
    values = [[0, 5], [5, 0], [5, 5], [0, 0]]
    lines = terminal.map_lines(grid(values), "true", columns=40, rows=20)
    ground, hot = (";".join(map(str, map_palette("inferno", 256)[3 * i : 3 * i + 3])) for i in (0, 255))
    first, second = lines[2], lines[3]
    assert first == (
        f"\x1b[38;2;{ground}m\x1b[48;2;{hot}m▀\x1b[38;2;{hot}m\x1b[48;2;{ground}m▀\x1b[0m"
    ), "cold above hot, then hot above cold"  # fmt: skip
    assert second.count("▀") == 2
    assert "n = 20 events" in lines[1]
    assert "clicks in 8 x 8 px, log scale" in lines[-1]


def test_fewer_colours_where_there_are_fewer() -> None:
    made = grid([[1, 0, 1000], [1, 0, 1000]])
    some = "\n".join(terminal.map_lines(made, "256"))
    assert re.search(r"\x1b\[38;5;\d+m", some)
    assert ";2;" not in some
    none = "\n".join(terminal.map_lines(made, "none"))
    assert "\x1b" not in none
    assert {"░", "█"} <= set(none)
    for environment, colors in (
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "true"), ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "dumb"}, "none"), ({}, "none"),
    ):  # fmt: skip
        assert terminal.colors_of(environment) == colors


def test_a_large_map_fits_the_terminal() -> None:
    made = grid(np.ones((900, 180)))
    lines = terminal.map_lines(made, "true", columns=79, rows=60)
    body = [line.count("▀") for line in lines if "▀" in line]
    assert 0 < max(body) <= 79
    assert 50 <= len(body) <= 60


def on_terminal(words: list[str], monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """What a command writes to a terminal."""
    for name in ("NO_COLOR", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color", "COLUMNS": "100"} | environment).items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    read: list[bytes] = []
    done = threading.Event()

    def drain() -> None:
        while not done.is_set() or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.02)[0]:
                read.append(os.read(ours, 65_536))

    reader = threading.Thread(target=drain)
    reader.start()
    with open(theirs, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main([*words, "--quiet"]) == 0
        stream.flush()
        done.set()
        reader.join()
    os.close(ours)
    return b"".join(read).decode()


def test_map_to_stdout_is_a_picture_on_a_terminal_and_cells_in_a_pipe(
    state: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["map", state, "--page", "/a", "-o", "-"]
    assert "\x1b[38;2;" in on_terminal(words, monkeypatch, COLORTERM="truecolor")
    bare = on_terminal(words, monkeypatch, NO_COLOR="1")
    assert "\x1b" not in bare
    assert "n = 320 events" in bare
    assert on_terminal([*words, "--to", "csv"], monkeypatch).startswith('"iy","ix"')
    capfd.readouterr()
    assert main([*words, "--quiet"]) == 0
    assert capfd.readouterr().out.startswith('"iy","ix"')


def test_tables_are_ruled_on_a_terminal_and_names_are_text(
    state: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = on_terminal(["features", state], monkeypatch, COLUMNS="200")
    assert "───" in shown
    assert "[red]<img" in shown, "no markup is read in a name"
    assert "\x1b[31m" not in shown
    assert "\x1b" not in on_terminal(["features", state], monkeypatch, NO_COLOR="1")
    colored = on_terminal(["matrix", state, "--columns", "device"], monkeypatch, COLORTERM="truecolor")
    assert "48;2;" in colored, "cells of a matrix have the colours of its picture"
    capfd.readouterr()
    assert main(["features", state, "--quiet"]) == 0
    piped = capfd.readouterr().out
    assert "───" not in piped
    assert "---" in piped


# ---- notebooks, frames


def test_a_notebook_shows_the_result(heat: hg.Heat) -> None:
    html = heat._repr_html_()
    assert "<b>80</b> sessions" in html
    table = events()
    evil = table.set_column(table.column_names.index("page"), "page", pa.array([EVIL] * len(table)))
    hostile = hg.run(evil, hg.Plan(maps=("clicks",)))._repr_html_()
    assert "[red]&lt;img" in hostile
    assert "<img src=x" not in hostile
    assert 'src="data:image/png;base64,' in html
    assert "n = 320 events" in html
    for made in (heat.map("clicks", page="/a"), heat.matrix(columns="period")):
        with Image.open(io.BytesIO(made._repr_png_() or b"")) as image:
            assert image.format == "PNG"
    stack = hg.bin_points([1.0, 2.0], [1.0, 2.0], shape=(4, 4), group=[0, 1])
    assert stack._repr_png_() is None


def test_frames_hold_what_the_tables_hold(heat: hg.Heat) -> None:
    polars, pandas, xarray = (pytest.importorskip(name) for name in ("polars", "pandas", "xarray"))
    for made in (heat.map("clicks", page="/a"), heat.matrix(columns="device")):
        table = made.to_arrow() if isinstance(made, Grid) else made.to_table()
        assert isinstance(made.to_pandas(), pandas.DataFrame)
        assert made.to_pandas().to_dict("list") == table.to_pydict()
        assert isinstance(made.to_polars(), polars.DataFrame)
        assert made.to_polars().to_dict(as_series=False) == table.to_pydict()
        cube = made.to_xarray()
        assert isinstance(cube, xarray.DataArray)
        assert np.array_equal(cube.values, made.values)
    assert heat.to_polars("features").rows(named=True) == heat.table("features").to_pylist()
    assert heat.to_pandas("features", by=False, every=False)["clicks"].tolist() == heat.features["clicks"].to_pylist()
    there = heat.to_xarray("clicks", page="/a")
    assert int(there.sel(x=300.0, y=200.0, method="nearest")) == 240


@pytest.mark.parametrize("name", ["pandas", "polars", "xarray"])
def test_what_is_not_installed_is_named_with_its_extra(
    heat: hg.Heat, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    made = heat.matrix(columns="period")
    for one in (made, heat.map("clicks", page="/a")):
        with pytest.raises(UsageError, match=rf"pip install 'heatgrid\[{name}\]'") as error:
            getattr(one, f"to_{name}")()
        assert error.value.code == "HG1340"
