"""PostHog's exports: events as Parquet and as JSON lines, rows of its heatmaps table; each trap of the format."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.sources.adapters.posthog_rows import feature_of
from heatgrid.words.errors import UsageError

T = 1_717_200_000
TEXT = 'text="Buy \\"now\\"; quick"'
BUY = f'span:nth-child="1"{TEXT};button.btn.big:attr__class="btn big"nth-child="2"{TEXT};div:attr__id="plans"'


def iso(seconds):
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"2024-06-01T{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{ms:03}000Z"


def event(at, name, session="s1", *, user="d1", uuid=None, chain=None, **props):
    props = {"$" + key[1:] if key.startswith("_") else key: value for key, value in props.items()}
    shared = {
        "$session_id": session, "$window_id": "w", "$current_url": "https://a.example/p/12?mail=q@r.example",
        "$viewport_width": 1200, "$viewport_height": 700, "$browser": "Chrome", "nested": {"$session_id": "no"},
    }  # fmt: skip
    made = {"uuid": uuid or f"u{at}-{name}-{session}", "event": name, "distinct_id": user, "person_id": "p" + user,
            "properties": shared | props, "timestamp": iso(at)}  # fmt: skip
    return made if chain is None else made | {"elements_chain": chain}


def jsonl(path, events, bad=()):
    lines = [json.dumps(e).encode() for e in events]
    for at, line in bad:
        lines.insert(at, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def parquet(path, events):
    table = pa.table(
        {
            **{n: [e.get(n) for e in events] for n in ("uuid", "event", "distinct_id", "person_id", "elements_chain")},
            "properties": [json.dumps(e["properties"]) for e in events],
            "timestamp": pa.array([e["timestamp"].rstrip("Z") for e in events])
            .cast(pa.timestamp("us"))
            .cast(pa.timestamp("us", "UTC")),
            "created_at": pa.array([T] * len(events)),
        }
    )  # fmt: skip
    pq.write_table(table, path)
    return path


def rows(source, *names):
    events = hg.read(source) if not hasattr(source, "scan") else source
    return [tuple(row[n] for n in names) for chunk in events.scan(names, threads=1) for row in chunk.batch.to_pylist()]


EVENTS = [
    event(0, "$pageview", _pageview_id="v1"),
    event(1, "$autocapture", _event_type="click", chain=BUY),
    event(1, "$rageclick", chain=BUY, uuid="r"),
    event(1.5, "$dead_click", chain=BUY),
    event(2, "$autocapture", _event_type="touch", _el_text="Go"),
    event(2.5, "$autocapture", _event_type="change", chain='input:attr__name="email"'),
    event(3, "$autocapture", _event_type="submit", chain="form:"),
    event(4, "signed up", plan="pro"),
    event(5, "$exception"),
    event(6, "$feature_flag_called"),
    event(7, "$pageleave"),
    event(7, "$pageleave", uuid="u7-$pageleave-s1"),
]


@pytest.mark.parametrize("form", [jsonl, parquet])
def test_events_become_rows_with_kinds_and_features(form, tmp_path):
    path = form(tmp_path / ("e.parquet" if form is parquet else "e.jsonl"), EVENTS)
    events = hg.read(path)
    assert events.evidence.moves == "none"
    buy = 'button "Buy "now"; quick"'
    assert rows(events, "kind", "feature") == [
        ("pageview", None), ("click", buy), ("rageclick", buy), ("deadclick", buy), ("click", '"Go"'),
        ("input", "input[name=email]"), ("submit", "form"), ("custom", "signed up"), ("error", None),
        ("$feature_flag_called", None), ("pageleave", None), ("pageleave", None),
    ]  # fmt: skip
    first = rows(events, "session", "user", "tab", "page", "viewport_w", "viewport_h", "browser", "view", "account")[0]
    assert first == ("s1", "pd1", "w", "https://a.example/p/12?mail=q@r.example", 1200, 700, "Chrome", "v1", None)
    heat = hg.run(events, friction=("rage:source", "dead:source", "error"), funnel=("pageview", "signed up"))
    assert heat.ledger.read == 12
    assert heat.ledger.rejected == {"duplicate": 1}
    assert heat.pages.select(["page", "clicks", "views"]).to_pylist() == [{"page": "/p/:id", "clicks": 2, "views": 1}]
    assert {r["rule"]: r["flagged"] for r in heat.rules.to_pylist()} == {"rage:source": 1, "dead:source": 1, "error": 0}
    assert heat.pages["dwell_ms"].to_pylist() == [7000]


def left(at, name, top, end, view, path="/p/12", **more):
    prior = {"_prev_pageview_id": view, "_prev_pageview_pathname": path, "_prev_pageview_max_scroll": top,
             "_prev_pageview_max_content": end}  # fmt: skip
    return event(at, name, **prior, **more)


@pytest.mark.parametrize("form", [jsonl, parquet])
def test_how_far_down_a_view_was_is_told_by_the_event_that_left_it(form, tmp_path):
    """By a route of the site it is the next page's view, and else the leave; of a window that was resized the end."""
    other = "https://a.example/q?x=1"
    made = [
        event(0, "$pageview", _pageview_id="v1"),
        left(5, "$pageview", 900, 1600, "v1", _pageview_id="v2", _current_url=other),
        event(6, "$autocapture", _event_type="click", chain=BUY, _pageview_id="v2", _current_url=other),
        left(9, "$pageleave", 0, 750, "v2", "/q", _pageview_id="v2", _current_url=other),
        left(10, "$set", None, None, "v2"), left(10, "$set", -1, 5, "v2", uuid="minus"),
    ]  # fmt: skip
    path = form(tmp_path / ("e.parquet" if form is parquet else "e.jsonl"), made)
    names = ("kind", "page", "view", "scroll_y", "viewport_h", "event_id", "session")
    told = [row for row in rows(path, *names) if row[0] == "scroll"]
    assert told == [
        ("scroll", "https://a.example/p/12", "v1", 900, 700, None, "s1"),
        ("scroll", "https://a.example/q", "v2", 0, 750, None, "s1"),
    ]
    kinds = [kind for (kind,) in rows(path, "kind")]
    assert kinds == ["pageview", "scroll", "pageview", "click", "scroll", "pageleave", "$set", "$set"]
    heat = hg.run(hg.read(path), scroll=True)
    reach = {}
    for row in heat.reach.to_pylist():
        if row["views"]:
            reach[row["page"]] = max(row["y"], reach.get(row["page"], 0))
    assert reach == {"/p/:id": 1600, "/q": 736}
    assert {row["page"]: (row["views"], row["dwell_ms"]) for row in heat.pages.to_pylist()} == {
        "/p/:id": (1, 5000), "/q": (1, 5000),
    }  # fmt: skip
    assert "only how far down" in heat.refused["attention"]
    assert "scroll" not in heat.refused
    assert heat.attention.num_rows == 0
    assert "attention" not in hg.run(hg.read(path, evidence={"has": "scroll,viewport,views"}), scroll=True).refused


def test_both_forms_give_the_same_for_a_large_random_dump(tmp_path):
    rng = random.Random(5)
    names = ["$pageview", "$autocapture", "bought", "$pageleave", "$rageclick"]
    made = [
        event(k / 10, rng.choice(names), f"s{rng.randrange(40)}", user=f"d{rng.randrange(9)}", uuid=f"u{k}",
              chain=rng.choice([None, BUY, "a:href=\"/x\""]), _event_type=rng.choice(["click", "change"]),
              _os=rng.choice(["Mac", 'W"\u00e9\n', None]), score=rng.choice([1, 2.5, "x", None, True, {"a": [1]}]))
        for k in range(3000)
    ]  # fmt: skip
    a = hg.read(jsonl(tmp_path / "e.jsonl", made), format="posthog:properties=score")
    b = hg.read(parquet(tmp_path / "e.parquet", made), format="posthog:properties=score")
    names = ["time", "session", "user", "kind", "feature", "page", "os", "score", "viewport_w", "event_id"]
    assert rows(a, *names) == rows(b, *names)
    told = [(e["properties"]["$os"], e["properties"]["score"]) for e in made]
    text = [(o, None if s is None else s if isinstance(s, str) else json.dumps(s)) for o, s in told]
    assert rows(a, "os", "score") == text
    heat = hg.run(a, by=("os",))
    clicks = sum(e["event"] == "$autocapture" and e["properties"]["$event_type"] == "click" for e in made)
    assert sum(heat.pages["clicks"].to_pylist()) == clicks
    assert heat.features.equals(hg.run(b, by=("os",)).features)


def test_packed_json_lines_are_known_by_their_first_line(tmp_path):
    import gzip

    path = jsonl(tmp_path / "e.jsonl", EVENTS)
    (tmp_path / "f.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert rows(tmp_path / "f.jsonl.gz", "kind") == rows(path, "kind")
    (tmp_path / "other.jsonl").write_text('{"event": "click", "time": "2024-06-01", "properties": {"a": 1}}\n')
    assert [note for note in hg.read(tmp_path / "other.jsonl").notes if "posthog" in note] == []


def test_broken_lines_and_texts_are_rejected_with_their_place(tmp_path):
    bad = [(2, b'{"uuid": '), (4, b'{"uuid":"x","event":"a\\u0000","properties":{}}'), (5, b""),
           (6, b'{"uuid":"\xff","event":"\xff","properties":{}}'), (7, b'[1]')]  # fmt: skip
    path = jsonl(tmp_path / "e.jsonl", EVENTS[:8], bad)
    events = hg.read(path)
    heat = hg.run(events)
    assert heat.ledger.read == 12
    assert heat.ledger.rejected == {"decode": 3, "time": 1}
    assert sorted(line.removeprefix(f"{path}:") for line in events.bad_lines) == [
        "3: not JSON", "5: NUL or lone surrogate", "7: not UTF-8",
    ]  # fmt: skip
    made = [e | {} for e in EVENTS[:3]]
    table = pq.read_table(parquet(tmp_path / "e.parquet", made))
    table = table.set_column(5, "properties", pa.array([table["properties"][0].as_py(), "{", None]))
    pq.write_table(table, tmp_path / "e.parquet")
    heat = hg.run(hg.read(tmp_path / "e.parquet"))
    assert heat.ledger.rejected == {"decode": 1, "session": 1}


@pytest.mark.parametrize(
    ("chain", "name"),
    [
        ('button.btn:text="Buy"nth-child="1"nth-of-type="1"', 'button "Buy"'),
        ('svg:nth-child="1";a.x:attr__href="/y"href="/y"text="Read; more";body:', 'a "Read; more"'),
        ('div.card:nth-child="3";section:attr__id="plans";body:', "section#plans div"),
        ('button:attr__data-attr="buy"attr__id="x"text="Buy"', "button[data-attr=buy]"),
        ('button:attr_id="go"text="Go"', "button#go"),
        ('div:text="a:b=\\"c\\"";body:', "div"),
        ('input:attr__type="submit"', "input[type=submit]"),
        ("", None),
    ],
)
def test_chains_of_elements_have_readable_names(chain, name):
    assert feature_of(chain) == name


def test_a_property_of_a_columns_name_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="HG1207"):
        hg.read(jsonl(tmp_path / "e.jsonl", EVENTS), format="posthog:properties=browser")


POINTS = {
    "session_id": ["s"] * 6, "team_id": [1] * 6, "distinct_id": ["d"] * 6,
    "timestamp": [f"2024-06-01 00:00:0{k}" for k in (0, 0, 0, 5, 5, 5)], "x": [10, 10, 10, 0, 3, -1],
    "y": [20, 20, 20, 55, 4, 0], "scale_factor": [16] * 6, "viewport_width": [75] * 6, "viewport_height": [50] * 6,
    "pointer_target_fixed": [False, False, False, False, True, False], "current_url": ["https://a.example/p"] * 6,
    "type": ["click", "rageclick", "deadclick", "scrolldepth", "mousemove", "click"],
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_heatmaps_rows_are_sixteenths_and_flags_are_no_clicks(suffix, tmp_path):
    path = tmp_path / f"h.{suffix}"
    table = pa.table(POINTS)
    if suffix == "csv":
        pyarrow.csv.write_csv(table, path)
    elif suffix == "parquet":
        kinds = {"x": pa.int16(), "y": pa.int16(), "scale_factor": pa.int16()}
        stamps = table["timestamp"].cast(pa.timestamp("us"))
        table = table.set_column(3, "timestamp", stamps)
        pq.write_table(table.cast(pa.schema([(f.name, kinds.get(f.name, f.type)) for f in table.schema])), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    events = hg.read(path)
    assert rows(events, "kind", "x", "y", "scroll_y", "viewport_w", "viewport_h", "fixed") == [
        ("click", 160, 320, None, 1200, 800, False), ("rageclick", 160, 320, None, 1200, 800, False),
        ("deadclick", 160, 320, None, 1200, 800, False), ("scroll", None, None, 880, 1200, 800, False),
        ("rest", 48, 64, None, 1200, 800, True), ("click", -16, 0, None, 1200, 800, False),
    ]  # fmt: skip
    heat = hg.run(events, maps=("clicks", "moves"), friction=("rage", "rage:source", "dead:source"), scroll=True)
    assert heat.plan.cell_size == (16.0, 16.0)
    assert heat.plan.extent is not None
    assert heat.plan.extent[0] == -8.0
    grid = heat.map("clicks")
    assert int(grid.values.sum()) == 1
    assert grid.outside == 1
    assert grid.values[20, 10] == 1
    rests = heat.map("moves", fixed=True)
    assert rests.values[4, 3] == 1 == int(rests.values.sum())
    assert {"dwell", "visits", "views", "attention", "scroll", "rage:posthog"} <= set(heat.refused)
    assert {r["rule"]: r["flagged"] for r in heat.rules.to_pylist()} == {
        "rage:posthog": None,
        "rage:source": 1,
        "dead:source": 1,
    }
    assert heat.pages["clicks"].to_pylist() == [2]
