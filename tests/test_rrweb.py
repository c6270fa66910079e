"""rrweb recordings: each trap of the format by hand, the whole against a slow reading, files that are not what they
should be."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from heatgrid.sources.adapters import parts, recording
from heatgrid.sources.adapters.rrweb import Rrweb
from heatgrid.words.errors import InputError, UsageError
from oracle import rrweb as slow

T = 1_717_200_000_000
SAMPLE = Path(os.environ.get("HEATGRID_DATA", "../shared/data")) / "rrweb_demo_session" / "events.js"


def node(id_, tag=None, *children, text=None, **attributes):
    if tag is None:
        return {"type": 3, "textContent": text, "id": id_}
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return {"type": 2, "tagName": tag, "attributes": named, "childNodes": list(children), "id": id_}


BODY = node(
    3, "body",
    node(4, "button", node(5, "span", node(6, text="Buy  now\n")), node(7, "svg"), id="radix-7"),
    node(8, "a", node(9, text="Write to a@b.example"), href="/x"),
    node(10, "div", node(11, "input", type="text", name="email"), id="plans"),
    node(12, "button", node(13, text="Save"), data_testid="save-top", id="b1"),
    node(14, "div", node(15, "p", node(16, text="words")), id="r12345678"),
    node(17, "span", node(18, text="Menu"), role="menuitem"),
)  # fmt: skip


def meta(t, href="https://a.example/p?mail=q@r.example", w=1000, h=600):
    return {"type": 4, "data": {"href": href, "width": w, "height": h}, "timestamp": T + t}


def snapshot(t, root=1, left=0, top=0, body=BODY):
    whole = {"type": 0, "childNodes": [node(2, "html", body)], "id": root}
    return {"type": 2, "data": {"node": whole, "initialOffset": {"left": left, "top": top}}, "timestamp": T + t}


def said(t, source, **data):
    return {"type": 3, "data": {"source": source, **data}, "timestamp": T + t}


def moves(t, *places, source=1):
    made = [{"x": x, "y": y, "id": at, "timeOffset": late} for x, y, at, late in places]
    return said(t, source, positions=made)


def act(t, type_, id_=4, x=None, y=None, **more):
    at = {} if x is None else {"x": x, "y": y}
    return said(t, 2, type=type_, id=id_, **at, **more)


def custom(t, tag, **payload):
    return {"type": 5, "data": {"tag": tag, "payload": payload}, "timestamp": T + t}


def rows(events, **options):
    decoded = Rrweb(**options).decode(json.dumps(events).encode(), "s")
    assert decoded.rejected == 0
    return decoded.batch.to_pylist()


def brief(made, *names):
    return [tuple(row[name] for name in names) for row in made]


def of(made, kind):
    return [row for row in made if row["kind"] == kind]


def table_of(made):
    return {name: [row[name] for row in made] for name in made[0]}


START = [meta(0), snapshot(1)]


def test_a_move_has_its_own_time_and_the_scroll_of_that_time():
    made = rows(
        [*START, said(1000, 3, id=1, x=0, y=500), moves(1300, (10, 20, 4, -400), (11, 21, 4, -299), (12, 22, 4, -1))]
    )
    assert brief(of(made, "move"), "x", "y", "scroll_y") == [(10, 20, 0), (11, 521, 500), (12, 522, 500)]
    times = [row["time"].timestamp() * 1000 - T for row in made]
    assert times == [0, 900, 1000, 1001, 1299]


def test_a_scroll_of_anything_but_the_document_moves_that_container_only():
    made = rows(
        [*START, said(5, 3, id=14, x=0, y=300), act(9, 2, 4, 1, 2), said(10, 3, id=1, x=7, y=40), act(11, 2, 4, 1, 2)]
    )
    assert brief(of(made, "scroll"), "frame", "scroll_y") == [("element", 0), ("page", 40)]
    assert brief(of(made, "click"), "x", "y") == [(1, 2), (8, 42)]
    heat = hg.run(table_of(made), scroll=True)
    assert heat.reach.filter(heat.reach["views"].to_numpy() > 0)["y"].to_pylist()[-1] == 640


def test_a_page_may_be_opened_scrolled():
    made = rows([meta(0), snapshot(3, top=250, left=4), act(9, 2, 4, 1, 2)])
    assert brief(made, "kind", "x", "y", "scroll_y") == [("pageview", None, None, 250), ("click", 5, 252, 250)]


def test_a_resize_is_a_row_and_the_window_from_then_on():
    made = rows([*START, said(5, 4, width=500, height=400), act(9, 2, 4, 1, 2)])
    assert brief(made, "kind", "viewport_w", "viewport_h") == [
        ("pageview", 1000, 600), ("resize", 500, 400), ("click", 500, 400),
    ]  # fmt: skip


def test_a_touch_is_one_click_and_never_a_move_of_the_pointer():
    touch = [act(100, 7, 4, 50, 60), act(150, 9, 4, 50, 60), moves(160, (50, 60, 4, -2)), act(161, 1, 4, 50, 60),
             act(162, 0, 4, 50, 60), act(163, 2, 4, 50, 60)]  # fmt: skip
    later = [
        moves(1500, (1, 1, 4, 0)),
        moves(1400, (9, 9, 4, -1), source=6),
        moves(3000, (2, 2, 4, 0)),
        act(3001, 2, 4, 3, 3),
    ]
    made = rows([*START, *touch, *later])
    assert brief(of(made, "click"), "pointer") == [("touch",), ("mouse",)]
    assert brief(of(made, "move"), "x", "pointer") == [(50, "touch"), (9, "touch"), (1, "touch"), (2, "mouse")]
    assert {row["pointer"] for row in made if row["kind"].startswith("touch")} == {"touch"}
    told = rows([*START, act(5, 2, 4, 1, 1, pointerType=2), act(6, 2, 4, 1, 1, pointerType=1), moves(7, (1, 1, 4, 0))])
    assert brief(told[1:], "pointer") == [("touch",), ("pen",), ("mouse",)]
    heat = hg.run(table_of(made), maps=("clicks", "moves"), extent=(0, 100, 0, 100))
    assert int(heat.map("clicks").values.sum()) == 2
    assert int(heat.map("moves").values.sum()) == 1


def test_stock_taken_again_is_no_new_view_but_a_reload_is_one():
    stock = [meta(1000), snapshot(1001, top=30), act(1002, 2, 4, 1, 1)]
    loaded = [{"type": n, "data": {}, "timestamp": T + 1990 + n} for n in (0, 1)]
    other = [meta(3000, "https://a.example/q"), snapshot(3001)]
    made = rows([*START, *stock, *loaded, custom(1995, "x"), meta(2000), snapshot(2001), *other])
    first = "https://a.example/p?mail=q@r.example"
    assert brief(of(made, "pageview"), "page") == [(first,), (first,), ("https://a.example/q",)]
    assert of(made, "click")[0]["y"] == 31
    assert of(made, "pageview")[1]["scroll_y"] == 0
    early = [*START, *loaded, said(2500, 3, id=1, x=0, y=9), meta(3000), snapshot(3001), act(4000, 2, 4, 1, 1)]
    assert brief(rows(early)[1:], "kind", "y") == [("scroll", None), ("click", 1)]  # it was loaded while recorded
    moved = rows([*START, meta(1000), snapshot(1001, root=50), said(1005, 3, id=50, x=0, y=9), act(1006, 2, 4, 1, 1)])
    assert brief(moved[1:], "kind", "frame", "y") == [("scroll", "page", None), ("click", "page", 10)]


def test_routes_of_a_single_page_app_are_custom_events():
    route = [
        custom(50, "$pageview", href="https://a.example/p?mail=q@r.example"),
        custom(60, "$pageview", href="https://a.example/r"),
        custom(70, "route", url="https://a.example/s"),
        custom(80, "signed up"),
        custom(90, "$session_options", a=1),
    ]
    made = rows([*START, *route])
    assert brief(made, "kind", "page", "feature")[1:] == [
        ("pageview", "https://a.example/r", None), ("custom", "https://a.example/r", "route"),
        ("custom", "https://a.example/r", "signed up"),
    ]  # fmt: skip
    other = rows([*START, *route], page_event="route")
    assert brief(of(other, "pageview"), "page")[1:] == [("https://a.example/s",)]


def test_hidden_visible_and_errors_come_from_custom_events_and_the_console():
    levels = (
        {"plugin": "rrweb/console@1", "payload": {"level": level, "payload": ["x"]}} for level in ("error", "log")
    )
    events = [
        custom(5, "window hidden"),
        custom(6, "window visible"),
        custom(7, "visibilitychange", state="hidden"),
        *({"type": 6, "data": data, "timestamp": T + 8} for data in levels),
    ]
    made = rows([*START, *events])
    assert brief(made, "kind")[1:] == [("hidden",), ("visible",), ("hidden",), ("error",)]
    away = [
        meta(0),
        snapshot(1),
        act(1000, 2, 4, 1, 1),
        custom(2000, "window hidden"),
        custom(20_000, "window visible"),
        act(21_000, 2, 4, 1, 1),
    ]
    heat = hg.run(table_of(rows(away)))
    assert heat.pages["dwell_ms"].to_pylist() == [3000]


def test_a_mutation_is_kept_where_it_can_be_a_reaction():
    ticks = [said(t, 0, texts=[], attributes=[], removes=[], adds=[]) for t in (10, 2000, 2001, 9000, 12_000, 30_000)]
    made = rows(
        sorted(
            [*START, *ticks, act(1990, 2, 4, 1, 1), act(11_000, 2, 4, 1, 1), act(20_000, 2, 4, 1, 1)],
            key=lambda e: e["timestamp"],
        )
    )
    assert [round(row["time"].timestamp() * 1000) - T for row in of(made, "mutation")] == [2000, 12_000]
    heat = hg.run(table_of(made), friction="dead")
    assert heat.rules["flagged"].to_pylist() == [1]  # the click at 20 s; the one at 1,990 ms is answered


def test_a_reaction_does_not_end_the_time_on_its_element():
    made = rows(
        [*START, act(1000, 2, 4, 1, 1), said(1010, 0, adds=[]), said(1020, 14, ranges=[]), act(3000, 2, 12, 1, 1)]
    )
    assert brief(made[1:4], "kind", "feature") == [(k, 'button "Buy now"') for k in ("click", "mutation", "selection")]
    heat = hg.run(table_of(made))
    assert heat.features.filter(heat.features["clicks"].to_numpy() == 1)["dwell_ms"].to_pylist() == [2000, 0]


def test_rows_without_a_click_point_and_inputs_keep_no_text():
    made = rows(
        [
            *START,
            act(5, 5, 11),
            act(6, 6, 11),
            said(7, 5, id=11, text="secret", isChecked=False),
            said(8, 14, ranges=[]),
        ]
    )
    assert brief(made[1:], "kind", "x", "feature", "pointer") == [
        ("focus", None, "input[name=email]", None), ("blur", None, "input[name=email]", None),
        ("input", None, "input[name=email]", None), ("selection", None, "input[name=email]", None),
    ]  # fmt: skip
    assert "secret" not in str(made)


def test_elements_have_readable_names():
    late = said(50, 0, texts=[], attributes=[], removes=[], adds=[
        {"parentId": 3, "nextId": None, "node": node(90, "button")},
        {"parentId": 90, "nextId": None, "node": node(91, text="Later")},
    ])  # fmt: skip
    ids = [4, 5, 6, 7, 8, 11, 12, 15, 16, 18, 3, 91, 999]
    made = rows([*START, late, *(act(100 + n, 2, id_, 1, 1) for n, id_ in enumerate(ids))])
    assert [row["feature"] for row in of(made, "click")] == [
        'button "Buy now"', 'button "Buy now"', 'button "Buy now"', 'button "Buy now"', 'a "Write to :email"',
        "input[name=email]", "button[data-testid=save-top]", "p", "p", 'menuitem "Menu"', "body", 'button "Later"',
        None,
    ]  # fmt: skip


def test_ids_mean_other_nodes_after_a_new_page():
    second = node(3, "body", node(4, "button", node(5, text="Other")))
    made = rows(
        [*START, act(5, 2, 4, 1, 1), meta(10, "https://a.example/q"), snapshot(11, body=second), act(15, 2, 4, 1, 1)]
    )
    assert [row["feature"] for row in of(made, "click")] == ['button "Buy now"', 'button "Other"']


SHAPES = {
    "array": json.dumps, "indented": lambda e: json.dumps(e, indent=2),
    "lines": lambda e: "\n".join(map(json.dumps, e)) + "\n",
    "script": lambda e: f"/* lint */\n// prettier-ignore\nconst events = {json.dumps(e)};\nexport default events;\n",
    "export": lambda e: f"export default {json.dumps(e)}", "around": lambda e: json.dumps({"id": 5, "events": e}),
    "player": lambda e: json.dumps({"version": 1, "data": {"snapshots": e}}, indent=1),
    "mark": lambda e: "\ufeff" + json.dumps(e),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_of_file_gives_the_same(shape, packed, tmp_path):
    events = [*START, act(5, 2, 4, 1, 2), moves(9, (1, 2, 4, -1))]
    data = SHAPES[shape](events).encode()
    assert Rrweb().decode(data, "s").batch.to_pylist() == rows(events)
    suffix = ".js" if shape in ("script", "export") else ".json"
    path = tmp_path / ("one" + suffix + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(data) if packed else data)
    asked = "rrweb" if shape in ("around", "player") else "auto"
    heat = hg.run(hg.read(path, format=asked))
    assert heat.ledger.read == 3
    assert heat.pages["page"].to_pylist() == ["/p"]


@pytest.mark.parametrize(
    "text", ['{"type":3,"time":5}', '[{"type":"click","data":{"x":1}}]', "a,b\n1,2\n", '{"type":3,"data":{"x":1}}', ""]
)
def test_other_files_are_not_taken_for_recordings(text):
    assert not Rrweb().sniff(text.encode())


@pytest.mark.data
@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no {SAMPLE}")
def test_the_real_recording_is_read_as_the_slow_way_reads_it():
    text = SAMPLE.read_text(encoding="utf-8")
    events = json.JSONDecoder().raw_decode(text, text.index("["))[0]
    assert len(events) == 272
    decoded = Rrweb().decode(text.encode(), "s")
    assert (decoded.rejected, decoded.bad) == (0, [])
    assert compared(decoded.batch) == slow.rows(events)
    counts = {kind: len(of(decoded.batch.to_pylist(), kind)) for kind in ("move", "scroll", "click", "pageview")}
    assert counts == {"move": 87, "scroll": 12, "click": 3, "pageview": 1}


def compared(batch):
    made = []
    for row in batch.to_pylist():
        row["time"] = round(row["time"].timestamp() * 1000)
        made.append({name: value for name, value in row.items() if name not in ("session", "feature")})
    return made


def loaded(t, n):
    return [{"type": k, "data": {}, "timestamp": T + t} for k in range(n)]


points = st.tuples(st.integers(0, 900), st.integers(0, 500), st.integers(1, 18), st.integers(-900, 0))
steps = st.one_of(
    st.builds(lambda p: lambda t: moves(t, *p), st.lists(points, max_size=4)),
    st.builds(lambda p: lambda t: moves(t, *p, source=6), st.lists(points, max_size=2)),
    st.builds(lambda k, x, y, p: lambda t: act(t, k, 4, x, y, **p), st.integers(0, 10), st.integers(0, 900),
              st.integers(0, 500), st.sampled_from([{}, {"pointerType": 0}, {"pointerType": 1}, {"pointerType": 2}])),
    st.builds(lambda i, y: lambda t: said(t, 3, id=i, x=0, y=y), st.sampled_from([1, 1, 14]), st.integers(0, 3000)),
    st.builds(lambda w: lambda t: said(t, 4, width=w, height=500), st.integers(200, 2000)),
    st.builds(lambda s: lambda t: said(t, s, id=4), st.sampled_from([0, 5, 7, 8, 10, 11, 13, 14, 16])),
    st.builds(lambda tag: lambda t: custom(t, tag, href=f"https://a.example/{tag}"),
              st.sampled_from(["$pageview", "window hidden", "$x", "done"])),
    st.builds(lambda h, n, top: lambda t: (*loaded(t - 1, n), meta(t, f"https://a.example/{h}"),
                                           snapshot(t + 1, top=top)),
              st.sampled_from("pq"), st.integers(0, 2), st.integers(0, 99)),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(steps, st.integers(2, 4000)), max_size=25))
def test_any_recording_is_read_as_the_slow_way_reads_it(made):
    events, t = list(START), 100
    for make, wait in made:
        t += wait
        event = make(t)
        events += event if isinstance(event, tuple) else [event]
    assert compared(Rrweb().decode(json.dumps(events).encode(), "s").batch) == slow.rows(events)


def test_a_broken_line_is_rejected_with_its_place_and_a_broken_array_is_an_error(tmp_path):
    lines = [json.dumps(e) for e in [*START, act(5, 2, 4, 1, 2)]]
    bad = ['{"type":3,"data":', '{"type":3}', '{"type":"x","data":{},"timestamp":1}', "5"]
    path = tmp_path / "r.ndjson"
    path.write_bytes(
        "\n".join([*lines[:2], *bad, lines[2]]).encode() + b'\n{"type":5,"data":{"tag":"\xff"},"timestamp":1}\n\n'
    )
    events = hg.read(path)
    heat = hg.run(events)
    assert (heat.ledger.read, heat.ledger.rejected) == (7, {"decode": 5})
    assert sorted(line.removeprefix(f"{path}:") for line in events.bad_lines) == [
        "3: not JSON", "4: no rrweb event", "5: no rrweb event", "6: no rrweb event", "8: not UTF-8",
    ]  # fmt: skip
    whole = json.dumps([*START, act(5, 2, 4, 1, 2)], indent=1)
    for text, why in (
        (whole[:-40], "it ends in the middle"),
        (whole.replace('"source"', "source"), "is not JSON"),
        ("[", "ends in the middle"),
    ):
        with pytest.raises(ValueError, match=why):
            Rrweb().decode(text.encode(), "s")


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000"])
def test_a_page_that_no_text_can_name_is_rejected_with_its_line(escape):
    text = (
        "[\n"
        + ",\n".join(
            [
                json.dumps(START[0]).replace("/p?", f"/p{escape}?"),
                *(json.dumps(e) for e in [START[1], act(5, 2, 4, 1, 2)]),
            ]
        )
        + "]"
    )
    decoded = Rrweb().decode(text.encode(), "s")
    assert (decoded.rejected, decoded.bad) == (1, [(2, "NUL or lone surrogate")])
    assert brief(decoded.batch.to_pylist(), "kind", "page") == [("click", None)]


PLAIN = [meta(0), snapshot(1), said(5, 0, adds=[{"parentId": 3, "nextId": None, "node": node(40, "a", id="late")}]),
         act(9, 2, 40, 5, 6), act(12, 2, 4, 5, 6)]  # fmt: skip


def told(value, pack):
    return pack(json.dumps(value).encode()).decode("latin-1")


def by_rrweb(event):
    return told(event | {"v": "v1"}, zlib.compress)


def by_posthog(event):
    def small(value):
        return told(value, gzip.compress)

    data = event["data"]
    if event["type"] == 2:
        data = small(data)
    elif data.get("source") == 0:
        data = {name: small(value) if name == "adds" else value for name, value in data.items()}
    return event if data is event["data"] else event | {"data": data, "cv": "2024-10"}


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("pack", [by_rrweb, by_posthog])
@pytest.mark.parametrize("shape", ["array", "lines", "script", "around"])
def test_packed_events_are_those_that_were_packed(pack, shape, ascii, tmp_path):
    packed = [pack(event) for event in PLAIN]
    whole = json.dumps(packed, ensure_ascii=ascii)
    text = {
        "array": whole, "script": f"const events = {whole};\n", "around": f'{{"data": {{"snapshots": {whole}}}}}',
        "lines": "\n".join(json.dumps(event, ensure_ascii=ascii) for event in packed),
    }[shape]  # fmt: skip
    mine, plain = Rrweb().decode(text.encode(), "s"), Rrweb().decode(json.dumps(PLAIN).encode(), "s")
    assert mine.batch.equals(plain.batch)
    assert "a#late" in mine.batch["feature"].to_pylist()  # of a node that is told in a packed field
    assert (mine.rejected, plain.rejected) == (0, 0)
    if shape == "array":
        (tmp_path / "a.json").write_text(text)
        assert getattr(hg.read(tmp_path / "a.json").parts[0], "adapter").name == "rrweb"  # noqa: B009


@pytest.mark.parametrize("line", [lambda window, events: {"window_id": window, "data": events},
                                  lambda window, events: [window, events[0]]], ids=["several", "pairs"])  # fmt: skip
def test_lines_as_posthog_stores_them(line):
    text = "\n".join(json.dumps(line("w", [by_posthog(event)])) for event in PLAIN)
    plain = Rrweb().decode(json.dumps(PLAIN).encode(), "s")
    assert Rrweb().decode(text.encode(), "s").batch.equals(plain.batch)


def test_a_packed_event_that_is_damaged_is_a_bad_row():
    packed = [by_rrweb(event) for event in PLAIN]
    packed[-1] = packed[-1][:-6]
    decoded = Rrweb().decode(json.dumps(packed).encode(), "s")
    assert decoded.rejected == 1
    assert [row["feature"] for row in decoded.batch.to_pylist() if row["kind"] == "click"] == ["a#late"]


def test_a_packed_event_that_unpacks_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr(recording, "MOST_UNPACKED", 1 << 20)
    bomb = told([0] * 2_000_000, zlib.compress)
    with pytest.raises(ValueError, match="unpack to more than 1 MiB"):
        Rrweb().decode(json.dumps([bomb]).encode(), "s")


def test_what_is_packed_otherwise_is_told_so():
    with pytest.raises(ValueError, match="packed, and not as"):
        Rrweb().decode(json.dumps([meta(0), {"type": 2, "data": "H4sI", "timestamp": T}]).encode(), "s")
    assert Rrweb().decode(b'["\\u001fpacked"]', "s").rejected == 1


def test_times_out_of_range_are_rejected_by_the_run(tmp_path):
    events = [*START, act(5, 2, 4, 1, 2) | {"timestamp": 5}, act(5, 2, 4, 1, 2) | {"timestamp": 1e300}]
    (tmp_path / "a.json").write_text(json.dumps(events))
    heat = hg.run(hg.read(tmp_path))
    assert (heat.ledger.read, heat.ledger.rejected) == (3, {"decode": 1, "time": 1})


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for n in range(300):
        events = [meta(n), snapshot(n + 1), *(act(1000 * k + n, 2, 4, k, 2) for k in range(1, 4))]
        (folder / f"s{n:03}.json").write_text(json.dumps(events))
    return folder


def test_many_recordings_are_one_run_the_same_on_any_threads(many):
    heats = [hg.run(hg.read(many), maps=("clicks",), threads=threads) for threads in (1, 3)]
    for heat in heats:
        assert heat.ledger.read == 1200
        assert heat.summary["sessions"] == 300
        assert heat.map("clicks").values.tolist() == heats[0].map("clicks").values.tolist()
        assert heat.pages.equals(heats[0].pages)


def test_bad_recordings_are_named_and_left_out_on_asking(many, tmp_path):
    for path in sorted(many.iterdir())[:20]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "s007.json"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(tmp_path))
    assert (caught.value.code, caught.value.where) == ("HG2205", str(broken))
    events = hg.read(tmp_path, on_error="skip")
    heat = hg.run(events)
    assert heat.ledger.read == 19 * 4
    assert events.skipped == [str(broken)]
    assert [note for note in heat.summary["notes"] if "s007.json" in note and "ends in the middle" in note]


def test_a_recording_too_large_or_that_unpacks_without_end_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MOST_BYTES", 5000)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([*START, *(act(n, 2, 4, 1, 1) for n in range(200))]))
    with pytest.raises(InputError, match="HG2210"):
        hg.run(hg.read(path))


def test_sessions_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for folder in ("a", "b", "user=eve"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.json").write_text(json.dumps([*START, act(5, 2, 4, 1, 2)]))
    events = hg.read(tmp_path)
    heat = hg.run(events, distinct=("users",))
    assert heat.summary["sessions"] == 3
    assert [part.session for part in events.parts] == ["a/1", "b/1", "user=eve/1"]
    assert events.columns["user"] == "user"
    (tmp_path / "a" / "1.js").write_text(json.dumps([*START]))
    with pytest.raises(InputError, match="HG2221"):
        hg.read(tmp_path, format="rrweb")


def test_inputs_of_two_formats_are_not_counted_as_one(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([*START, act(5, 2, 4, 1, 2)]))
    (tmp_path / "b.csv").write_text("time,kind\n2024-05-01,click\n")
    with pytest.raises(InputError, match="HG2222"):
        hg.read(tmp_path)


def test_evidence_comes_from_the_format_and_can_be_declared_over(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([*START, act(5, 2, 4, 1, 2)]))
    assert hg.read(path).evidence.as_dict() | {"has": None} == Rrweb.evidence.as_dict() | {"has": None}
    told = hg.read(path, evidence={"moves": "all", "sample_rate": 0.5}).evidence
    assert (told.moves, told.moves_ms, told.sample_rate, told.has) == ("all", 0, 0.5, Rrweb.evidence.has)


@pytest.mark.parametrize("format", ["rrwebb", "rrweb:page=x", "rrweb:page_event"])
def test_unknown_formats_and_options_are_usage_errors(format, tmp_path):
    with pytest.raises(UsageError, match="HG120"):
        hg.read(tmp_path, format=format)
