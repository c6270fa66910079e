"""heatgrid snapshot of what the real rrweb client recorded: elements where the page itself had them, its height, its
picture; and of hostile recordings, in which nothing runs or loads."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from visitor import Visitor

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.snapshot import snapshot

WIDTHS = [(420, 800), (1400, 900)]
BOXES = """names => Object.fromEntries(names.map(name => {
  const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
  return [name, [x + scrollX, y + scrollY, width, height]];
}))"""
NAMES = {
    "#buy": "button#buy", "[data-testid=save]": "button[data-testid=save]", "button.x1": 'button "Share"',
    "[name=gift]": "input[name=gift]", "#dead": "button#dead", "#end": "button#end",
}  # fmt: skip
SANDBOX = os.geteuid() != 0
TAB = 'a "ReactHooks.js"'
REAL = Path(os.environ.get("HEATGRID_DATA", "../shared/data")) / "rrweb_demo_session" / "events.js"


def layout_of(folder):
    return tomllib.loads((folder / "layout.toml").read_text())["area"]


@pytest.mark.parametrize("size", WIDTHS, ids=lambda size: str(size[0]))
def test_elements_lie_where_they_were_and_exposure_runs(browser, site, size, tmp_path):
    visitor = Visitor(browser, site, "rrweb", f"shot{size[0]}", size)
    truth = visitor.page.evaluate(BOXES, list(NAMES))
    tall = visitor.page.evaluate("document.documentElement.scrollHeight")
    clicked = {NAMES[selector] for selector in ("#buy", "#dead", "#end")}
    for selector in ("#buy", "#dead", "#end"):
        visitor.scroll(selector)
        visitor.click(selector, NAMES[selector])
        visitor.page.wait_for_timeout(200)
    posts, _ = visitor.leave()
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"".join(post.body for post in posts))
    out = tmp_path / "screens"
    made = snapshot(path, out, after_ms=0, sandbox=SANDBOX)
    assert [(one.page, one.css_width, one.page_h) for one in made.screens] == [("/shop.html", size[0], tall)]
    with Image.open(out / f"shop-html@{size[0]}.png") as picture:
        assert picture.size == (size[0], tall)
    areas = {area["name"]: area for area in layout_of(out)}
    for selector, (x, y, width, height) in truth.items():
        area = areas[NAMES[selector]]
        told = (area["x0"], area["y0"], area["x1"] - area["x0"], area["y1"] - area["y0"])
        assert told == pytest.approx((x, y, width, height), abs=1), selector
    assert "button#menu" not in areas  # in the sticky header
    assert "button#inside" not in areas  # below what the panel shows
    assert "1 out of sight inside a container" in " ".join(made.notes)
    # the recording by itself has no layout; with this one it tells what was seen, the unclicked too
    heat = hg.run(path, layout=out / "layout.toml", scroll=True)
    seen = {row["feature"]: row for row in heat.exposure.to_pylist()}
    assert {name: (seen[name]["exposed_views"], seen[name]["clicks"]) for name in NAMES.values()} == {
        name: (1, name in clicked) for name in NAMES.values()
    }
    assert {row["clicks_unexposed"] for row in seen.values()} == {0}
    report = tmp_path / "report"
    assert (
        main(["report", str(path), "-o", str(report), "--screens", str(out), "--layout", f"{out}/layout.toml", "-q"])
        == 0
    )
    assert list(report.glob("maps/*clicks*.png"))


def test_mutations_up_to_the_moment_are_in_the_picture(browser, site, tmp_path):
    visitor = Visitor(browser, site, "rrweb", "grown", (900, 700))
    visitor.page.wait_for_timeout(100)
    visitor.page.evaluate("""() => {
      const one = document.createElement("button");
      one.id = "late"; one.textContent = "Late";
      one.style.cssText = "position: absolute; left: 300px; top: 500px; width: 120px; background: rgb(255, 0, 0)";
      document.body.prepend(one);
      document.getElementById("buy").remove();
      document.getElementById("dead").style.marginLeft = "37px";
    }""")
    visitor.page.wait_for_timeout(300)
    truth = visitor.page.evaluate(BOXES, ["#late", "#dead"])
    posts, _ = visitor.leave()
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"".join(post.body for post in posts))
    for after, names in ((0, {"button#buy"}), (3000, {"button#late"})):
        out = tmp_path / str(after)
        snapshot(path, out, after_ms=after, sandbox=SANDBOX)
        areas = {area["name"]: area for area in layout_of(out)}
        assert {"button#buy", "button#late"} & set(areas) == names
    assert (areas["button#late"]["x0"], areas["button#late"]["y0"]) == tuple(truth["#late"][:2])
    assert areas["button#dead"]["x0"] == pytest.approx(truth["#dead"][0], abs=1)
    with Image.open(out / "shop-html@900.png") as picture:
        assert picture.convert("RGB").getpixel((303, int(truth["#late"][1]) + 20)) == (255, 0, 0)


@pytest.mark.skipif(not REAL.is_file(), reason="no real recording here (HEATGRID_DATA)")
def test_the_real_recording(browser, tmp_path):
    made = snapshot(REAL, tmp_path / "screens", sandbox=SANDBOX)
    (screen,) = made.screens
    assert (screen.page, screen.css_width, screen.page_h) == ("/e/react", 1166, 705)
    areas = {area["name"]: area for area in layout_of(tmp_path / "screens")}
    rows = [row for chunk in hg.read(REAL).scan(("kind", "x", "y", "feature")) for row in chunk.batch.to_pylist()]
    clicks = [(row["x"], row["y"]) for row in rows if row["kind"] == "click" and row["feature"] == TAB]
    area = areas[TAB]
    assert clicks == [(105, 23)]
    assert area["x0"] <= 105 < area["x1"]
    assert area["y0"] <= 23 < area["y1"]


def hostile(served: str) -> list[dict]:
    """A page that tries to run, to load, to read files, and to break the document calls that build it."""
    number = iter(range(1, 1000))

    def node(tag, *children, **attributes):
        names = {key.removesuffix("_"): value for key, value in attributes.items()}
        return {"type": 2, "id": next(number), "tagName": tag, "attributes": names, "childNodes": list(children)}

    def text(content):
        return {"type": 3, "id": next(number), "textContent": content}

    code = f"document.title = 'ran'; fetch('{served}/ran')"
    body = node(
        "body",
        node("script", text(code)), node("script", src=f"{served}/a.js"), node("img", src="x", onerror=code),
        node("img", src=f"{served}/pixel.png"), node("img", src="file:///etc/passwd"),
        node("iframe", src=f"{served}/frame"), node("iframe", srcdoc=f"<script>{code}</script>"),
        node("object", data=f"{served}/o"),
        node("embed", src=f"{served}/embed"),
        node("meta", **{"http-equiv": "refresh", "content": f"0;url={served}/meta"}),
        node("base", href=served), node("link", rel="stylesheet", href=f"{served}/a.css"),
        node("link", rel="prefetch", href=f"{served}/prefetch"), node("video", src=f"{served}/v.mp4", autoplay=True),
        node("style", text(f"@import '{served}/b.css'; body {{ background: url({served}/bg.png) }}"
                           "</style><script>document.title = 'ran'</script>")),
        node("div", style=f"background: url({served}/style.png)"),
        node("form", node("input", name="appendChild"), node("input", name="setAttribute"), node("input", name="style"),
             node("input", name="parentNode"), node("input", name="nodeType"), text("in a form")),
        *(node("img", name=name) for name in ("createElementNS", "documentElement", "body", "defaultView")),
        node("a", node("span", text("x")), href=f"javascript:{code}"), node("bad name<>", text("odd")),
        node("p", **{"on<x": "1", "onclick": code, "rr_width": "url(x)"}),
        node("button", text("Buy"), id="buy", style="position: absolute; left: 40px; top: 900px"),
    )  # fmt: skip
    page = {"type": 0, "id": next(number), "childNodes": [node("html", node("head"), body)]}
    return [
        {"type": 4, "timestamp": 1_700_000_000_000, "data": {"href": "http://a.example/", "width": 800, "height": 600}},
        {"type": 2, "timestamp": 1_700_000_000_001, "data": {"node": page, "initialOffset": {"left": 0, "top": 0}}},
        {"type": 3, "timestamp": 1_700_000_000_900, "data": {
            "source": 0, "adds": [{"parentId": body["id"], "nextId": None, "node": {
                "type": 2, "id": 5000, "tagName": "script", "attributes": {}, "childNodes": []}},
                {"parentId": 5000, "nextId": None, "node": {"type": 3, "id": 5001, "textContent": code}}],
            "attributes": [{"id": body["id"], "attributes": {"onload": code}}], "texts": [], "removes": []}},
    ]  # fmt: skip


def test_hostile_pages_run_nothing_and_load_nothing(browser, site, tmp_path):
    asked = site.posted.keys() | set()
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(hostile(site.url)))
    seen = []
    served = site.server.RequestHandlerClass
    before = served.do_GET
    served.do_GET = lambda self: (seen.append(self.path), before(self))
    try:
        made = snapshot(path, tmp_path / "screens", sandbox=SANDBOX)
    finally:
        served.do_GET = before
    assert seen == []  # not one request arrived
    assert site.posted.keys() == asked
    (screen,) = made.screens
    areas = {area["name"]: area for area in layout_of(tmp_path / "screens")}
    assert (areas["button#buy"]["x0"], areas["button#buy"]["y0"]) == (40, 900)
    assert screen.page_h > 900
    assert any(note.startswith("not in the recordings, and not loaded") for note in made.notes)
