"""Millions of pages or features: all are kept in states, the rest of a table is one row, and too many are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import heatgrid as hg
from heatgrid.engine import names
from heatgrid.engine.others import OTHER
from heatgrid.outputs.report import busiest
from heatgrid.states.store import to_bytes
from heatgrid.words.errors import LimitError, UsageError

T0 = 1_790_000_000_000


def rows(pages, devices=("a", "b")) -> pa.Table:
    n = len(pages)
    return pa.table({
        "time": pa.array(T0 + np.arange(n) * 1000, pa.timestamp("ms", "UTC")),
        "session": [f"s{i % 5}" for i in range(n)], "page": pages, "kind": ["click"] * n,
        "feature": [f"on {page}" for page in pages],
        "device": [devices[i % len(devices)] for i in range(n)],
    })  # fmt: skip


MANY = ["/a"] * 9 + ["/b"] * 5 + ["/c", "/d", "/e"] * 5 + ["/f"] * 2


@pytest.mark.parametrize("order", ["auto", "any"])
def test_row_19_the_rest_is_one_row_by_events_then_by_name(order: str) -> None:
    whole = hg.run(rows(MANY), maps=(), order=order)
    few = hg.run(rows(MANY), maps=(), order=order, max_pages=3)
    found = {row["page"]: row for row in few.pages.to_pylist()}
    assert list(found)[-1] == OTHER
    assert set(found) == {"/a", "/b", "/c", OTHER}
    want = {row["page"]: row for row in whole.pages.to_pylist()}
    for name in ("events", "clicks", "views", "dwell_ms", "visits"):
        assert found[OTHER][name] == sum(want[page][name] for page in ("/d", "/e", "/f"))
    assert found[OTHER]["sessions"] is None
    assert found["/a"] == want["/a"]
    assert few.features.num_rows == 6
    assert any("3 pages beyond the 3" in note for note in few.summary["notes"])
    assert to_bytes(few.state) == to_bytes(whole.state) or few.plan.hash() == whole.plan.hash()


def test_row_19_each_segment_has_its_rest_and_states_of_other_caps_merge() -> None:
    halves = [
        rows(MANY[:20]),
        rows(MANY[20:]).set_column(1, "session", pa.array([f"t{i}" for i in range(len(MANY) - 20)])),
    ]
    heats = [hg.run(half, maps=(), by=("device",), max_pages=cap) for half, cap in zip(halves, (2, 50), strict=True)]
    both = hg.merge(heats)
    assert both.state.names["page"] == ["/a", "/b", "/c", "/d", "/e", "/f"]
    table = both.table("pages", by=True)
    rest = [row for row in table.to_pylist() if row["page"] == OTHER]
    assert [row["device"] for row in rest] == ["a", "b"]
    assert sum(table["events"].to_pylist()) == len(MANY)
    assert sum(row["events"] for row in rest) == 5 * 3 + 2


def test_row_19_the_matrix_has_the_rest_too_where_it_adds_up() -> None:
    plan = {"maps": (), "by": ("device",), "every": "day"}
    whole, few = hg.run(rows(MANY), **plan), hg.run(rows(MANY), **plan, max_pages=3)
    for columns in ("device", "day"):
        all_of_it = whole.matrix("page", columns, "clicks")
        made = few.matrix("page", columns, "clicks")
        assert set(made.rows) == {"/a", "/b", "/c", OTHER}
        assert made.values.sum() == all_of_it.values.sum() == len(MANY)
        at = [all_of_it.rows.index(page) for page in ("/d", "/e", "/f")]
        column = [all_of_it.columns.index(name) for name in made.columns]
        assert made.values[made.rows.index(OTHER)].tolist() == all_of_it.values[at].sum(axis=0)[column].tolist()
        assert any(OTHER in note for note in made.notes)
        # (other) has at least the sessions of any of its names
        n = made.sessions[made.rows.index(OTHER)]
        assert n.tolist() == all_of_it.sessions[at].max(axis=0)[column].tolist()
        sessions = few.matrix("page", columns, "sessions")
        assert set(sessions.rows) == {"/a", "/b", "/c"}
        assert any("3 pages" in note and "add up" in note for note in sessions.notes)
    assert whole.matrix("page", "device", "sessions").notes == []


def test_row_19_maps_of_the_rest_are_one_that_adds_up() -> None:
    table = rows(MANY)
    points = {"x": pa.array(10.0 * (np.arange(len(MANY)) % 4)), "y": pa.array(np.full(len(MANY), 5.0))}
    for name, column in points.items():
        table = table.append_column(name, column)
    for plan in ({"tables": ()}, {"by": ("device",), "every": "day"}):
        whole, few = hg.run(table, cell=10, **plan), hg.run(table, cell=10, max_pages=3, **plan)
        layers = few.layers()
        keys = [name for name in layers.column_names if name not in ("events", "sessions", "viewport_w", "page")]
        for found in layers.filter(pc.equal(layers["page"], OTHER)).to_pylist():
            mine = [row for row in whole.layers().to_pylist() if all(row[key] == found[key] for key in keys)]
            assert found["events"] == sum(row["events"] for row in mine if row["page"] in ("/d", "/e", "/f"))
            assert found["sessions"] is None
        assert pc.sum(layers["events"]).as_py() == len(MANY)
        assert set(layers["page"].to_pylist()) == {"/a", "/b", "/c", OTHER}
        want = sum(np.pad(whole.map(page=page).values, ((0, 0), (0, 9)))[:, :9] for page in ("/d", "/e", "/f"))
        got = np.pad(few.map(page=OTHER).values, ((0, 0), (0, 9)))[:, :9]
        assert got.tolist() == want.tolist()
        assert any("3 pages beyond the 3" in note for note in few.summary["notes"])
        assert few.map(page="/f").values.sum() == 2, "a state keeps every map"
        with pytest.raises(UsageError) as caught:
            few.map(page=OTHER, value="sessions")
        assert caught.value.code == "HG1515"
        assert [row["page"] for row in busiest(layers, 9)[0]] == ["/a", "/b", "/c"]
        with pytest.raises(UsageError):
            whole.map(page=OTHER)


def test_row_19_more_names_than_can_be_held_are_refused_with_their_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_NAMES", 4)
    with pytest.raises(LimitError) as caught:
        hg.run(rows(MANY), maps=(), tables=("pages",))
    assert (caught.value.code, caught.value.exit_code) == ("HG4105", 5)
    assert caught.value.where in ("page", "feature")
    assert "more than 4" in str(caught.value)


def test_a_cap_is_a_whole_number() -> None:
    with pytest.raises(UsageError) as caught:
        hg.Plan(max_pages=0)
    assert caught.value.code == "HG1102"
