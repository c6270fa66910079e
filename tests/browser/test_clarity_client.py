"""What the real clarity-js sends of a scripted session in Chromium, read by the adapter: clicks, boxes, scrolls."""

from __future__ import annotations

import pytest
from visitor import Visitor, rows_of

import heatgrid as hg

NAMED = {"#buy": 'span "Buy"', "button.x1": 'button "Share"', "#inside": "button#inside", "#end": "button#end"}
BOX = """(selector) => {
  const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
  return [x, y + scrollY, width, height];
}"""


def payloads(visitor, tmp_path):
    posts, seen = visitor.leave(500)
    path = tmp_path / f"{visitor.session}.jsonl"
    path.write_bytes(b"".join(post.body for post in posts))
    return path, seen


@pytest.mark.parametrize("size", [(420, 800), (1400, 900)], ids=lambda size: str(size[0]))
def test_clicks_are_on_their_elements_at_their_time_and_boxes_are_theirs(browser, site, size, tmp_path):
    visitor = Visitor(browser, site, "clarity", f"clarity{size[0]}", size)
    visitor.page.wait_for_timeout(400)
    for selector, times in (("#buy", 2), ("button.x1", 2)):
        visitor.scroll(selector)
        visitor.click(selector, NAMED[selector], times)
    box = visitor.page.evaluate(BOX, "button.x1")
    visitor.page.evaluate("document.querySelector('#panel').scrollTop = 200")
    visitor.page.wait_for_timeout(250)
    for selector, times in (("#inside", 1), ("#end", 3)):
        visitor.scroll(selector)
        visitor.page.wait_for_timeout(600)  # a scroll is told when it has come to rest
        visitor.click(selector, NAMED[selector], times)
    visitor.page.wait_for_timeout(700)
    deepest, tall = visitor.page.evaluate("[scrollY + innerHeight, document.documentElement.scrollHeight]")
    path, seen = payloads(visitor, tmp_path)
    events, made = rows_of(path)
    assert events.notes[0].startswith("read as clarity")
    clicks = [row for row in made if row["kind"] == "click"]
    assert [(row["feature"], row["x"], row["y"]) for row in clicks] == visitor.clicks
    for row, one in zip(clicks, [one for one in seen if one["kind"] == "click"], strict=True):
        assert abs(row["time"].timestamp() * 1000 - one["time"]) <= 50
    assert {row["viewport_w"] for row in clicks} == {size[0]}
    containers = [row for row in made if row["kind"] == "scroll" and row["frame"] == "element"]
    assert containers
    heat = hg.run(events, scroll=True, layout=True)
    assert heat.ledger.rejected == {}
    lies = {row["name"]: row for row in heat.layout.to_pylist()}['button "Share"']
    told = (lies["x0"], lies["y0"], lies["x1"] - lies["x0"], lies["y1"] - lies["y0"])
    assert told == pytest.approx(tuple(box), abs=1)
    (page,) = heat.scroll.to_pylist()
    assert max(row["y"] for row in heat.reach.to_pylist() if row["views"]) == deepest // 16 * 16
    assert page["page_h"] == pytest.approx(tall, rel=0.008)  # of a histogram
    assert {row["page"]: row["views"] for row in heat.pages.to_pylist()} == {"/shop.html": 1}


def test_routes_and_pages_are_views_and_a_touch_is_no_way_of_a_pointer(browser, site, tmp_path):
    visitor = Visitor(browser, site, "clarity", "clarity-touch", (420, 800), has_touch=True, is_mobile=True)
    visitor.page.wait_for_timeout(400)
    visitor.click("#menu", "button#menu", touch=True)  # to a route
    visitor.page.wait_for_timeout(500)
    visitor.click("a.button", 'a "Plans & prices"', touch=True)
    visitor.page.wait_for_url("**/plans.html")
    visitor.page.wait_for_timeout(500)
    path, _ = payloads(visitor, tmp_path)
    events, made = rows_of(path)
    views = [row["page"].rpartition("/")[2] for row in made if row["kind"] == "pageview"]
    assert views == ["shop.html", "4711", "plans.html"]
    clicks = [(row["feature"], row["pointer"]) for row in made if row["kind"] == "click"]
    assert clicks == [("button#menu", "touch"), ('a "Plans & prices"', "touch")]
    assert {row["pointer"] for row in made if row["kind"] == "move"} <= {"touch"}
    heat = hg.run(events)
    assert heat.summary["sessions"] == 1
