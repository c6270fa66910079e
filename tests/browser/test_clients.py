"""What posthog-js, mixpanel-browser and the Snowplow tracker send of a scripted session in Chromium, made an export as
their services do, and read without flags: clicks, elements, times, depths, against the script and the page itself."""

from __future__ import annotations

from itertools import pairwise

import exports
import pytest
from visitor import Visitor, rows_of

import heatgrid as hg

WIDTHS = [(420, 800), (900, 700), (1400, 900)]
CLIENTS = ("posthog", "mixpanel", "snowplow")
TARGETS = {
    "#menu": "button#menu", "#buy": "button#buy", "[data-testid=save]": "button[data-testid=save]",
    "button.x1": 'button "Share"', "#dead": "button#dead", "#inside": "button#inside", "#end": "button#end",
    "#choose": "button#choose",
}  # fmt: skip
UNTOLD = {"[data-testid=save]": {"mixpanel": 'button "for later"', "snowplow": 'button "Save for later"'}}
"""Elements of whom a client does not send the attribute that names them, with all that it sends."""
QUEUE = 450
"""ms until a client's queue is sent."""


def name(client, selector):
    return UNTOLD.get(selector, {}).get(client, TARGETS[selector])


def files(client, posts, folder):
    """Exports of a session: what to read, by what they are."""
    if client == "posthog":
        made = {"events": ("events.jsonl", exports.posthog_export(posts)),
                "heatmaps": ("heatmaps.csv", exports.posthog_heatmaps(posts).encode())}  # fmt: skip
    elif client == "mixpanel":
        made = {"events": ("ms.jsonl", exports.mixpanel_export(posts, ms=True)),
                "seconds": ("s.jsonl", exports.mixpanel_export(posts, ms=False))}  # fmt: skip
    else:
        made = {"events": ("enriched.tsv", exports.snowplow_enriched(posts))}
    for file, data in made.values():
        (folder / file).write_bytes(data)
    return {what: folder / file for what, (file, _) in made.items()}


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    return request.param


@pytest.mark.parametrize("size", WIDTHS, ids=lambda size: str(size[0]))
def test_twenty_clicks_are_twenty_clicks_on_their_elements(client, browser, site, size, tmp_path):
    visitor = Visitor(browser, site, client, f"{client}-{size[0]}", size)

    def click(selector, times=1):
        visitor.scroll(selector)
        visitor.click(selector, name(client, selector), times)

    click("#menu")
    for selector, times in (("#buy", 2), ("[data-testid=save]", 2), ("button.x1", 3)):
        click(selector, times)
    click("#dead", 5)  # the burst
    visitor.page.evaluate("document.querySelector('#panel').scrollTop = 200")
    visitor.page.wait_for_timeout(100)
    click("#inside", 2)
    click("#end", 4)
    deepest = visitor.page.evaluate("scrollY + innerHeight")
    visitor.page.wait_for_timeout(1100)  # Snowplow's next ping
    click("#menu")
    assert len(visitor.clicks) == 20
    posts, seen = visitor.leave(QUEUE)
    assert len([one for one in seen if one["kind"] == "click"]) == 20
    read = files(client, posts, tmp_path)

    events, made = rows_of(read["events"])
    clicks = sorted((row for row in made if row["kind"] == "click"), key=lambda row: row["time"])
    assert [row["feature"] for row in clicks] == [one[0] for one in visitor.clicks]
    assert [row["page"].partition("?")[0].rpartition("/")[2] for row in clicks] == ["shop.html"] + ["4711"] * 19
    assert {row["viewport_w"] for row in clicks} == {size[0]}
    heat = hg.run(events, scroll=True, friction=("rage", "rage:source", "dead:source"), maps=("clicks", "moves"))
    assert set(heat.ledger.rejected) <= {"duplicate"}
    assert {row["page"]: row["clicks"] for row in heat.pages.to_pylist()} == {"/account/:id": 19, "/shop.html": 1}
    views = {row["page"]: row["views"] for row in heat.pages.to_pylist()}
    # the last click pushes the same address again: a view to Snowplow, which is told so, and to nobody else
    assert views == {"/account/:id": 1 + (client == "snowplow"), "/shop.html": 1}
    assert "moves" in heat.refused
    flagged = {row["rule"]: row["flagged"] for row in heat.rules.to_pylist()}
    reached = [row["y"] for row in heat.reach.to_pylist() if row["page"] == "/account/:id" and row["views"]]
    if client == "posthog":
        assert "clicks" in heat.refused
        assert "attention" in heat.refused
        assert "only how far down" in heat.refused["attention"]
        flags = {kind: [row["feature"] for row in made if row["kind"] == kind] for kind in ("rageclick", "deadclick")}
        assert sorted(flags["rageclick"]) == ['button "Share"', "button#dead", "button#end"]  # three clicks in a second
        once = {row["event_id"] for row in made if row["kind"] == "deadclick"}
        assert (flagged["rage:source"], flagged["dead:source"]) == (3, len(once))
        assert max(reached) == deepest // 16 * 16
        points(read["heatmaps"], visitor)
    elif client == "snowplow":
        assert "clicks" in heat.refused
        assert max(reached) == deepest // 16 * 16
    else:
        assert [(row["x"], row["y"]) for row in clicks] == [(x, y) for _, x, y in visitor.clicks]
        assert int(heat.map("clicks", page="/account/:id").values.sum()) == 19
        assert flagged["rage:source"] >= 1
        assert max(reached) == deepest // 16 * 16  # by the clicks on #end, which tell where the page stood
        whole = hg.run(hg.read(read["seconds"]), scroll=True, friction=("rage", "rage:source"))
        assert {"dwell", "visits", "attention"} <= set(whole.refused)
        assert "time_quality=flush:1000" in whole.refused["dwell"]
        assert sum(row["clicks"] for row in whole.pages.to_pylist()) == 20


def points(path, visitor):
    """PostHog's heatmap rows: every click within 8 px of where it was, flags beside them, no way of the pointer."""
    events, made = rows_of(path)
    assert events.evidence.quantum_px == 16
    clicks = [(row["fixed"], row["x"], row["y"]) for row in made if row["kind"] == "click"]
    left = [*visitor.fixed]
    for fixed, x, y in clicks:  # points of one flush are not in order
        near = [one for one in left if one[0] == fixed and abs(one[1] - x) <= 8 and abs(one[2] - y) <= 8]
        assert near, (fixed, x, y, left)
        left.remove(near[0])
    assert left == []
    heat = hg.run(events, friction=("rage", "rage:source"))
    assert "dwell" in heat.refused
    assert {row["rule"]: row["flagged"] for row in heat.rules.to_pylist()} == {"rage:posthog": None, "rage:source": 3}


def test_the_time_on_pages_and_elements_is_that_of_the_script(client, browser, site, tmp_path):
    visitor = Visitor(browser, site, client, f"{client}-times", (900, 700))
    visitor.page.wait_for_timeout(300)
    for selector, rest in (("#buy", 700), ("[data-testid=save]", 400), ("#buy", 500)):
        visitor.click(selector, name(client, selector))
        visitor.page.wait_for_timeout(rest)
    visitor.click("a.button", "")
    visitor.page.wait_for_url("**/plans.html")
    visitor.page.wait_for_timeout(600)
    visitor.scroll(900)
    visitor.click("#choose", "button#choose")
    posts, seen = visitor.leave(QUEUE)
    events, made = rows_of(files(client, posts, tmp_path)["events"])
    heat = hg.run(events)
    told = {row["feature"]: row["dwell_ms"] for row in heat.features.to_pylist()}
    # a ping is on no element: it ends the time on one (and none is sent in the first second)
    pings = [{"time": row["time"].timestamp() * 1e3, "target": ""} for row in made if row["kind"] == "page_ping"]
    ends = sorted([*(one for one in seen if one["kind"] == "click"), *pings], key=lambda one: one["time"])
    mine = {}
    for one, after in pairwise(ends):
        mine[one["target"]] = mine.get(one["target"], 0) + after["time"] - one["time"]
    assert abs(told["button#buy"] - mine["buy"]) <= 50
    assert abs(told[name(client, "[data-testid=save]")] - mine["save"]) <= 50
    pages = {row["page"]: row for row in heat.pages.to_pylist()}
    assert {page: row["views"] for page, row in pages.items()} == {"/shop.html": 1, "/plans.html": 1}
    begin, end = (next(one["time"] for one in seen if one["path"] == page) for page in ("/shop.html", "/plans.html"))
    first, *_, last = (one["time"] for one in seen if one["kind"] == "click" and one["path"] == "/shop.html")
    assert (
        last - first <= pages["/shop.html"]["dwell_ms"] <= end - begin + 50
    )  # a client begins when it has been loaded


def test_a_touch_is_a_click_and_no_way_of_a_pointer(client, browser, site, tmp_path):
    visitor = Visitor(browser, site, client, f"{client}-touch", (420, 800), has_touch=True, is_mobile=True)
    for selector in ("#buy", "[data-testid=save]", "#buy"):
        visitor.scroll(selector)
        visitor.click(selector, name(client, selector), touch=True)
    posts, seen = visitor.leave(QUEUE)
    assert [one["kind"] for one in seen].count("click") == 3
    for path in files(client, posts, tmp_path).values():
        events, made = rows_of(path)
        assert [row["kind"] for row in made].count("click") == 3
        assert "move" not in {row["kind"] for row in made}
        heat = hg.run(events, maps=("clicks", "moves"))
        drawn = set(heat.layers()["layer"].to_pylist())
        # heatmaps rows do not tell that a resting point was made up by the browser after a touch
        assert drawn <= ({"clicks", "moves"} if path.suffix == ".csv" else {"clicks"})
