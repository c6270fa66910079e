"""heatgrid snapshot without a browser: which page of which recording at which moment, and what is written of it."""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from heatgrid import snapshot as taking
from heatgrid.cli import main
from heatgrid.outputs.photograph import Photo, Sitter, photographs
from heatgrid.outputs.screens import screens_of
from heatgrid.snapshot import snapshot
from heatgrid.sources.adapters.restored import DEEPEST, document, stays
from heatgrid.sources.adapters.rrweb import Rrweb
from heatgrid.words.errors import InputError, UsageError

T = 1_700_000_000_000


def el(number: int, tag: str, *children: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    given = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
    return {"type": 2, "id": number, "tagName": tag, "attributes": given, "childNodes": list(children)}


def text(number: int, content: str) -> dict[str, Any]:
    return {"type": 3, "id": number, "textContent": content}


def page(*body: dict[str, Any]) -> dict[str, Any]:
    kind = {"type": 1, "id": 2, "name": "html"}
    return {"type": 0, "id": 1, "childNodes": [kind, el(3, "html", el(4, "head"), el(5, "body", *body))]}


def meta(at: int, href: str, width: int = 1400, height: int = 900) -> dict[str, Any]:
    return {"type": 4, "timestamp": T + at, "data": {"href": href, "width": width, "height": height}}


def full(at: int, node: dict[str, Any]) -> dict[str, Any]:
    return {"type": 2, "timestamp": T + at, "data": {"node": node, "initialOffset": {"left": 0, "top": 0}}}


def change(at: int, **what: Any) -> dict[str, Any]:
    return {"type": 3, "timestamp": T + at, "data": {"source": 0, **what}}


def loaded(at: int) -> dict[str, Any]:
    return {"type": 0, "timestamp": T + at, "data": {}}


def shown(events: list[dict[str, Any]], after_ms: float = 3000) -> list[str]:
    """The pages as markup, each at its moment."""
    told = Rrweb().told(json.dumps(events).encode())
    found = []
    for stay in stays(told, after_ms):
        flat = document(told, stay)
        below: dict[int, list[int]] = {}
        for place, (parent, _) in enumerate(flat):
            below.setdefault(parent, []).append(place)

        def markup(place: int) -> str:
            node = flat[place].node  # noqa: B023
            inner = "".join(map(markup, below.get(place, [])))  # noqa: B023
            given = "".join(f" {k}={v}" for k, v in node.attributes.items())
            return node.text if node.kind == 3 else f"<{node.tag}{given}>{inner}</>" if node.kind == 2 else inner

        found.append(markup(0).removeprefix("<html><head></><body>").removesuffix("</></>"))
    return found


ROWS = [el(10, "p", text(11, "a")), el(12, "p", text(13, "b"))]


def test_mutations_are_applied_up_to_the_moment_in_any_order_that_rrweb_writes() -> None:
    loud = ["1px", "important"]
    events = [
        meta(0, "http://a.example/x"), full(1, page(*ROWS)),
        # what follows a node that comes later in the list, inside an element that comes later too
        change(100, adds=[
            {"parentId": 20, "nextId": 22, "node": text(21, "1")},
            {"parentId": 20, "nextId": None, "node": text(22, "2")},
            {"parentId": 5, "nextId": 12, "node": el(20, "div")},
            {"parentId": 77, "nextId": None, "node": el(78, "b")},  # in nothing that is known
        ]),
        change(200, removes=[{"parentId": 5, "id": 10}], texts=[{"id": 13, "value": "B"}],
               attributes=[{"id": 12, "attributes": {"class": "on", "style": {"color": "red", "top": loud}}}]),
        change(300, attributes=[{"id": 12, "attributes": {"style": {"color": False, "left": "url(a;b)"}}},
                                {"id": 12, "attributes": {"class": None}}]),
        change(400, adds=[{"parentId": 12, "nextId": 13, "node": el(20, "div")}]),  # moved: its old self is gone
        change(5000, texts=[{"id": 13, "value": "too late"}]),
    ]  # fmt: skip
    (whole,) = shown(events)
    assert whole == "<p style=top: 1px !important; left: url(a;b)><div></>B</>"
    (before,) = shown(events, after_ms=150)
    assert before == "<p>a</><div>12</><p>b</>"


def test_rules_that_scripts_add_are_in_their_sheet() -> None:
    sheet = el(20, "style", text(21, "a{}"))
    rules = {"type": 3, "timestamp": T + 50, "data": {"source": 8, "id": 20, "adds": [{"rule": "b{}", "index": 0}]}}
    adopted = {"type": 3, "timestamp": T + 60, "data": {
        "source": 15, "id": 1, "styleIds": [1], "styles": [{"styleId": 1, "rules": [{"rule": "c{}"}]}]}}  # fmt: skip
    (made,) = shown([meta(0, "http://a.example/"), full(1, page(sheet)), rules, adopted, change(70, adds=[])])
    assert made == "<html><head><style>\nc{}</></><body><style>a{}\nb{}</>"


def test_each_page_is_shown_from_its_own_snapshot_and_at_its_own_width() -> None:
    events = [
        loaded(0), meta(1, "http://a.example/one"), full(2, page(text(10, "one"))),
        {"type": 3, "timestamp": T + 1000, "data": {"source": 4, "width": 800, "height": 600}},
        {"type": 5, "timestamp": T + 4000, "data": {"tag": "$pageview", "payload": {"href": "http://a.example/route"}}},
        change(4100, texts=[{"id": 10, "value": "route"}]),
        loaded(9000), meta(9001, "http://a.example/two", 500), full(9002, page(text(10, "two"))),
        change(9500, texts=[{"id": 10, "value": "two, later"}]),
        loaded(9600), meta(9601, "http://a.example/never"),  # nothing was recorded of it
    ]  # fmt: skip
    told = Rrweb().told(json.dumps(events).encode())
    found = [(stay.href.rpartition("/")[2], stay.width, stay.height) for stay in stays(told, 3000)]
    assert found == [("one", 800, 600), ("route", 800, 600), ("two", 500, 900)]
    assert shown(events) == ["one", "route", "two, later"]
    assert shown(events, 50) == ["one", "one", "two"]
    assert [stay.width for stay in stays(told, 500)] == [1400, 800, 500]


def test_stock_that_is_taken_anew_is_where_later_mutations_begin() -> None:
    events = [
        meta(0, "http://a.example/x"), full(1, page(text(10, "old"))), change(50, texts=[{"id": 10, "value": "lost"}]),
        meta(100, "http://a.example/x"), full(101, page(text(10, "new"), text(11, "!"))),
        change(200, texts=[{"id": 11, "value": "?"}]),
    ]  # fmt: skip
    assert shown(events) == ["new?"]
    assert shown(events, after_ms=60) == ["lost"]


def test_a_page_nested_without_end_is_cut() -> None:
    adds = [
        {"parentId": 5 if n == 0 else 99 + n, "nextId": None, "node": el(100 + n, "b")} for n in range(DEEPEST + 200)
    ]
    told = Rrweb().told(json.dumps([meta(0, "http://a.example/"), full(1, page()), change(2, adds=adds)]).encode())
    (stay,) = stays(told, 3000)
    assert DEEPEST - 4 <= len(document(told, stay)) <= DEEPEST + 4


def test_a_snapshot_nested_deeper_than_pythons_reader_goes_is_no_crash() -> None:
    deep = '{"type":2,"id":9,"tagName":"b","childNodes":[' * 490 + "]}" * 490
    data = json.dumps([meta(0, "http://a.example/"), full(1, page(text(6, "HERE")))])
    told = Rrweb().told(data.replace('{"type": 3, "id": 6, "textContent": "HERE"}', deep).encode())
    (stay,) = stays(told, 0)
    try:
        outcome = f"{len(document(told, stay))} nodes"
    except ValueError as error:
        outcome = str(error)
    assert outcome in ("its page is nested too deep", "495 nodes")  # Python 3.11; later ones


def test_a_snapshot_that_is_no_document_is_an_error() -> None:
    told = Rrweb().told(json.dumps([meta(0, "http://a.example/"), full(1, el(1, "html"))]).encode())
    (stay,) = stays(told, 0)
    with pytest.raises(ValueError, match="no document"):
        document(told, stay)


BUY = el(10, "button", text(11, "Buy"), id="buy")


def recording(folder: Path, name: str, href: str, width: int, at: int, *, lasts: int = 5000) -> None:
    body = [BUY, el(12, "a", text(13, "Edit")), el(14, "a", text(15, "Edit")), el(16, "a", text(17, "Edit")),
            el(18, "p", text(19, name))]  # fmt: skip
    events = [meta(at, href, width), full(at, page(*body)), change(at + lasts, texts=[])]
    (folder / f"{name}.json").write_text(json.dumps(events))


@pytest.fixture
def photographed(monkeypatch: pytest.MonkeyPatch) -> list[Sitter]:
    """A browser that lays every element 100 px below the one before it, and hides what is asked for last."""
    seen: list[Sitter] = []

    def take(sitters: list[Sitter], browser: str | None, sandbox: bool) -> list[Photo | str]:
        seen.extend(sitters)
        made: list[Photo | str] = []
        for sitter in sitters:
            boxes: list[Any] = [(10.0, 100.4 * k, 50.0, 20.0) for k in range(len(sitter.asked) - 1)]
            made.append(Photo(b"png", [*boxes, "hidden"], 3000, Counter({"image": 2})))
        if len(made) > 3:
            made[3] = "it took more than 60 s"
        return made

    monkeypatch.setattr(taking, "photographs", take)
    monkeypatch.setattr(taking, "needed", lambda: None)
    monkeypatch.setattr(taking, "browser_at", lambda _: "chromium")
    return seen


def test_a_page_and_bucket_have_one_picture_at_the_width_that_most_saw(
    tmp_path: Path, photographed: list[Sitter]
) -> None:
    dump = tmp_path / "dump"
    dump.mkdir()
    for name, width, at in (("a", 1280, 0), ("b", 1280, 9000), ("c", 1430, 20_000), ("d", 400, 0)):
        recording(dump, name, "http://a.example/p/17?q=a@b.example", width, at)
    recording(dump, "e", "http://a.example/p/18", 1280, 30_000, lasts=100)  # later, but it was left at once
    recording(dump, "f", "http://a.example/p-id", 1280, 0)  # the same file name
    made = snapshot(str(dump), tmp_path / "out", threads=2)
    assert [(s.width, s.nodes[-1][5]) for s in photographed] == [(1280, "f"), (400, "d"), (1280, "b")]
    assert [(one.page, one.file) for one in made.screens] == [
        ("/p-id", "p-id@1280.png"), ("/p/:id", "p-id@400.png"), ("/p/:id", "p-id-2@1280.png"),
    ]  # fmt: skip
    assert [(one.page, one.css_width) for one in screens_of(tmp_path / "out") if not one.by_slug] == [
        ("/p-id", 1280), ("/p/:id", 400), ("/p/:id", 1280),
    ]  # fmt: skip
    areas = tomllib.loads((tmp_path / "out" / "layout.toml").read_text())["area"]
    mine = [area for area in areas if area["page"] == "/p/:id" and area.get("min_width") == 1024]
    # the button, and of three links called Edit, of which the last is hidden, the first: 10, 100.4 and 10, 200.8
    assert [(area["name"], *(area[side] for side in ("x0", "x1", "y0", "y1"))) for area in mine] == [
        ("button#buy", 10, 60, 0, 20), ('a "Edit"', 10, 60, 100, 120),
    ]  # fmt: skip
    assert {area["max_width"] for area in mine} == {1440}
    assert made.notes == [
        "not in the recordings, and not loaded: 6 image; what lies around them may be elsewhere",
        "elements without a box: 3 hidden",
    ]
    assert "q=" not in (tmp_path / "out" / "screens.toml").read_text()


def test_what_could_not_be_photographed_is_named(tmp_path: Path, photographed: list[Sitter]) -> None:
    dump = tmp_path / "dump"
    dump.mkdir()
    for name in "abcd":
        recording(dump, name, f"http://a.example/{name}", 1280, 0)
    made = snapshot(str(dump), tmp_path / "out")
    assert [one.page for one in made.screens] == ["/a", "/b", "/c"]
    assert any(note.startswith("no picture of /d at 1280 px") and "60 s" in note for note in made.notes)


def test_a_damaged_recording_stops_it_by_name_or_is_left_out(
    tmp_path: Path, photographed: list[Sitter], capsys: pytest.CaptureFixture[str]
) -> None:
    dump, out = tmp_path / "dump", tmp_path / "out"
    dump.mkdir()
    recording(dump, "a", "http://a.example/a", 1280, 0)
    whole = (dump / "a.json").read_bytes()
    (dump / "torn.json").write_bytes(whole[: len(whole) // 2])
    assert main(["snapshot", str(dump), "-o", str(out)]) == 3
    assert "torn.json" in capsys.readouterr().err
    assert not out.exists()
    assert main(["snapshot", str(dump), "-o", str(out), "--on-error", "skip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(name).name for name in told["skipped"]] == ["torn.json"]
    assert [one["page"] for one in told["screens"]] == ["/a"]
    assert main(["snapshot", str(dump / "a.json"), "-o", str(dump)]) == 2  # a folder of somebody's own files
    assert (dump / "a.json").read_bytes() == whole


def test_recordings_without_a_page_are_one_error(tmp_path: Path, photographed: list[Sitter]) -> None:
    (tmp_path / "a.json").write_text(json.dumps([change(0, texts=[])]))
    with pytest.raises(InputError, match="no page can be rebuilt") as found:
        snapshot(tmp_path / "a.json", tmp_path / "out")
    assert found.value.code == "HG2271"


def test_what_is_not_installed_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    assert main(["snapshot", "nowhere.json", "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "HG1040" in told
    assert "pip install 'heatgrid[snapshot]'" in told
    with pytest.raises(UsageError, match="HG1040"):
        photographs([])


def test_a_browser_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    with pytest.raises(UsageError, match="HG1041") as found:
        snapshot(tmp_path, tmp_path / "out", browser="no-such-browser")
    assert found.value.value == "no-such-browser"
