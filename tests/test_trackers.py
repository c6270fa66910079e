"""Exports as JSON lines (Mixpanel, Amplitude, Segment, RudderStack): what each event means, and its traps."""

from __future__ import annotations

import gzip
import json

import pytest

import heatgrid as hg
from heatgrid.sources.adapters.registry import load

T = 1_717_200_000


def write(path, events, bad=()):
    lines = [json.dumps(one).encode() for one in events]
    for at, line in bad:
        lines.insert(at, line)
    data = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(source, *names):
    events = hg.read(source) if not hasattr(source, "scan") else source
    return [tuple(row[n] for n in names) for chunk in events.scan(names, threads=1) for row in chunk.batch.to_pylist()]


def mixpanel(at, name, *, user="u1", **props):
    shared = {
        "time": T + at, "distinct_id": user, "$insert_id": f"{at}{name}{user}", "$browser": "Chrome", "mp_lib": "web",
        "$current_url": "https://a.example/p/12?mail=q@r.example", "mp_processing_time_ms": 1, "mp_country_code": "DE",
    }  # fmt: skip
    return {"event": name, "properties": shared | {f"${key}": value for key, value in props.items()}}


PLACE = {"pageX": 300, "pageY": 1250, "clientX": 300, "clientY": 250, "viewportWidth": 1200, "viewportHeight": 700,
         "pageHeight": 3000, "pageWidth": 1200}  # fmt: skip
BUY = PLACE | {"el_tag_name": "BUTTON", "el_text": "Buy now", "target": {"$tag_name": "button", "$attr-role": "tab"}}
MIXPANEL = [
    mixpanel(0, "$mp_web_page_view"),
    mixpanel(2, "$mp_click", **BUY),
    mixpanel(2, "$mp_rage_click", **BUY),
    mixpanel(2, "$mp_dead_click", **BUY),
    mixpanel(3, "$mp_scroll", scroll_top=1500, scroll_height=3000, scroll_percentage=65),
    mixpanel(4, "$mp_click", **PLACE, el_tag_name="a", el_id="docs"),
    mixpanel(5, "$mp_input_change", el_tag_name="input", target={"$attr-name": "mail"}),
    mixpanel(6, "Signed up"),
    mixpanel(
        7,
        "$mp_page_leave",
        max_scroll_view_depth=2400,
        viewportHeight=700,
        viewportWidth=1200,
        scroll_height=3000,
        captured_for_heatmap=True,
    ),
    mixpanel(27, "$mp_web_page_view", user="u2"),
    mixpanel(4000, "$mp_web_page_view"),
    mixpanel(4000, "$mp_web_page_view"),
]


def in_ms(events):
    return [one | {"properties": one["properties"] | {"time": one["properties"]["time"] * 1000}} for one in events]


def test_mixpanel_flags_are_no_clicks_and_leaving_ends_the_time(tmp_path):
    path = write(tmp_path / "export.jsonl", in_ms(MIXPANEL))
    assert rows(path, "kind", "feature", "x", "y", "scroll_y") == [
        ("pageview", None, None, None, None), ("click", 'tab "Buy now"', 300, 1250, 1000),
        ("$mp_rage_click", 'tab "Buy now"', 300, 1250, 1000), ("$mp_dead_click", 'tab "Buy now"', 300, 1250, 1000),
        ("scroll", None, None, None, 1500), ("click", "a#docs", 300, 1250, 1000),
        ("input", "input[name=mail]", None, None, None), ("custom", "Signed up", None, None, None),
        ("hidden", None, None, None, 1700), *[("pageview", None, None, None, None)] * 3,
    ]  # fmt: skip
    assert rows(path, "user", "page", "page_h", "viewport_w", "browser", "country")[1] == (
        "u1", "https://a.example/p/12?mail=q@r.example", 3000, 1200, "Chrome", "DE",
    )  # fmt: skip
    heat = hg.run(
        hg.read(path), maps=("clicks", "moves"), scroll=True, friction=("rage:source", "dead:source", "dead:posthog")
    )
    assert heat.ledger.rejected == {"duplicate": 1}
    assert (heat.summary["sessions"], heat.summary["views"]) == (3, 3)
    assert heat.pages.select(["page", "clicks", "dwell_ms"]).to_pylist() == [
        {"page": "/p/:id", "clicks": 2, "dwell_ms": 7000}
    ]
    grid = heat.map("clicks")
    assert int(grid.values.sum()) == 2
    assert {r["rule"]: r["flagged"] for r in heat.rules.to_pylist()} == {
        "rage:source": 1, "dead:source": 1, "dead:posthog": None,
    }  # fmt: skip
    assert max(r["y"] for r in heat.reach.to_pylist() if r["views"]) == 2400 // 16 * 16
    assert "moves" in heat.refused


def test_mixpanel_times_are_seconds_or_milliseconds_row_by_row(tmp_path):
    made = [mixpanel(0.25, "a"), mixpanel(0, "b"), mixpanel(999 * T + 125, "c"), mixpanel(0, "d") | {"properties": {}}]
    path = write(tmp_path / "e.jsonl", [*made, mixpanel(99 * T, "e"), mixpanel(1e9 * T, "f")])
    assert [t and t.timestamp() for (t,) in rows(path, "time")] == [T + 0.25, T, T + 0.125, None, None, None]
    assert hg.run(hg.read(path)).ledger.rejected == {"time": 3}


def test_mixpanel_in_whole_seconds_tells_no_times_of_single_events(tmp_path):
    whole, finer = tmp_path / "whole.jsonl", tmp_path / "finer.jsonl"
    heat = hg.run(hg.read(write(whole, MIXPANEL)), transitions="pages", scroll=True)
    assert {"dwell", "visits", "attention", "transitions"} <= set(heat.refused)
    assert "time_quality=flush:1000" in heat.refused["dwell"]
    heat = hg.run(hg.read(write(finer, in_ms(MIXPANEL))), transitions="pages", scroll=True)
    assert not {"dwell", "visits", "attention", "transitions"} & set(heat.refused)
    assert hg.read([whole, finer]).evidence.time_ms == hg.read([finer, whole]).evidence.time_ms == 1000
    assert hg.read(finer, evidence={"time_quality": "flush:9"}).evidence.time_ms == 9


def test_mixpanel_depths_that_were_not_measured_and_leaves_by_routes_are_left_out(tmp_path):
    leave = {"max_scroll_view_depth": 700, "viewportHeight": 700, "viewportWidth": 1200, "scroll_height": 3000}
    made = [
        mixpanel(0, "$mp_web_page_view"),
        mixpanel(1, "$mp_page_leave", **leave, event_type="visibilitychange", captured_for_heatmap=None),
        mixpanel(2, "$mp_page_leave", **leave, event_type="mp_locationchange", captured_for_heatmap=True),
        mixpanel(3, "mp_locationchange", event_type="mp_locationchange"),
    ]
    path = write(tmp_path / "e.jsonl", made)
    assert rows(path, "kind", "scroll_y") == [("pageview", None), ("hidden", None), ("custom", None)]
    assert hg.run(hg.read(path)).ledger.read == 3


def test_mixpanel_names_what_can_be_operated_around_what_was_clicked(tmp_path):
    def clicked(*around, **more):
        chain = [{"$tag_name": tag, **attributes} for tag, attributes in around]
        return mixpanel(0, "$mp_click", **PLACE, el_tag_name=around[0][0], elements=chain, el_text="Buy", **more)

    made = [
        clicked(("span", {}), ("button", {"$id": "buy"}), ("div", {})), clicked(("svg", {}), ("a", {}), ("div", {})),
        clicked(("p", {}), ("section", {"$id": "news"})), clicked(("span", {}), ("div", {"$attr-role": "tab"})),
    ]  # fmt: skip
    path = write(tmp_path / "e.jsonl", made)
    assert rows(path, "feature") == [("button#buy",), ('a "Buy"',), ("section#news p",), ('tab "Buy"',)]


def amplitude(at, name, *, session=1717200000000, device="d1", uid=None, props=None, **more):
    return {
        "event_time": f"2024-06-01 00:{at // 60:02}:{at % 60:02}.250000", "event_type": name, "user_id": uid,
        "device_id": device, "session_id": session, "$insert_id": f"{at}{name}", "uuid": "x", "os_name": "iOS",
        "event_properties": {"[Amplitude] Page URL": "https://a.example/p/12", "count": 50} | (props or {}),
        "country": "Germany",
    } | more  # fmt: skip


BOUGHT = {"[Amplitude] Element Tag": "button", "[Amplitude] Element Text": "Buy", "[Amplitude] Viewport Width": 900,
          "[Amplitude] Viewport Height": "700", "[Amplitude] Element Position Left": 5}  # fmt: skip
AMPLITUDE = [
    amplitude(0, "session_start"),
    amplitude(
        0, "[Amplitude] Page Viewed", props={"[Amplitude] Page Location": "https://a.example/p/12?m=q@r.example"}
    ),
    amplitude(4, "[Amplitude] Element Clicked", uid="q", props=BOUGHT),
    amplitude(4, "[Amplitude] Rage Click", uid="q", props=BOUGHT),
    amplitude(5, "Element clicked", props={"Element ID": "docs", "Element Tag": "a"}),
    amplitude(6, "[Amplitude] Form Submitted", props={"[Amplitude] Form ID": "sign"}),
    amplitude(7, "bought", props={"count": 3}),
    amplitude(8, "bought", session=-1),
    amplitude(9, "[Amplitude] Page Viewed", device="d2"),
]


def test_amplitude_sessions_are_of_a_device_and_a_property_named_count_is_no_weight(tmp_path):
    path = write(tmp_path / "2024-06-01_0#0.json.gz", AMPLITUDE)
    own, other = "d1/1717200000000", "d2/1717200000000"
    assert rows(path, "kind", "feature", "session") == [
        ("session_start", None, own), ("pageview", None, own), ("click", 'button "Buy"', own),
        ("rageclick", 'button "Buy"', own), ("click", "a#docs", own), ("submit", "form#sign", own),
        ("custom", "bought", own), ("custom", "bought", None), ("pageview", None, other),
    ]  # fmt: skip
    assert rows(path, "page", "user", "login", "viewport_w", "viewport_h", "os")[2] == (
        "https://a.example/p/12", "q", "q", 900, 700, "iOS",
    )  # fmt: skip
    assert rows(path, "time")[2][0].isoformat() == "2024-06-01T00:00:04.250000+00:00"
    heat = hg.run(hg.read(path), maps=("clicks",), friction=("rage:source",))
    assert heat.ledger.rejected == {"session": 1}
    assert heat.pages["clicks"].to_pylist() == [2]
    assert heat.rules["flagged"].to_pylist() == [1]
    assert "clicks" in heat.refused
    by_gap = hg.run(hg.read(path, map={"session": ""}))
    assert by_gap.ledger.rejected == {}


def interaction(x, y, count, hour=0, **more):
    return {
        "x": x, "y": y, "selector": "#buy", "viewportHeight": 700, "viewportWidth": 1200, "type": "click",
        "pageUrl": "https://a.example/p/12?m=q@r.example", "timestamp": (T + 3600 * hour) * 1000, "count": count,
    } | more  # fmt: skip


def test_amplitude_interactions_weigh_their_count_and_tell_no_order(tmp_path):
    made = [interaction(20, 40, 3), interaction(20, 40, 4, hour=1), interaction(500, 900, 1, viewportWidth=500)]
    bad = [interaction(20, 40, -2), interaction(-5, 40, 2)]
    path = write(tmp_path / "i.jsonl", made + bad)
    events = hg.read(path)
    assert (events.evidence.time_quality, events.evidence.time_ms) == ("flush", 3_600_000)
    heat = hg.run(events, maps=("clicks",), cell=10, friction=("rage", "dead"))
    assert heat.ledger.rejected == {"count": 1}
    assert heat.features.select(["feature", "clicks"]).to_pylist() == [{"feature": "#buy", "clicks": 10}]
    grid = heat.map("clicks", bucket="1024-1440")
    assert (int(grid.values.sum()), int(grid.values[4, 2]), grid.outside) == (7, 7, 1)
    assert int(heat.map("clicks", bucket="0-600").values[90, 50]) == 1
    assert {"dwell", "visits"} <= set(heat.refused)


def call(at, kind, *, visitor="v1", uid=None, context=None, **more):
    page = {"url": "https://a.example/p/12?m=q@r.example", "path": "/p/12"}
    shared = {"page": page, "groupId": "g", "os": {"name": "iOS"}, "userAgent": "Mozilla/5.0", "screen": {"width": 1}}
    return {
        "type": kind, "anonymousId": visitor, "userId": uid, "messageId": f"{kind}{at}",
        "receivedAt": "2024-06-02T00:00:00Z", "timestamp": f"2024-06-01T00:{at // 60:02}:{at % 60:02}.250Z",
        "context": shared | (context or {}),
    } | more  # fmt: skip


CALLS = [
    call(0, "page", properties={"url": "https://a.example/p/12?m=q@r.example", "path": "/p/12"}),
    call(0, "page", properties={"url": "https://a.example/p/12?m=q@r.example", "path": "/p/12"}),
    call(5, "track", event="Order Completed", properties={"url": "https://other.example/"}),
    call(6, "identify", uid="q", traits={}),
    call(7, "track", event="Signed Up", uid="q"),
    call(9, "screen", visitor=None, uid="w", name="Main", context={"page": None}),
    call(2700, "page", uid="q"),
]


def test_segment_calls_are_cut_into_sessions_by_the_gap_and_a_login_starts_none(tmp_path):
    path = write(tmp_path / "calls.json.gz", CALLS)
    assert rows(path, "kind", "feature", "user", "login", "page") == [
        *[("pageview", None, "v1", None, "https://a.example/p/12?m=q@r.example")] * 2,
        ("custom", "Order Completed", "v1", None, "https://a.example/p/12?m=q@r.example"),
        ("identify", None, "v1", "q", "https://a.example/p/12?m=q@r.example"),
        ("custom", "Signed Up", "v1", "q", "https://a.example/p/12?m=q@r.example"),
        ("pageview", None, "w", "w", "Main"),
        ("pageview", None, "v1", "q", "https://a.example/p/12?m=q@r.example"),
    ]  # fmt: skip
    events = hg.read(path)
    assert "session" not in events.columns
    assert rows(path, "account", "os", "user_agent")[0] == ("g", "iOS", "Mozilla/5.0")
    heat = hg.run(events, maps=("clicks",))
    assert heat.ledger.rejected == {"duplicate": 1}
    assert (heat.summary["sessions"], heat.summary["views"]) == (3, 3)
    assert {"/p/:id", "Main"} == set(heat.pages["page"].to_pylist())


def test_rudderstack_has_sessions_of_its_own(tmp_path):
    made = [call(k, "page", rudderId="r", context={"sessionId": 1717200000 + k // 2}) for k in range(4)]
    made.append(call(8, "track", event="server", rudderId="r"))
    path = write(tmp_path / "calls.jsonl", made)
    assert rows(path, "session") == [("v1/1717200000",)] * 2 + [("v1/1717200001",)] * 2 + [(None,)]
    assert hg.run(hg.read(path)).ledger.rejected == {"session": 1}


SAMPLES = {
    "mixpanel": MIXPANEL[:4], "amplitude": AMPLITUDE[:4], "segment": CALLS[:4],
    "amplitude-interactions": [interaction(k, k, 1) for k in range(4)],
    "rudderstack": [call(k, "page", rudderId="r", context={"sessionId": 1}) for k in range(4)],
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_lines_that_are_none_are_rejected_with_their_place_and_addresses_stay_out(name, tmp_path):
    bad = [(1, b"{"), (2, b""), (3, b'{"a": "\\ud800", "event": "\xff"}'), (4, b"[1]")]
    path = write(tmp_path / "e.jsonl", SAMPLES[name], bad)
    events = hg.read(path)
    assert [note for note in events.notes if note.startswith(f"read as {name}: ")]
    heat = hg.run(events)
    assert heat.ledger.read == 7
    assert (heat.ledger.rejected["decode"], heat.ledger.rejected["time"]) == (2, 1)
    assert sorted(line.removeprefix(f"{path}:") for line in events.bad_lines) == ["2: not JSON", "4: not UTF-8"]
    assert "q@r.example" not in json.dumps(heat.features.to_pylist() + heat.pages.to_pylist(), default=str)
    assert [one for one in SAMPLES if load(one).sniff(json.dumps(SAMPLES[name][0]).encode())] == [name]
