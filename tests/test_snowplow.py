"""Snowplow's enriched events, as TSV and as warehouse columns: each trap of the format, and the real sample."""

from __future__ import annotations

import csv
import json
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.sources.adapters.registry import load
from heatgrid.sources.adapters.snowplow import PLACES, WIDTH

SCHEMA = "iglu:com.snowplowanalytics.snowplow"


def page(view, other=True, turned=False):
    one = {"schema": f"{SCHEMA}/web_page/jsonschema/1-0-0", "data": {"id": view}}
    one = dict(reversed(one.items())) if turned else one
    other_data = {"userId": "no", "id": "wrong"}
    more = [{"schema": f"{SCHEMA}/client_session/jsonschema/1-0-2", "data": other_data}]
    data = [*(more if other else []), one, *more]
    return json.dumps({"schema": f"{SCHEMA}/contexts/jsonschema/1-0-0", "data": data})


def unstruct(name, **data):
    inner = {"schema": f"{SCHEMA}/{name}/jsonschema/1-0-1", "data": data}
    whole = json.dumps({"schema": f"{SCHEMA}/unstruct_event/jsonschema/1-0-0", "data": inner})
    return {"event": "unstruct", "event_name": name, "unstruct_event": whole}


def event(at, name="page_view", view="v1", **more):
    stamp = f"2024-06-01 00:00:{at:06.3f}"
    return {
        "app_id": "shop", "platform": "web", "collector_tstamp": stamp, "dvce_created_tstamp": stamp, "event": name,
        "event_id": f"e{at}", "domain_userid": "u", "geo_country": "DE", "contexts": page(view), "event_name": name,
        "page_url": "https://a.example/p/77?mail=q@r.example", "useragent": "Mozilla/5.0", "br_viewwidth": "1200",
        "br_viewheight": "700", "doc_width": "1200", "doc_height": "3000", "domain_sessionid": "s",
    } | more  # fmt: skip


EVENTS = [
    event(0, derived_tstamp="2024-06-01 00:00:01.5"),
    event(10, "page_ping", pp_yoffset_min="0", pp_yoffset_max="350", pp_xoffset_max="0"),
    event(20, "page_ping", pp_yoffset_min="350", pp_yoffset_max="-4", contexts=page("v1", turned=True)),
    event(21, **unstruct("link_click", elementId="buy", targetUrl="https://a.example/x/1")),
    event(21, **unstruct("link_click", elementId="buy", targetUrl="https://a.example/x/1")),
    event(22, **unstruct("link_click", targetUrl="https://a.example/x/1?u=q@r.example", elementClasses=["a"])),
    event(23, **unstruct("button_click", label="Save  it", id="")),
    event(24, **unstruct("expose_element", element_name="hero")),
    event(25, "struct", se_category="cart", se_action="add", event_name="event"),
    event(26, **unstruct("add_to_cart", type="x")),
    event(27, **unstruct("application_error", message="m")),
    event(5, **unstruct("submit_form", formId="f"), view="v0"),
]


def tsv(path, events, bad=()):
    lines = []
    for e in events:
        fields = [""] * WIDTH
        for name, value in e.items():
            fields[PLACES[name]] = value
        lines.append("\t".join(fields).encode())
    for at, line in bad:
        lines.insert(at, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def rows(path, *names):
    events = hg.read(path)
    return [tuple(row[n] for n in names) for chunk in events.scan(names, threads=1) for row in chunk.batch.to_pylist()]


def test_the_tsv_is_read_by_its_places(tmp_path):
    path = tsv(tmp_path / "enriched.tsv", EVENTS)
    assert rows(path, "kind", "feature", "view") == [
        ("pageview", None, "v1"), ("page_ping", None, "v1"), ("page_ping", None, "v1"), ("click", "a#buy", "v1"),
        ("click", "a#buy", "v1"), ("click", 'a "/x/:id"', "v1"), ("click", 'button "Save it"', "v1"),
        ("exposure", "hero", "v1"), ("custom", "add", "v1"), ("custom", "x", "v1"), ("error", None, "v1"),
        ("submit", "form#f", "v0"),
    ]  # fmt: skip
    first = rows(path, "session", "user", "viewport_w", "page_h", "scroll_y", "country", "app_id")[:3]
    assert first == [("s", "u", 1200, 3000, y, "DE", "shop") for y in (None, 350, 0)]
    assert rows(path, "time")[0][0].isoformat() == "2024-06-01T00:00:01.500000+00:00"
    heat = hg.run(hg.read(path), scroll=True, friction=("error",))
    assert heat.ledger.read == 12
    assert heat.ledger.rejected == {"duplicate": 1}
    assert (heat.summary["views"], heat.summary["sessions"]) == (2, 1)
    assert {r["page"] for r in heat.pages.to_pylist()} == {"/p/:id"}
    assert max(r["y"] for r in heat.reach.to_pylist() if r["views"]) == (350 + 700) // 16 * 16
    assert {"clicks"} <= set(heat.refused)


def test_evidence_is_that_of_pings(tmp_path):
    path = tsv(tmp_path / "enriched.tsv", EVENTS)
    assert hg.read(path).evidence.as_dict()["time_ms"] == 10_000
    told = hg.read(path, format="snowplow:ping=30").evidence
    assert (told.time_quality, told.time_ms, told.moves) == ("ping", 30_000, "none")


def test_a_block_of_nothing_but_bad_lines_has_lost_them_all():
    decoded = load("snowplow").records(b"\xff\t\n\n\xfe\n")
    assert (decoded.rejected, decoded.bad) == (2, [(1, "not UTF-8"), (3, "not UTF-8")])


def test_lines_of_another_width_and_of_no_text_are_rejected_with_their_place(tmp_path):
    path = tsv(tmp_path / "e.tsv", EVENTS[:3], [(1, b"a\tb"), (2, b"\xff" + b"\t" * 130), (3, b"")])
    events = hg.read(path, format="snowplow")
    heat = hg.run(events)
    assert heat.ledger.read == 5
    assert heat.ledger.rejected == {"decode": 2}
    assert sorted(line.removeprefix(f"{path}:") for line in events.bad_lines) == [
        "2: 2 fields, not 131",
        "3: not UTF-8",
    ]


@pytest.mark.parametrize("form", ["csv", "structs"])
def test_warehouse_columns_give_the_same(form, tmp_path):
    whole = tsv(tmp_path / "e.tsv", EVENTS[:7])
    table = {name: [e.get(name) for e in EVENTS[:7]] for name in PLACES if name not in ("contexts", "unstruct_event")}
    views = [["v1"]] * 6 + [[]]
    links = [
        json.loads(e["unstruct_event"])["data"]["data"] if e["event_name"] == "link_click" else None for e in EVENTS[:7]
    ]
    buttons = [
        json.loads(e["unstruct_event"])["data"]["data"] if e["event_name"] == "button_click" else None
        for e in EVENTS[:7]
    ]
    view, link, button = (
        f"{kind}_com_snowplowanalytics_snowplow_{name}_1_0_1"
        for kind, name in (
            ("contexts", "web_page"),
            ("unstruct_event", "link_click"),
            ("unstruct_event", "button_click"),
        )
    )
    if form == "csv":
        table |= {view: [json.dumps([{"id": i} for i in ids]) for ids in views]}
        table |= {name: [v and json.dumps(v) for v in made] for name, made in ((link, links), (button, buttons))}
        path = tmp_path / "events.csv"
        pyarrow.csv.write_csv(pa.table(table), path)
    else:
        table |= {view: [[{"id": i} for i in ids] for ids in views]}
        table[link] = [v and {"element_id": v.get("elementId"), "target_url": v["targetUrl"]} for v in links]
        table[button] = [v and {"label": v["label"]} for v in buttons]
        numbers = {
            n: [None if v is None else int(v) for v in table[n]]
            for n in ("br_viewwidth", "doc_height", "pp_yoffset_max")
        }
        path = tmp_path / "events.parquet"
        pq.write_table(pa.table(table | numbers), path)
    names = ("time", "session", "kind", "feature", "page", "viewport_w", "page_h", "scroll_y", "event_id")
    assert rows(path, *names) == rows(whole, *names)
    assert [v for (v,) in rows(path, "view")] == ["v1"] * 6 + [None]


@pytest.mark.data
def test_the_real_sample_is_read_as_the_csv_says(data_dir):
    path = data_dir / "snowplow_ecommerce_apache2" / "source" / "snowplow_ecommerce_events.csv"
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert len(told) == 834
    heat = hg.run(hg.read(path))
    kept = [row for row in told if row["domain_sessionid"]]
    ids = {row["event_id"] for row in kept}
    action = next(name for name in told[0] if "ecommerce_action" in name)
    assert heat.ledger.rejected.get("session", 0) == 834 - len(kept)
    assert heat.ledger.accepted == len(kept) - heat.ledger.rejected.get("duplicate", 0)
    assert heat.ledger.rejected.get("duplicate", 0) == len(kept) - len(ids)
    assert heat.summary["sessions"] == len({row["domain_sessionid"] for row in kept}) == 63
    counts: dict[str, int] = {}
    for row in {row["event_id"]: row for row in kept}.values():
        name = json.loads(row[action] or "{}").get("type") or row["event_name"]
        counts[name] = counts.get(name, 0) + 1
    assert {row["feature"]: row["events"] for row in heat.features.to_pylist()} == counts
    context = "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0"
    views = {
        (row["domain_sessionid"], json.loads(row[context])[0]["id"]) for row in kept if row[context] not in ("", "[]")
    }
    assert set(rows(path, "session", "view")) - {(row["domain_sessionid"] or None, None) for row in told} == views
