"""Pictures: what a colour means, where a point lies, what must be said beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heatgrid.outputs import pictures
from heatgrid.outputs.colors import COLORS, luminance, table
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.matrix_pictures import SMALL, matrix_picture, shares
from heatgrid.outputs.pictures import map_picture, map_subtitle, map_title
from heatgrid.outputs.plots import TALLEST, plot
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.ledger import Ledger, Points

LEDGER = Ledger(120, 110, 7, {"time": 3}, {"clicks": Points(60, 50, 6, 4, 0)})


def grid(values: object, cell: float = 8.0, **meta: object) -> Grid:
    array = np.asarray(values, np.int64)
    ny, nx = array.shape
    facts = {"page": "/pricing", "layer": "clicks", "bucket": "1024-1440", "events": int(array.sum()), "sessions": 412}
    extent = (0.0, nx * cell, 0.0, ny * cell)
    return Grid(array, extent, used=int(array.sum()), name="clicks", unit="clicks", meta=facts | meta)


def random_grid(seed: int, shape: tuple[int, int] = (120, 90)) -> Grid:
    return grid(np.random.default_rng(seed).poisson(0.8, shape))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All lines that a picture writes."""
    lines: list[str] = []
    plain = pictures.wrap

    def record(text: str, size: int, room: int) -> list[str]:
        lines.append(text)
        return plain(text, size, room)

    monkeypatch.setattr(pictures, "wrap", record)
    return lines


@pytest.mark.parametrize("name", COLORS)
def test_colour_tables(name: str) -> None:
    colors = table(name)
    assert colors.shape == (256, 3)
    assert colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) > 240
    if name != "turbo":
        light = [luminance((int(r), int(g), int(b))) for r, g, b in colors]
        assert np.diff(light).min() > -0.002, "more must never look darker"
    with pytest.raises(ValueError, match="read-only"):
        colors[0] = 0


def test_an_unknown_colour_table_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="viridis"):
        table("virdis")


@pytest.mark.parametrize("scale", ["log", "linear", "eq"])
def test_more_is_never_a_lower_level_and_one_click_is_seen(scale: str) -> None:
    values = np.array([[0, 1, 2, 3, 5, 10, 100, 1000, 10_000, 100_000]])
    levels = plot(grid(values, extra=1), scale=scale, room=(760, 400)).levels[0].astype(int)
    assert levels[0] == 0
    assert levels[1] >= 1
    assert (np.diff(levels[1:]) >= 0).all()
    assert levels[-1] == 255


def test_scales_are_what_they_say() -> None:
    values = np.array([[0, 10, 50, 100]])
    linear = plot(grid(values), scale="linear", vmax=100, room=(760, 400)).levels[0]
    assert linear.tolist() == [0, 26, 128, 255]
    log = plot(grid(values), scale="log", vmax=100, room=(760, 400)).levels[0]
    assert log.tolist() == [0, *np.rint(255 * np.log1p([10, 50, 100]) / np.log1p(100)).astype(int)]


def test_two_pictures_of_one_vmax_compare_pixel_by_pixel(tmp_path: Path) -> None:
    base = np.zeros((60, 60), np.int64)
    a, b = base.copy(), base.copy()
    a[10, 10], a[30, 30] = 7, 500
    b[10, 10], b[40, 40] = 7, 3
    shots = []
    for i, values in enumerate((a, b)):
        path = map_picture(
            grid(values), tmp_path / f"{i}.png", vmax=100, extent=(0, 480, 0, 480), title="t", subtitle="s"
        )
        pixels = np.asarray(opened(path).convert("RGB")).astype(int)
        top = int(np.flatnonzero((pixels[:, pictures.LEFT] == pictures.GROUND).all(axis=1))[0])
        shots.append(pixels[top : top + 720, pictures.LEFT : pictures.LEFT + 720])
    differs = np.argwhere((shots[0] != shots[1]).any(axis=2)) // 12  # 60 cells of 12 pixels
    assert {(int(y), int(x)) for y, x in differs} == {(30, 30), (40, 40)}
    assert (shots[0][120:132, 120:132] == shots[0][120, 120]).all()
    assert tuple(shots[0][125, 125]) != pictures.GROUND


def test_with_a_vmax_the_blocks_do_not_depend_on_the_counts() -> None:
    few, many = np.zeros((90, 180), np.int64), np.full((90, 180), 9)
    few[-1, -1] = 1
    assert plot(grid(few)).block != plot(grid(many)).block, "a single click is drawn larger ..."
    assert plot(grid(few), vmax=50, extent=(0, 1440, 0, 720)).block == plot(grid(many), vmax=50).block


def test_a_value_above_vmax_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    map_picture(grid([[1, 500]]), tmp_path / "x.png", vmax=100)
    assert any("above the top of the scale" in line for line in lines)
    assert plot(grid([[1, 500]]), vmax=100).ticks[-1][1] == "100+"


def test_what_must_be_said_on_every_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    made = grid([[1, 2], [0, 3]], frame="page (assumed)", min_sessions=0, period="2026-W36", where={"device": "phone"})
    map_picture(made, tmp_path / "x.png", ledger=LEDGER)
    text = "\n".join(lines)
    for part in (
        "/pricing · clicks", "n = 6 events", "412 sessions", "width 1024-1440 px", "frame: page (assumed)", "2026-W36",
        "device = phone", LEDGER.run_line(), LEDGER.measures["clicks"].line(), "min_sessions 0: nothing is withheld",
    ):  # fmt: skip
        assert part in text
    assert plot(made).unit == "clicks in 8 x 8 px"


def test_withheld_cells_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    map_picture(grid([[9]], min_sessions=5, withheld=17), tmp_path / "x.png")
    assert any("min_sessions 5" in line and "17" in line for line in lines)


@pytest.mark.parametrize(("sessions", "mark"), [(29, "fewer than 30"), (99, "low"), (100, "100 sessions")])
def test_small_numbers_look_small(sessions: int, mark: str) -> None:
    text = map_subtitle(grid([[1]], sessions=sessions))
    assert mark in text
    assert ("(" in text) == (sessions < 100)


def test_hostile_and_long_names_are_short_plain_text(tmp_path: Path) -> None:
    evil = "/\x1b[31m<script>\u202e日本\n" + "x" * 5000
    assert map_title({"page": evil}).isprintable()
    assert len(map_title({"page": evil})) <= 70
    path = map_picture(grid([[1]], page=evil, where={"a": evil}), tmp_path / "x.png")
    assert opened(path).height < 1200


def test_a_tall_page_is_drawn_in_summed_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    made = random_grid(1, (2400, 180))
    drawn = plot(made, room=(760, 1800))
    factor = round(drawn.block[1] / 8)
    assert factor > 1
    assert drawn.levels.shape[0] <= 1800
    top = made.values[: 2400 // factor * factor, : 180 // factor * factor]
    sums = top.reshape(2400 // factor, factor, 180 // factor, factor).sum(axis=(1, 3))
    assert drawn.vmax == sums.max(), "counts are summed, not sampled"
    path = map_picture(made, tmp_path / "x.png")
    assert opened(path).height < 2200
    assert any("drawn in blocks" in line for line in lines)


def test_a_far_outlier_does_not_shrink_the_page_and_is_said() -> None:
    values = np.zeros((30_000, 20), np.int64)
    values[:100] = 5
    values[29_999, 0] = 3
    drawn = plot(grid(values))
    assert drawn.extent[3] <= TALLEST
    assert any("3 clicks lie outside the part drawn" in note for note in drawn.notes)


def test_empty_rows_below_the_last_click_are_not_drawn() -> None:
    values = np.zeros((4000, 180), np.int64)
    values[99, 50] = 1
    assert plot(grid(values, viewport_w=1440)).extent[3] <= 100 * 8 + 5 * 8


def test_a_grid_of_other_coordinates_is_drawn_whole() -> None:
    made = Grid(np.eye(20, dtype=np.int64), (-100.0, 100.0, -50.0, 50.0), used=20)
    assert plot(made).extent == (-100.0, 100.0, -50.0, 50.0)


def test_nothing_at_all_is_a_picture_too(tmp_path: Path) -> None:
    path = map_picture(grid(np.zeros((5, 5))), tmp_path / "x.png", ledger=Ledger())
    assert opened(path).size[0] >= 600
    map_picture(grid(np.zeros((5, 5))), path, scale="eq")
    map_picture(grid(np.zeros((5, 5))), path, scale="linear", theme="dark")


def test_planted_clicks_lie_on_their_button_of_a_2x_screenshot(tmp_path: Path) -> None:
    """A button at (400, 240) to (560, 296) px of the page, on a screenshot of 2 pixels a px."""
    shot = Image.new("RGB", (2880, 2000), "white")
    shot.paste((0, 0, 255), (800, 480, 1120, 592))
    shot.save(tmp_path / "shot.png")
    values = np.zeros((125, 180), np.int64)
    values[30:37, 50:70] = 40
    bare = map_picture(grid(values), tmp_path / "a.png", background=tmp_path / "shot.png", css_width=1440, opacity=0)
    full = map_picture(grid(values), tmp_path / "b.png", background=tmp_path / "shot.png", css_width=1440, opacity=1)
    a, b = (np.asarray(opened(path).convert("RGB")).astype(int)[90:, 62:] for path in (bare, full))
    button = np.argwhere((a[:, :, 2] > 200) & (a[:, :, 0] < 60))
    heat = np.argwhere((a != b).any(axis=2))
    assert len(heat) > 100
    assert np.abs(button.min(axis=0) - heat.min(axis=0)).max() <= 2
    assert np.abs(button.max(axis=0) - heat.max(axis=0)).max() <= 2


def test_zero_cells_leave_the_screenshot_clear(tmp_path: Path) -> None:
    shot = Image.new("RGB", (800, 600), (10, 200, 30))
    values = np.zeros((75, 100), np.int64)
    values[0, 0] = 5
    path = map_picture(grid(values), tmp_path / "x.png", background=shot, css_width=800, opacity=1.0)
    pixels = np.asarray(opened(path).convert("RGB"))
    assert (pixels == (10, 200, 30)).all(axis=2).sum() > 0.98 * 800 * 600


def test_a_screenshot_without_its_width_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    map_picture(grid([[3]]), tmp_path / "x.png", background=Image.new("RGB", (100, 100)))
    assert any("css_width not given" in line for line in lines)


def test_bad_screenshots_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    for name, code in (("text.png", "HG2320"), ("missing.png", "HG2320"), ("huge.png", "HG2321")):
        with pytest.raises(InputError, match=code):
            map_picture(grid([[1]]), tmp_path / "x.png", background=tmp_path / name)
    assert not (tmp_path / "x.png").exists()


def test_smoothing_is_the_callers_and_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = said(monkeypatch)
    seen: list[object] = []

    def smoother(values: np.ndarray, sigma: float | tuple[float, float]) -> np.ndarray:  # type: ignore[type-arg]
        seen.append((values.dtype, sigma))
        return values * 0.5

    map_picture(random_grid(2), tmp_path / "x.png", smooth=smoother, smooth_sigma=24)
    assert seen == [(np.float64, 3.0)], "sigma is handed over in cells"
    assert any("sigma 24 px" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"scale": "sqrt"}, "HG1312"),
        ({"vmax": 0}, "HG1313"),
        ({"vmax": float("nan")}, "HG1313"),
        ({"scale": "eq", "vmax": 5}, "HG1313"),
        ({"smooth_sigma": -1}, "HG1314"),
        ({"smooth_sigma": 5}, "HG1314"),
        ({"extent": (9000, 9100, 0, 10)}, "HG1315"),
        ({"theme": "pink"}, "HG1316"),
        ({"opacity": 1.5}, "HG1317"),
        ({"css_width": 0}, "HG1317"),
        ({"width": 9}, "HG1317"),
        ({"cmap": "jet"}, "HG1310"),
    ],
)
def test_unusable_options_are_usage_errors_and_write_nothing(
    tmp_path: Path, options: dict[str, object], code: str
) -> None:
    with pytest.raises(UsageError, match=code):
        map_picture(grid([[1, 2]]), tmp_path / "x.png", **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_stack_of_grids_is_refused(tmp_path: Path) -> None:
    stack = Grid(np.zeros((2, 3, 3), np.int64), (0.0, 3.0, 0.0, 3.0))
    with pytest.raises(UsageError, match="HG1311"):
        map_picture(stack, tmp_path / "x.png")


def matrix(n_rows: int = 6, n_columns: int = 4) -> Matrix:
    rows = [f"feature {i}" for i in range(n_rows) for _ in range(n_columns)]
    columns = [f"2026-W{j:02d}" for _ in range(n_rows) for j in range(n_columns)]
    values = [max(0, 400 // (i + 1) - 3 * j) for i in range(n_rows) for j in range(n_columns)]
    totals = {f"feature {i}": 900 // (i + 1) for i in range(n_rows)}
    return Matrix.build(rows, columns, values, declared=["unused"], row_totals=totals, n=2000)


def test_a_matrix_is_drawn(tmp_path: Path) -> None:
    matrix().save(tmp_path / "m.png")
    picture = opened(tmp_path / "m.png").convert("RGB")
    assert len(picture.getcolors(1 << 20) or []) > 20
    matrix_picture(matrix(), tmp_path / "dark.png", theme="dark")
    assert opened(tmp_path / "dark.png").convert("RGB").getpixel((1, 1)) == (22, 23, 29)


def test_cells_of_few_sessions_have_no_colour() -> None:
    made = Matrix.build(["a", "a", "b"], ["x", "y", "x"], [29, 30, 500], value="sessions")
    part = shares(made)
    assert part[made.rows.index("a"), made.columns.index("x")] == -1.0
    assert part[made.rows.index("a"), made.columns.index("y")] > 0
    assert part[made.rows.index("b"), made.columns.index("x")] == 1.0
    clicks = Matrix.build(["a", "b"], ["x", "x"], [10_000, 10_000], value="clicks", sessions=[SMALL - 1, SMALL])
    assert shares(clicks)[:, 0].tolist() == [-1.0, 1.0]


def test_a_large_or_hostile_matrix_stays_a_picture(tmp_path: Path) -> None:
    matrix(300, 70).save(tmp_path / "m.png")
    width, height = opened(tmp_path / "m.png").size
    assert width < 2600
    assert height < 1800
    evil = "\x1b[31m\u202e<script>\n" + "y" * 9000
    Matrix.build([evil], [evil], [50], value="clicks", row_name=evil, column_name=evil).save(tmp_path / "e.png")
    Matrix.build([], [], [], value="sessions").save(tmp_path / "empty.png")
    for name in ("e.png", "empty.png"):
        assert max(opened(tmp_path / name).size) < 2000
