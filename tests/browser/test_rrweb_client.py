"""What the real rrweb client records of a scripted session in Chromium, read by the adapter: clicks, elements, times,
scrolls, against what the script did and what the page itself saw."""

from __future__ import annotations

from itertools import pairwise

import pytest
from visitor import Visitor, rows_of

import heatgrid as hg

WIDTHS = [(420, 800), (900, 700), (1400, 900)]
TARGETS = {
    "#buy": "button#buy", "[data-testid=save]": "button[data-testid=save]", "button.x1": 'button "Share"',
    "[name=gift]": "input[name=gift]", "#inside": "button#inside", "#end": "button#end",
}  # fmt: skip


def recording(visitor, tmp_path):
    """What was recorded as a file, and what the page itself saw."""
    posts, seen = visitor.leave()
    path = tmp_path / f"{visitor.session}.ndjson"
    path.write_bytes(b"".join(post.body for post in posts))
    return path, seen


@pytest.mark.parametrize("size", WIDTHS, ids=lambda size: str(size[0]))
def test_twenty_clicks_are_twenty_clicks_on_their_elements(browser, site, size, tmp_path):
    visitor = Visitor(browser, site, "rrweb", f"w{size[0]}", size)
    visitor.click("#menu", "button#menu")
    for selector, times in (("#buy", 2), ("[data-testid=save]", 2), ("button.x1", 1), ("[name=gift]", 2)):
        visitor.scroll(selector)
        visitor.click(selector, TARGETS[selector], times)
    visitor.scroll("#dead")
    visitor.click("#dead", "button#dead", times=5)  # the burst
    visitor.page.evaluate("document.querySelector('#panel').scrollTop = 200")
    visitor.page.wait_for_timeout(250)
    visitor.scroll("#inside")
    visitor.click("#inside", TARGETS["#inside"], times=2)
    visitor.scroll("#end")
    visitor.click("#end", TARGETS["#end"], times=4)
    deepest = visitor.page.evaluate("scrollY + innerHeight")
    visitor.click("#menu", "button#menu")
    path, seen = recording(visitor, tmp_path)
    assert len(visitor.clicks) == 20

    events, made = rows_of(path)
    clicks = [row for row in made if row["kind"] == "click"]
    assert [row["feature"] for row in clicks] == [name for name, _, _ in visitor.clicks]
    assert [(row["x"], row["y"]) for row in clicks] == [(x, y) for _, x, y in visitor.clicks]
    assert [(row["x"], row["y"]) for row in clicks] == [(one["x"], one["y"]) for one in seen if one["kind"] == "click"]
    assert {row["pointer"] for row in clicks} == {"mouse"}
    assert [row["page"].rpartition("/")[2].partition("?")[0] for row in clicks] == ["shop.html"] + ["4711"] * 19
    # the page's own panel has moved, and the page not with it
    assert [row["scroll_y"] == prior["scroll_y"] for prior, row in pairwise(made)
            if row["kind"] == "scroll" and row["frame"] == "element"] != []  # fmt: skip
    heat = hg.run(events, friction=("rage", "dead"), scroll=True)
    assert heat.ledger.rejected == {}
    assert {row["page"]: row["clicks"] for row in heat.pages.to_pylist()} == {"/account/:id": 19, "/shop.html": 1}
    flagged = {row["feature"]: row["rage"] for row in heat.features.to_pylist()}
    assert flagged["button#dead"] == 1
    reached = [row["y"] for row in heat.reach.to_pylist() if row["page"] == "/account/:id" and row["views"]]
    assert max(reached) == deepest // 16 * 16


def test_the_time_on_pages_and_elements_is_that_of_the_script(browser, site, tmp_path):
    visitor = Visitor(browser, site, "rrweb", "times", (900, 700))
    visitor.page.wait_for_timeout(300)
    for selector, rest in (("#buy", 700), ("[data-testid=save]", 400), ("#buy", 500)):
        visitor.click(selector, TARGETS[selector])
        visitor.page.wait_for_timeout(rest)
    visitor.click("a.button", 'a "Plans & prices"')
    visitor.page.wait_for_url("**/plans.html")
    visitor.page.wait_for_timeout(600)
    visitor.scroll(900)
    visitor.click("#choose", "button#choose")
    path, seen = recording(visitor, tmp_path)
    heat = hg.run(hg.read(path))
    seen = [one for one in seen if one["kind"] != "load"]
    told = {row["feature"]: row["dwell_ms"] for row in heat.features.to_pylist()}
    mine = {}
    for one, after in pairwise(seen):
        key = (one["path"], one["target"])
        mine[key] = mine.get(key, 0) + after["time"] - one["time"]
    assert abs(told["button#buy"] - mine["/shop.html", "buy"]) <= 50
    assert abs(told["button[data-testid=save]"] - mine["/shop.html", "save"]) <= 50
    pages = {row["page"]: row for row in heat.pages.to_pylist()}
    on_shop = [one["time"] for one in seen if one["path"] == "/shop.html"]
    assert {page: row["views"] for page, row in pages.items()} == {"/shop.html": 1, "/plans.html": 1}
    assert pages["/shop.html"]["dwell_ms"] >= on_shop[-1] - on_shop[0]
    assert 850 <= pages["/plans.html"]["dwell_ms"] <= 850 + 600


def test_a_touch_is_a_click_and_no_way_of_a_pointer(browser, site, tmp_path):
    visitor = Visitor(browser, site, "rrweb", "touch", (420, 800), has_touch=True, is_mobile=True)
    for selector in ("#buy", "[data-testid=save]", "#buy"):
        visitor.scroll(selector)
        visitor.click(selector, TARGETS[selector], touch=True)
    path, seen = recording(visitor, tmp_path)
    assert [one["kind"] for one in seen].count("click") == 3
    events, made = rows_of(path)
    clicks = [row for row in made if row["kind"] == "click"]
    assert [(row["feature"], row["pointer"]) for row in clicks] == [(name, "touch") for name, _, _ in visitor.clicks]
    assert {row["pointer"] for row in made if row["kind"] == "move"} <= {"touch"}
    heat = hg.run(events, maps=("clicks", "moves"))
    assert int(heat.map("clicks").values.sum()) == 3
    assert sum(heat.layers().to_pydict()["events"]) == 3  # no layer of moves


def test_taking_stock_again_is_no_view_and_a_reload_is(browser, site, tmp_path):
    visitor = Visitor(browser, site, "rrweb", "stock", (900, 700))
    visitor.page.wait_for_timeout(100)
    visitor.scroll(400)
    visitor.page.evaluate("rrweb.record.takeFullSnapshot(true)")
    visitor.scroll(600)
    visitor.page.evaluate("flush()")
    visitor.page.reload()
    visitor.page.wait_for_timeout(100)
    visitor.click("#menu", "button#menu")
    path, _ = recording(visitor, tmp_path)
    _, made = rows_of(path)
    views = [row["page"].rpartition("/")[2].partition("?")[0] for row in made if row["kind"] == "pageview"]
    assert views == ["shop.html", "shop.html", "4711"]
    scrolls = [row for row in made if row["kind"] == "scroll" and row["frame"] == "page"]
    assert {400.0, 600.0} <= {row["scroll_y"] for row in scrolls}
