"""The map view in Chromium: links to recordings, dwell, fixed targets, releases, widths laid out as one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import heatgrid as hg

START = 1_760_000_000_000
WEEK = 604_800_000
HOSTILE = (
    "javascript:alert(1)",
    "https://r.example/\"onmouseover='alert(1)",
    "data:text/html,<script>alert(1)</script>",
)


def rows() -> pa.Table:
    """80 sessions in two weeks: a click on the page, one on a bar that is fixed, a second of the pointer elsewhere."""
    out: list[dict[str, Any]] = []
    for s in range(80):
        at = START + s % 2 * WEEK + s * 3_600_000
        x, y = (900.0, 1500.0) if s % 5 == 4 else (400.0 + s % 3, 300.0)
        link = HOSTILE[s] if s < len(HOSTILE) else f"https://r.example/s{s}?a=1&b=<i>".replace("<i>", "2")
        common = {
            "session": f"s{s}", "page": "/shop", "viewport_w": 1200 + 400 * (s % 4 == 0), "device": "ab"[s % 2],
            "replay_url": link,
        }  # fmt: skip
        events: list[tuple[int, str, float | None, float | None, bool]] = [
            (0, "pageview", None, None, False), (1000, "click", x, y, False),
            (2000, "click", 40.0, 20.0, True), (3000, "move", 800.0, 500.0, False), (4000, "input", None, None, False),
        ]  # fmt: skip
        out += [{**common, "time": at + ms, "kind": k, "x": x, "y": y, "fixed": f} for ms, k, x, y, f in events]
    return pa.Table.from_pylist(out)


PLAN: dict[str, Any] = {
    "maps": ("clicks", "moves", "dwell", "first_clicks", "goal_clicks"), "goal": "input", "by": ("device",),
    "every": "week", "releases": {"2.1": "2025-10-15", "<b>2.2": "2025-10-16"},
}  # fmt: skip


@pytest.fixture(scope="module")
def heat() -> hg.Heat:
    return hg.run(rows(), **PLAN)


def opened(browser: Any, index: Path) -> Iterator[Any]:
    """The page; at the end there was no complaint and no request but for itself."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page, complaints, asked = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=20_000)
    yield page
    page.screenshot(path=str(index.parent / "page.png"), full_page=True)
    assert complaints == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [index.as_uri()]
    context.close()


@pytest.fixture(scope="module")
def index(heat: hg.Heat, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heat.report(tmp_path_factory.mktemp("view") / "out")


@pytest.fixture
def page(browser: Any, index: Path) -> Iterator[Any]:
    yield from opened(browser, index)


def pick(page: Any, kind: str, width: str) -> str:
    page.select_option("#view-kind", kind)
    page.select_option("#view-width", width)
    return page.text_content("#map-n").replace("\u00a0", " ")


def cell_of(page: Any, x: float, y: float) -> None:
    page.evaluate(f"read([Math.floor({x} / drawn.pw), Math.floor({y} / drawn.ph)])")


def test_a_hotspot_leads_to_its_recordings(page: Any, heat: hg.Heat) -> None:
    pick(page, "clicks", "1024-1440")
    rows = [row for row in heat.links.to_pylist() if row["bucket"] == "1024-1440" and not row["fixed"]]
    places = [
        [row["replay_url"] for row in rows if row["x0"] <= x < row["x1"] and row["y0"] <= y < row["y1"]]
        for x, y in ((400, 300), (900, 1500))
    ]
    there, other = places
    assert (len(there), len(other)) == (4, 4)
    cell_of(page, 900, 1500)
    assert page.evaluate("recordings(cursor)") == other
    cell_of(page, 400, 300)
    assert "4 of its recordings: click or Enter" in page.text_content("#map-cell")
    assert page.locator("#map-links").is_hidden()
    page.focus("#map")
    page.keyboard.press("Enter")
    links = page.locator("#map-links a")
    assert links.evaluate_all("links => links.map((a) => a.getAttribute('href'))") == there
    assert links.all_text_contents() == there
    assert {*links.evaluate_all("links => links.map((a) => a.rel)")} == {"noopener noreferrer"}
    assert "Each shows one person" in page.text_content("#map-links-n")
    page.click("#map", position={"x": 3, "y": 3})
    assert page.text_content("#map-links-n") == "no recording is kept of a click there"
    assert links.count() == 0
    pick(page, "clicks, fixed targets", "1024-1440")
    assert page.locator("#map-links").is_hidden()
    cell_of(page, 40, 20)
    page.focus("#map")
    page.keyboard.press("Enter")
    mine = [row["replay_url"] for row in heat.links.to_pylist() if row["bucket"] == "1024-1440" and row["fixed"]]
    assert links.all_text_contents() == mine


def test_what_a_cell_holds_is_in_sight_however_tall_the_map_is(page: Any) -> None:
    pick(page, "clicks", "1024-1440")
    page.set_viewport_size({"width": 1300, "height": 420})
    page.evaluate("document.getElementById('map').scrollIntoView({behavior: 'instant', block: 'start'})")
    page.hover("#map", position={"x": 3, "y": 30})
    frame = page.locator("#map-cell").bounding_box()
    assert page.text_content("#map-cell").startswith("x 0 to ")
    assert frame["y"] >= 0
    assert frame["y"] + frame["height"] <= 420


def test_hostile_addresses_are_in_no_page(page: Any, index: Path, heat: hg.Heat) -> None:
    assert heat.ledger.measures["links"].invalid == 2 * len(HOSTILE)
    text = index.read_text()
    assert not any(url in text for url in (*HOSTILE, "onmouseover", "alert(1)"))
    page.evaluate("data.urls = data.urls.map(() => 'javascript:alert(1)')")  # and if one were, it would be no link
    pick(page, "clicks", "1024-1440")
    cell_of(page, 400, 300)
    page.focus("#map")
    page.keyboard.press("Enter")
    assert page.locator("#map-links a").count() == 0
    assert "<b>2.2" in page.text_content("select[data-part=period]")


def test_every_kind_of_the_plan_has_its_numbers(page: Any, heat: hg.Heat) -> None:
    kinds = page.locator("#view-kind option").all_text_contents()
    assert {*kinds} == {
        "clicks", "distinct sessions", "moves", "dwell", "first clicks", "goal clicks", "clicks, fixed targets",
        "first clicks, fixed targets", "goal clicks, fixed targets", "dwell, fixed targets",
    } - {"first clicks, fixed targets"}  # fmt: skip
    for kind in {*kinds} - {"distinct sessions"}:
        layer, _, where = kind.partition(", ")
        for bucket in ("1024-1440", "1440+"):
            told = pick(page, kind, bucket)
            grid = heat.map(layer.replace(" ", "_"), page="/shop", bucket=bucket, fixed=bool(where))
            dwelt = layer == "dwell"
            n = f"n = {grid.used // 1000:,} seconds" if dwelt else f"n = {grid.used:,} events"
            assert n in told
            assert ("frame: window" in told) == bool(where)
            assert page.evaluate("drawn.values.reduce((a, b) => a + b)") == grid.used / (1000 if dwelt else 1)
    pick(page, "dwell", "1024-1440")
    assert page.text_content("#map-unit").startswith("seconds of dwell in ")
    cell_of(page, 800, 500)
    assert page.text_content("#map-cell").partition(": ")[2] == "60 seconds of dwell"


def test_releases_stand_with_their_periods(page: Any, heat: hg.Heat) -> None:
    options = page.locator("select[data-part=period] option").all_text_contents()
    marked = {row["period"] for row in heat.releases.to_pylist()}
    assert len(marked) == 1
    assert [text for text in options if "▼" in text] == [f"{next(iter(marked))} ▼ 2.1, <b>2.2"]
    page.select_option("select[data-part=period]", next(iter(marked)))
    assert "n = 30 events" in pick(page, "clicks", "1024-1440") or "n = 40 events" in page.text_content("#map-n")


@pytest.mark.parametrize(
    ("widths", "said"), [("scale", "all widths, scaled to 1500 px"), ("bucket", "width 1024-1440 px")]
)
def test_what_became_of_other_widths_is_said(browser: Any, tmp_path: Path, widths: str, said: str) -> None:
    made = hg.run(rows(), maps=("clicks",), widths=widths, reference=1500).report(tmp_path / "out")
    for page in opened(browser, made):
        assert said in page.text_content("#map-n").replace("\u00a0", " ")


def test_users_that_came_back_are_in_the_page(browser: Any, tmp_path: Path) -> None:
    users = pa.array([f"u{int(name[1:]) // 2}" for name in rows()["session"].to_pylist()])
    made = hg.run(rows().append_column("user", users), maps=("clicks",), retention="week")
    told = made.retention.to_pylist()
    for page in opened(browser, made.report(tmp_path / "out")):
        table = page.locator("section:has(h2:text('first week')) table")
        cells = [int(text) for text in table.locator("tbody td").all_text_contents() if text != "0"]
        assert sorted(cells) == sorted(row["returned"] for row in told if row["returned"])


def test_without_recordings_nothing_is_said_of_them(browser: Any, tmp_path: Path) -> None:
    made = hg.run(rows().drop_columns(["replay_url"]), maps=("clicks",)).report(tmp_path / "out")
    for page in opened(browser, made):
        assert "links from a place to recordings are off" in page.text_content("#off")
        assert "recording" not in page.text_content("#map-cell")
        assert page.evaluate("data.links.length") == 0
