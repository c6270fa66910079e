"""What names leave open: columns by values, frames, words that are clicks, kinds in two columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.sources import open_events, parquet
from heatgrid.words.errors import InputError
from heatgrid.words.events import SYNONYMS
from heatgrid.words.synonyms import CLICKS_WITHOUT_CLICK, COLUMNS

NOON = 1_714_564_800_000
N = 40


def times(n: int = N) -> pa.Array:
    return pa.array([NOON + 1000 * i for i in range(n)], pa.timestamp("ms", "UTC"))


def columns(given: dict[str, Any], **options: Any) -> dict[str, str]:
    return open_events(given, **options).columns


def clicks(heat: Any) -> int:
    return int(heat.summary["kinds"].get("click", 0))


# ---- columns


def test_fields_of_structs_go_by_their_own_name_and_by_that_of_the_struct() -> None:
    rows = {
        "ts": times(),
        "params": pa.array([{"page_location": "/a", "x": 1.0}] * N),
        "user": pa.array([{"id": "u", "name": "n"}] * N),
        "viewport": pa.array([{"width": 800, "height": 600}] * N),
    }
    assert columns(rows) == {
        "time": "ts", "user": "user.id", "page": "params.page_location", "x": "params.x",
        "viewport_w": "viewport.width", "viewport_h": "viewport.height",
    }  # fmt: skip
    assert columns(rows | {"url": ["/b"] * N})["page"] == "url", "the top level comes first"
    assert columns(rows, map={"page": "params.page_location"})["page"] == "params.page_location"
    two = rows | {"context": pa.array([{"url": "/c", "page_url": "/d"}] * N)}
    with pytest.raises(InputError) as caught:
        columns(two)
    assert caught.value.code == "HG2214"
    assert all(path in str(caught.value) for path in ("params.page_location", "context.url", "--map page="))


def test_a_candidate_without_a_value_gives_way_and_is_named() -> None:
    rows = {"ts": times(), "user_id": pa.nulls(N, pa.string()), "distinct_id": ["u"] * N}
    events = open_events(rows)
    assert events.columns["user"] == "distinct_id"
    assert "user = distinct_id (synonym; user_id is empty), not user_id" in events.notes
    with pytest.raises(InputError, match="user_id"):
        columns(rows | {"user_id": ["v"] * N})


def test_two_candidates_for_what_nothing_reads_stop_no_run() -> None:
    events = open_events({"time": times(), "revenue": [1.0] * N, "amount": [2.0] * N})
    assert "value" not in events.columns
    assert [note for note in events.notes if "revenue" in note and "amount" in note and "--map value=" in note]


def test_time_by_type_and_by_values() -> None:
    assert columns({"happened": times(), "what": ["a"] * N})["time"] == "happened"
    with pytest.raises(InputError, match="'opened' and 'closed'"):
        columns({"opened": times(), "closed": times()})
    iso = ["2024-05-01T12:00:00Z"] * N
    assert columns({"moment": iso})["time"] == "moment"
    assert columns({"click_time_utc": [NOON + i for i in range(N)]})["time"] == "click_time_utc"
    assert columns({"day": pa.array([19_844] * N, pa.date32()), "moment": times()})["time"] == "moment"


def test_numbers_that_only_could_be_times_are_asked_about() -> None:
    events = open_events({"phone": [1_700_000_000 + i for i in range(N)], "page": ["/"] * N})
    assert "time" not in events.columns
    with pytest.raises(InputError) as caught:
        hg.run(events)
    assert caught.value.code == "HG2601"
    assert "--map time=phone" in str(caught.value)


def test_pages_and_kinds_by_their_values() -> None:
    rows = {"ts": times(), "seen": ["https://a.example/x?q=1"] * N, "did": ["Click", "Move"] * (N // 2), "z": ["q"] * N}
    events = open_events(rows)
    assert (events.columns["page"], events.columns["kind"]) == ("seen", "did")
    assert "kind = did (its values are kinds)" in events.notes
    assert clicks(hg.run(events)) == N // 2
    both = open_events(rows | {"also": ["/y"] * N})
    assert "page" not in both.columns
    assert [note for note in both.notes if note.startswith("page is not read: ") and "also" in note and "seen" in note]
    assert "page" not in columns(rows | {"seen": ["words"] * N, "referrer": ["https://a.example/"] * N})
    assert "kind" not in columns(rows | {"did": ["Click", "Lunch"] * (N // 2)})


def test_of_two_columns_of_kinds_that_with_known_words_wins() -> None:
    rows = {"ts": times(), "event": ["click"] * N, "event_name": ["signup"] * N}
    assert columns(rows)["kind"] == "event"
    with pytest.raises(InputError, match="'event' and 'event_name'"):
        columns(rows | {"event": ["track"] * N})


def test_x_and_y_are_measured_from_one_place() -> None:
    rows = {"ts": times(), "pageX": [1.0] * N, "clientX": [1.0] * N, "clientY": [1.0] * N}
    assert {k: columns(rows)[k] for k in "xy"} == {"x": "clientX", "y": "clientY"}
    with pytest.raises(InputError) as caught:
        columns({name: rows[name] for name in ("ts", "pageX", "clientY")})
    assert caught.value.code == "HG2230"


def test_an_event_id_that_repeats_names_no_event() -> None:
    many = 300
    rows = {"time": times(many), "session": ["s"] * many, "event_id": [i % 3 for i in range(many)]}
    heat = hg.run(rows)
    assert heat.ledger.accepted == many
    assert [note for note in heat.summary["notes"] if note.startswith("event_id is not read")]
    assert hg.run(hg.read(rows, map={"event_id": "event_id"})).ledger.accepted == 3
    assert columns(rows | {"event_id": [i // 3 for i in range(many)]})["event_id"] == "event_id", "each came thrice"
    few = {name: values[:50] for name, values in rows.items()}
    assert columns(few)["event_id"] == "event_id", "50 rows are too few to tell"


def test_declared_columns_are_all_there_is() -> None:
    rows = {"ts": times(), "session": ["s"] * N, "url": ["/"] * N}
    assert columns(rows, map={"time": "ts"}, declared=True) == {"time": "ts"}


# ---- kinds


def test_a_press_is_a_click_only_where_there_is_no_click() -> None:
    words = ["mousedown", "mouseup", "mousemove", "MouseDown"] * (N // 4)
    points = {"time": times(), "x": [1.0] * N, "y": [2.0] * N}
    heat = hg.run(points | {"kind": words})
    assert clicks(heat) == N // 2
    assert heat.summary["reading"]["kinds"] == {"click": ["MouseDown", "mousedown"]}
    assert "click is MouseDown, mousedown: no row is a click" in heat.summary["notes"]
    with_click = hg.run(points | {"kind": ["mousedown", "mouseup", "click", "x"] * (N // 4)})
    assert clicks(with_click) == N // 4
    assert with_click.summary["kinds"]["mousedown"] == N // 4


def test_clicks_that_come_late_undo_what_was_taken_for_them(tmp_path: Path) -> None:
    many = 40_000
    kinds = np.array(["mousedown"] * many, object)
    kinds[many // 4] = "click"
    table = pa.table({"time": times(many), "kind": kinds, "x": [1.0] * many, "y": [1.0] * many})
    pq.write_table(table, tmp_path / "a.parquet")
    heat = hg.run(hg.read(tmp_path / "a.parquet"))
    assert clicks(heat) == 1
    assert [note for note in heat.summary["notes"] if "mousedown came before click" in note]
    stream = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(1000)))
    with pytest.raises(InputError) as caught:
        hg.run(stream)
    assert caught.value.code == "HG2231"


def test_autocapture_is_what_the_column_beside_it_says() -> None:
    rows = {
        "timestamp": times(), "event": ["$autocapture", "$pageview", "$autocapture", "signup"] * (N // 4),
        "$event_type": ["click", None, "submit", None] * (N // 4),
    }  # fmt: skip
    heat = hg.run(rows)
    assert heat.summary["kinds"] == {"click": N // 4, "pageview": N // 4, "signup": N // 4, "submit": N // 4}
    assert heat.summary["reading"]["columns"]["kind"]["column"] == "event"
    only = hg.run(hg.read(rows, where="event = '$autocapture'"))
    assert only.summary["kinds"] == {"click": N // 4, "submit": N // 4}


def test_autocapture_in_a_file_whose_rows_a_where_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the column beside is not read where our own leaves decode the rows that a where lets through."""
    monkeypatch.setattr(parquet, "FROM_ROWS", 1)
    rows = {"timestamp": times(), "event": ["$autocapture", "x"] * (N // 2), "country": ["DE"] * 10 + ["FR"] * 30,
            "$event_type": ["click", None] * (N // 2)}  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    heat = hg.run(hg.read(tmp_path / "a.parquet", where="country = 'DE'"))
    assert heat.summary["kinds"] == {"click": 5, "x": 5}


@pytest.mark.parametrize("flag", [[True, False], ["True", "False"], [1, 0]])
def test_a_button_let_go_is_no_click(flag: list[Any]) -> None:
    rows = {"time": times(), "type": ["Click", "Click"] * (N // 2), "pressed": flag * (N // 2)}
    heat = hg.run(rows)
    assert heat.summary["kinds"] == {"click": N // 2, "mouseup": N // 2}
    assert [note for note in heat.summary["notes"] if "pressed is false" in note]


# ---- frames


def frame(scrolls: bool = True, **given: Any) -> tuple[str, str]:
    """The frame that is told for points in a window of 800 px."""
    rows = {"time": times(1200), "kind": ["click"] * 1200, "viewport_h": [800] * 1200}
    rows |= {"scroll_y": [0, 400 if scrolls else 0, 0] * 400}
    heat = hg.run(rows | given)
    told = heat.summary["reading"]
    return heat.summary["frame"], f"{told['frame']} {told.get('frame_assumed')}"


def test_names_of_points_tell_the_frame() -> None:
    assert frame(pageX=[1] * 1200, pageY=[900] * 1200)[0] == "page"
    assert frame(clientX=[1] * 1200, clientY=[9] * 1200)[0] == "viewport + scroll_y"
    rows = {"time": times(), "clientX": [1] * N, "clientY": [9] * N}
    assert hg.run(rows).summary["frame"] == "viewport (no scroll_y: px of the window)"


def test_plain_points_are_of_the_window_if_they_keep_to_it_while_pages_scroll() -> None:
    near, far = [10, 300, 700] * 400, [10, 1100, 2500] * 400
    assert frame(x=near, y=near) == ("viewport + scroll_y", "viewport False")
    assert frame(x=near, y=far) == ("page (assumed)", "page True")
    assert frame(scrolls=False, x=near, y=near) == ("page (assumed)", "page True")
    low = [10, 500, 700] * 400  # never above the scroll: this may be the page as well
    assert frame(x=near, y=low) == ("page (assumed)", "page True")
    one = [*near[:-1], 900]
    assert frame(x=near, y=one)[0] == "viewport + scroll_y", "one in 1,200 may lie beyond"
    assert frame(x=near, y=[*near[:-2], 900, 901])[0] == "page (assumed)", "two may not"


def test_columns_of_a_stream_are_sampled_side_by_side() -> None:
    rows = {"time": times(1200), "x": [1.0] * 1200, "y": [10.0, 300.0] * 600, "viewport_h": [800] * 600 + [200] * 600}
    table = pa.table(rows | {"scroll_y": [0.0, 400.0] * 600})
    stream = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(600)))
    assert hg.run(stream).summary["frame"] == "viewport + scroll_y", (
        "by the first 600 rows, not by y of one, h of others"
    )


def test_the_frame_of_the_window_is_the_page_once_it_is_scrolled(tmp_path: Path) -> None:
    rows = {"time": times(3), "x": [1, 1, 1], "y": [10, 20, 30], "viewport_h": [800] * 3, "scroll_y": [0, 400, 0]}
    asked = hg.run(rows, frame="viewport")
    assert asked.map().values.shape[0] > 50
    assert asked.summary["reading"]["frame_why"] == "as asked"
    plain = hg.run(rows, frame="page")
    assert plain.summary["frame"] == "page", "asked for, not assumed"
    plain.picture(tmp_path / "a.png")


# ---- what is kept


def test_how_it_was_read_is_kept_in_the_result_and_its_file(tmp_path: Path) -> None:
    rows = {"ts": times(), "sid": ["s"] * N, "pageX": [1] * N, "pageY": [2] * N, "event_type": ["tap"] * N}
    heat = hg.run(rows)
    heat.report(tmp_path / "r")
    told = json.loads((tmp_path / "r" / "summary.json").read_text())["summary"]["reading"]
    assert told["columns"]["session"] == {"column": "sid", "why": "synonym"}
    assert (told["time_unit"], told["frame"], told["frame_why"]) == ("ms", "page", "pageX, pageY")
    heat.save(tmp_path / "a.heat")
    assert hg.load(tmp_path / "a.heat").summary["reading"] == told
    other = hg.run({"ts": times(), "sid": ["t"] * N, "x": [1] * N, "y": [2] * N, "event_type": ["tap"] * N})
    both = hg.merge([heat, other]).summary
    assert both["frame"] == "page (assumed)", "what is assumed of one is assumed of the sum"
    assert "columns" not in both["reading"]


def test_the_published_list_is_the_one_that_is_used() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "columns.md").read_text(encoding="utf-8")
    for name, tiers in COLUMNS.items():
        assert f"| `{name}` | {'; '.join(' '.join(tier.split()) for tier in tiers)} |" in text
    for name, words in SYNONYMS.items():
        assert f"| `{name}` | {words} |" in text
    assert [word for word in CLICKS_WITHOUT_CLICK if f"`{word}`" not in text] == []


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    """Fails if it is asked for the column of its times."""
    (tmp_path / "events.csv").write_bytes(b"")
    with pytest.raises(InputError, match="the input is empty") as caught:
        hg.run(hg.read(str(tmp_path / "events.csv")), hg.Plan())
    assert caught.value.code == "HG2601"
