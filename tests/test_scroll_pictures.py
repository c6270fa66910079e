"""The picture of reach and attention: how far down it goes, and which way its colours run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from heatgrid.outputs.colors import luminance
from heatgrid.outputs.scroll_pictures import LEFT, STRIP, reached, scroll_picture

PAGE = {
    "page": "/long", "bucket": "1440+", "views": 2000, "sessions": 900, "growing": 0, "page_h": 12_000, "clicks": 0,
    "below": 0, "below_share": None, "fold_p10": 700, "fold_p50": 800, "fold_p90": 900,
}  # fmt: skip
MARGINS = 160


def drawn(path: Path, page: dict[str, object], steps: list[tuple[int, int]], **options: object) -> Image.Image:
    """steps : (y, views from there on), drawn at full scale; attention falls as reach does."""
    ys = list(range(0, steps[-1][0], 16))
    views = [next(v for y, v in reversed(steps) if y <= at) for at in ys]
    reach = pa.table({"y": ys, "views": views})
    attention = pa.table({"y": ys, "attention_ms": [1000 * v for v in views]})
    scroll_picture(page, reach, attention, path, **options)
    with Image.open(path) as image:
        return image.convert("RGB")


def test_as_far_as_one_view_in_a_thousand_comes() -> None:
    """Fails if `>=` is `>`, or the first row is not all views."""
    assert reached([(0, 2000), (16, 900), (32, 2), (48, 1)], 16) == 48
    assert reached([(0, 999), (16, 1), (32, 1)], 16) == 48, "of fewer than a thousand each counts"
    assert reached([(0, 10), (16, 0)], 16) == 16
    assert reached([], 16) == 16


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_tall_page_is_cut_where_hardly_anyone_comes(tmp_path: Path, theme: str) -> None:
    """12,000 px high, one view of 2,000 at the end: 1,600 px are drawn, at full scale."""
    steps = [(0, 2000), (800, 1000), (1584, 2), (1600, 1), (12_000, 0)]
    image = drawn(tmp_path / "a.png", PAGE, steps, max_height=1600, theme=theme)
    assert 1600 + MARGINS * 0.5 < image.height < 1600 + MARGINS * 2
    # the fold is always in it
    few = drawn(tmp_path / "b.png", PAGE | {"fold_p90": 3000}, [*steps[:2], (900, 1), (12_000, 0)], max_height=8000)
    assert 3000 < few.height < 3000 + MARGINS * 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_more_attention_is_brighter_as_more_clicks_are(tmp_path: Path, theme: str) -> None:
    image = drawn(tmp_path / "a.png", PAGE, [(0, 2000), (400, 1000), (800, 300), (1200, 0)], theme=theme)
    pixels = np.asarray(image)[:, LEFT + STRIP // 2]
    bottom = image.height - MARGINS // 2
    strip = [pixels[at] for at in (bottom - 1100, bottom - 600, bottom - 200)]
    light = [luminance(tuple(int(v) for v in rgb)) for rgb in strip]
    assert light[0] > light[1] > light[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_folds_are_seen_on_what_is_dark_and_on_what_is_bright(tmp_path: Path, theme: str) -> None:
    """The lines of the folds differ from the strip behind them, where it is bright (p10) and where it is dark (p90)."""
    page = PAGE | {"fold_p10": 100, "fold_p50": 400, "fold_p90": 1100}
    steps = [(0, 2000), (800, 20), (1200, 0)]
    image = np.asarray(drawn(tmp_path / "a.png", page, steps, theme=theme))[:, LEFT : LEFT + STRIP]
    light = np.array([[luminance(tuple(int(v) for v in rgb)) for rgb in row[:4]] for row in image])[:, 1]
    jumps = [
        at for at in range(1, len(light) - 1) if abs(light[at] - light[at - 1]) > 0.3 < abs(light[at] - light[at + 1])
    ]
    assert len(jumps) >= 2, "the dashed lines are one px high"
    assert light[jumps[-1]] > 0.9, "bright where nobody looks"


def test_the_median_fold_is_one_line(tmp_path: Path) -> None:
    """Of one colour on what is of one colour. Fails if a piece is drawn after what the piece before has left."""
    page = PAGE | {"fold_p10": 100, "fold_p50": 400, "fold_p90": 1100}
    image = np.asarray(drawn(tmp_path / "a.png", page, [(0, 2000), (1200, 0)]))[:, LEFT + 8 : LEFT + STRIP - 8]
    whole = [at for at, row in enumerate(image) if at > 100 and (row == (20, 20, 26)).all()]
    assert len(whole) == 2
