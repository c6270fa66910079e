"""GA4's export: the nested table as Parquet, and the same as JSON lines by BigQuery (integers as texts)."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.words.errors import InputError

T = 1_717_200_000_000_000
VALUE = pa.struct(
    [("string_value", pa.string()), ("int_value", pa.int64()), ("float_value", pa.float64()),
     ("double_value", pa.float64())]
)  # fmt: skip
PARAMS = pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))
SCHEMA = pa.schema(
    [("event_date", pa.string()), ("event_timestamp", pa.int64()), ("event_name", pa.string()),
     ("event_params", PARAMS), ("user_id", pa.string()), ("user_pseudo_id", pa.string()),
     ("device", pa.struct([("category", pa.string()), ("operating_system", pa.string()),
                           ("web_info", pa.struct([("browser", pa.string())]))])),
     ("geo", pa.struct([("country", pa.string())])), ("platform", pa.string()), ("batch_ordering_id", pa.int64()),
     ("batch_event_index", pa.int64()), ("items", pa.list_(pa.struct([("item_id", pa.string())])))]
)  # fmt: skip


def event(seconds, name, *, user="1.1", session=7, url="https://a.example/p/12?mail=q@r.example", order=None, **params):
    told = {"ga_session_id": session, "page_location": url, "page_title": "P"} | params
    entries = [{"key": key, "value": typed(value)} for key, value in told.items() if value is not None]
    return {
        "event_date": "20240601", "event_timestamp": T + round(seconds * 1e6), "event_name": name,
        "event_params": entries, "user_id": None, "user_pseudo_id": user,
        "device": {"category": "mobile", "operating_system": "iOS", "web_info": {"browser": "Safari"}},
        "geo": {"country": "Germany"}, "platform": "WEB", "batch_ordering_id": None if order is None else 1,
        "batch_event_index": order, "items": [{"item_id": "ga_session_id"}],
    }  # fmt: skip


def typed(value):
    name = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
    return {field.name: value if field.name == name else None for field in VALUE}


def written(value):
    """As BigQuery writes JSON: no nulls, integers as texts."""
    if isinstance(value, dict):
        return {key: written(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [written(inner) for inner in value]
    return str(value) if isinstance(value, int) else value


def jsonl(path, events, bad=()):
    lines = [json.dumps(written(one)).encode() for one in events]
    for at, line in bad:
        lines.insert(at, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def parquet(path, events, schema=SCHEMA):
    pq.write_table(pa.Table.from_pylist(events, schema=schema), path)
    return path


FORMS = {"e.jsonl": jsonl, "e.parquet": parquet}


def rows(source, *names):
    events = hg.read(source)
    return [tuple(row[n] for n in names) for chunk in events.scan(names, threads=1) for row in chunk.batch.to_pylist()]


EVENTS = [
    event(0, "session_start"),
    event(0, "page_view"),
    event(3, "scroll", percent_scrolled=90),
    event(4, "click", link_url="https://o.example/item/77?who=q@r.example", link_text="", outbound="true"),
    event(4.5, "click", link_id="docs", link_url="https://o.example/"),
    event(5, "form_start", form_id="sign-up"),
    event(6, "form_submit", form_id="", form_name="sign up"),
    event(7, "add_to_cart", value=9.5),
    event(9, "user_engagement", engagement_time_msec=8500),
    event(10, "page_view", user="2.2"),
    event(11, "page_view", user=None),
    event(12, "page_view", user="2.2", session=None),
    event(13, "screen_view", user="2.2", url=None, firebase_screen_class="Main"),
]


@pytest.mark.parametrize("form", FORMS)
def test_events_become_rows(form, tmp_path):
    path = FORMS[form](tmp_path / form, EVENTS)
    url = "https://a.example/p/12?mail=q@r.example"
    assert rows(path, "kind", "feature", "session") == [
        ("session_start", None, "1.1/7"), ("pageview", None, "1.1/7"), ("scroll", None, "1.1/7"),
        ("click", 'a "o.example/item/:id"', "1.1/7"), ("click", "a#docs", "1.1/7"),
        ("input", "form#sign-up", "1.1/7"), ("submit", "form#sign up", "1.1/7"), ("custom", "add_to_cart", "1.1/7"),
        ("user_engagement", None, "1.1/7"), ("pageview", None, "2.2/7"), ("pageview", None, None),
        ("pageview", None, None), ("pageview", None, "2.2/7"),
    ]  # fmt: skip
    assert rows(path, "user", "page", "country", "device_type", "os", "browser", "platform")[0] == (
        "1.1", url, "Germany", "mobile", "iOS", "Safari", "WEB",
    )  # fmt: skip
    assert rows(path, "percent_scrolled", "engagement_time_msec")[2] == (90, None)
    assert rows(path, "engagement_time_msec", "time")[8][0] == 8500
    assert rows(path, "page")[-1] == ("Main",)
    heat = hg.run(hg.read(path), maps=("clicks", "moves"), scroll=True, friction=("rage", "dead"))
    assert heat.ledger.read == 13
    assert heat.ledger.rejected == {"session": 2}
    assert (heat.summary["sessions"], heat.summary["views"]) == (2, 3)
    pages = {row["page"]: row for row in heat.pages.to_pylist()}
    assert set(pages) == {"/p/:id", "Main"}
    assert (pages["/p/:id"]["views"], pages["/p/:id"]["clicks"], pages["/p/:id"]["dwell_ms"]) == (2, 2, 12_000)
    assert {"clicks", "moves", "scroll", "attention"} <= set(heat.refused)


def test_events_of_one_time_are_in_the_order_of_their_batch(tmp_path):
    made = [event(1, "b", order=2), event(1, "a", order=1), event(0, "page_view", order=0), event(1, "c", order=3)]
    path = parquet(tmp_path / "e.parquet", [*made, event(0, "session_start")])
    assert rows(path, "seq") == [(65538,), (65537,), (65536,), (65539,), (2**48,)]
    heat = hg.run(hg.read(path), transitions="features")
    steps = [(row["from"], row["to"]) for row in heat.transitions.to_pylist()]
    assert {("a", "b"), ("b", "c")} <= set(steps)
    assert not {("b", "a"), ("c", "b"), ("c", "a")} & set(steps)
    assert heat.summary["views"] == 1


def test_both_forms_give_the_same_for_a_large_random_dump(tmp_path):
    rng = random.Random(9)
    made = []
    for k in range(3000):
        one = event(
            k / 10, rng.choice(["page_view", "click", "bought", "scroll"]), user=rng.choice(["1.1", "2.2", None]),
            session=rng.choice([3, 4, None]), url=rng.choice(["https://a.example/x", "ü\n\"", None]),
            percent_scrolled=rng.choice([None, 90]), link_text=rng.choice([None, "Go", ""]),
        )  # fmt: skip
        rng.shuffle(one["event_params"])
        made.append(one | ({"event_params": []} if k % 17 == 0 else {}))
    names = ["time", "session", "user", "page", "kind", "feature", "percent_scrolled", "country"]
    a, b = (rows(FORMS[form](tmp_path / form, made), *names) for form in FORMS)
    assert a == b
    told = [{p["key"]: next(v for v in p["value"].values() if v is not None) for p in e["event_params"]} for e in made]
    want = [
        f"{e['user_pseudo_id']}/{t['ga_session_id']}" if e["user_pseudo_id"] and "ga_session_id" in t else None
        for e, t in zip(made, told, strict=True)
    ]
    assert [row[1] for row in a] == want
    assert [row[3] for row in a] == [t.get("page_location") for t in told]


@pytest.mark.parametrize("form", FORMS)
def test_of_two_parameters_of_one_key_the_first_counts(form, tmp_path):
    one = event(0, "page_view", url="https://a.example/first")
    one["event_params"].append({"key": "page_location", "value": typed("https://a.example/second")})
    assert rows(FORMS[form](tmp_path / form, [one]), "page") == [("https://a.example/first",)]


def test_a_list_in_the_three_levels_of_older_writers_is_the_same(tmp_path):
    wrapped = pa.struct([("list", pa.list_(pa.struct([("element", PARAMS.value_type)])))])
    old = [e | {"event_params": {"list": [{"element": p} for p in e["event_params"]]}} for e in EVENTS]
    place = SCHEMA.get_field_index("event_params")
    path = parquet(tmp_path / "old.parquet", old, SCHEMA.set(place, pa.field("event_params", wrapped)))
    new = parquet(tmp_path / "new.parquet", EVENTS)
    assert rows(path, "session", "page", "feature") == rows(new, "session", "page", "feature")


def test_what_is_no_parameter_is_passed_over(tmp_path):
    odd = [
        {"event_params": [5, None, {"key": "page_location"}, {"value": {"int_value": "7"}}, {"key": 3, "value": {}},
                          {"key": "page_location", "value": "no"}, {"key": "ga_session_id", "value": {"other": 1}},
                          {"key": "ga_session_id", "value": {"string_value": None, "int_value": "8"}},
                          {"key": "ga_session_id", "value": {"int_value": "9"}}]},
        {"event_params": "no"}, {"event_params": {"key": "page_location", "value": {"string_value": "no"}}},
    ]  # fmt: skip
    made = [event(0, "page_view") | one for one in odd]
    path = tmp_path / "e.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    events = hg.read(path, format="ga4")
    names = ("session", "page")
    assert [tuple(r[n] for n in names) for c in events.scan(names) for r in c.batch.to_pylist()] == [
        ("1.1/8", None), (None, None), (None, None),
    ]  # fmt: skip


def test_a_table_without_the_columns_is_an_error(tmp_path, capfd):
    path = parquet(tmp_path / "e.parquet", EVENTS)
    pq.write_table(pq.read_table(path).drop_columns(["event_params"]), tmp_path / "less.parquet")
    with pytest.raises(InputError, match=r"HG2223(.|\n)*event_params"):
        hg.read(tmp_path / "less.parquet", format="ga4")
    assert not [note for note in hg.read(tmp_path / "less.parquet").notes if "ga4" in note]
    assert main(["formats", "ga4"]) == 0
    assert "not confirmed" in capfd.readouterr().out
