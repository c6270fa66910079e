"""Screenshots below the maps of a report: found by page and width, scaled, and told where they do not fit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from heatgrid.cli import main
from heatgrid.outputs.screens import Screen, height_off, screen_for, screens_of
from heatgrid.words.errors import InputError

NOON = 1_714_564_800_000
RED, BLUE = (200, 0, 0), (0, 0, 200)


def shot(path: Path, width: int, height: int) -> Path:
    """The left half red, the right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    image.save(path)
    return path


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Clicks at x = 1,000 and y = 200 of pages of 2,000 px, seen in windows of 1,440 and 400 px."""
    n = 200
    rows: dict[str, Any] = {
        "time": [NOON + 1000 * i for i in range(n)], "session": [f"s{i // 10}" for i in range(n)],
        "page": ["/pricing"] * 100 + ["/"] * 100, "kind": ["click"] * n, "x": [1000.0] * 100 + [200.0] * 100,
        "y": [200.0] * n, "viewport_w": [1440] * 100 + [400] * 100, "viewport_h": [800] * n, "page_h": [2000] * n,
        "scroll_y": [0] * n,
    }  # fmt: skip
    path = tmp_path / "dump.parquet"
    pq.write_table(pa.table(rows), path)
    return path


def spot(pixels: Any) -> tuple[float, float]:
    """Where the one cell lies, in px of the page: it is the only thing above the blue half."""
    red, blue = (np.argwhere((pixels == colour).all(axis=2)) for colour in (RED, BLUE))
    left, middle, right = red[:, 1].min(), blue[:, 1].min(), blue[:, 1].max() + 1
    assert abs((middle - left) - (right - middle)) <= 2, "all of the screenshot is there"
    top, bottom = red[:, 0].min(), red[:, 0].max() + 1
    other = ~((pixels == RED).all(axis=2) | (pixels == BLUE).all(axis=2))
    y, x = np.argwhere(other[top:bottom, middle + 3 : right]).mean(axis=0) + 0.5
    return (x + middle + 3 - left) / (right - left) * 1440, y / (bottom - top) * 2000


def test_a_report_shows_maps_over_their_screenshots(
    dump: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    shot(folder / "pricing@1440.png", 2880, 4000)  # two pixels for each px, as high as the page
    shot(folder / "root@400.png", 400, 900)
    shot(folder / "pricing@800.png", 800, 2000)
    out = tmp_path / "report"
    assert main(["report", str(dump), "-o", str(out), "--screens", str(folder), "--maps", "clicks"]) == 0, (
        capfd.readouterr()
    )
    drawn = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in (out / "maps").iterdir()}
    wide = next(pixels for name, pixels in drawn.items() if "pricing" in name)
    text = (out / "index.html").read_text()
    x, y = spot(wide)
    assert abs(x - 1004) < 6, "the cell of 8 px at x = 1,000"
    assert abs(y - 204) < 6
    (data,) = re.findall(r'id="data">(.*?)</script>', text)
    shots = [(entry[1], entry[2], entry[3], entry[5]) for entry in json.loads(data)["shots"]]
    assert {entry[:3] for entry in shots} == {(3, 1440.0, 2000.0), (0, 400.0, 900.0)}
    (told,) = (notes for bucket, *_, notes in shots if bucket == 0)
    assert "root@400.png shows 900 px of height, the page has 2,0" in told[0]
    assert "pricing@1440.png shows" not in text


def test_pictures_are_found_by_names_and_by_the_list(tmp_path: Path) -> None:
    shot(tmp_path / "Project-ID@1440.PNG", 60, 60)
    (tmp_path / "notes@x.txt").write_text("")
    (tmp_path / "screens.toml").write_text(
        '[[screen]]\npage = "/a-b"\ncss_width = 390\nfile = "x.png"\nrelease = "2"\n'
    )
    found = screens_of(tmp_path)
    assert [(one.page, one.css_width, one.bucket) for one in found] == [
        ("/a-b", 390.0, "0-600"), ("project-id", 1440.0, "1440+"),
    ]  # fmt: skip
    pages = ["/project/:id", "/a-b", "/a/b"]
    assert screen_for(found, pages, "/project/:id", "1440+") == found[1]
    assert screen_for(found, pages, "/project/:id", "0-600") is None
    assert screen_for(found, pages, "/a-b", "0-600") == found[0]
    assert screen_for(found, pages, "/a/b", "0-600") is None, "the list names one page"
    two = [Screen("a-b", 390.0, tmp_path / "a-b@390.png")]
    assert screen_for(two, pages, "/a/b", "0-600") is None, "the name is that of two pages"
    assert screens_of(tmp_path / "screens.toml") == found[:1]


def test_a_height_that_is_off_is_said() -> None:
    one = Screen("a", 1440.0, Path("a@1440.png"))
    assert height_off(one, (2880, 4000), 2000) is None
    assert height_off(one, (1440, 2100), 2000) is None
    assert "2,101" in (height_off(one, (1440, 2101), 2000) or "")
    assert height_off(one, (1440, 900), None) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "HG2330"),
        ("[[screen", "HG2330"),
        ('[[screen]]\npage = "/a"\nfile = "a.png"\n', "HG2331"),
        ('[[screen]]\npage = "/a"\nfile = "a.png"\ncss_width = 1440\nwidht = 3\n', "HG2331"),
    ],
)
def test_what_is_no_list_of_screens(text: str | None, code: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "screens.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        screens_of(tmp_path)
    assert caught.value.code == code
    with pytest.raises(InputError):
        screens_of(tmp_path / "none")
