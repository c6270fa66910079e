"""Which column is which, and what a time is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatgrid.sources import mapping, open_events
from heatgrid.sources.times import guess_unit, parse_iso
from heatgrid.words.errors import InputError, UsageError
from heatgrid.words.events import CANONICAL
from heatgrid.words.synonyms import COLUMNS, plain


def found(names: str, asked: dict[str, str | None] | None = None, **kinds: pa.DataType) -> dict[str, str]:
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in names.split()])
    return mapping.find(schema, asked, "test").columns


def test_exact_names_then_synonyms() -> None:
    assert found("time session x y") == {"time": "time", "session": "session", "x": "x", "y": "y"}
    assert found("ts distinct_id $session_id $current_url event_type pageX pageY") == {
        "time": "ts", "session": "$session_id", "user": "distinct_id", "page": "$current_url", "kind": "event_type",
        "x": "pageX", "y": "pageY",
    }  # fmt: skip
    assert found("Timestamp sessionId USER_ID viewportWidth") == {
        "time": "Timestamp", "session": "sessionId", "user": "USER_ID", "viewport_w": "viewportWidth",
    }  # fmt: skip
    assert found("time timestamp") == {"time": "time"}, "an exact name ends the search"
    assert found("timestamp created_at") == {"time": "timestamp"}, "a weaker synonym gives way"
    assert list(found("y x session time")) == ["time", "session", "x", "y"]


def test_two_candidates_are_both_named() -> None:
    for names, pair in (("timestamp ts", ("timestamp", "ts")), ("session_id sid", ("session_id", "sid"))):
        with pytest.raises(InputError) as caught:
            found(names)
        assert caught.value.code == "HG2214"
        assert all(repr(name) in str(caught.value) for name in pair)
    assert found("timestamp ts", {"time": "ts"}) == {"time": "ts"}
    assert found("timestamp ts", {"time": None}) == {}
    assert found("timestamp ts", {"time": ""}) == {}


def test_explicit_columns_are_taken_from_the_synonyms() -> None:
    assert found("event time", {"feature": "event"}) == {"time": "time", "feature": "event"}
    assert found("x y", {"x": "y", "y": "x"}) == {"x": "y", "y": "x"}
    assert found("x time", {"y": "x"}) == {"time": "time", "y": "x"}
    with pytest.raises(InputError, match="did you mean 'pointer_x'") as caught:
        found("pointer_x time", {"x": "pointerx"})
    assert caught.value.code == "HG2212"
    with pytest.raises(UsageError, match="did you mean 'session'"):
        found("x", {"sesion": "x"})


def test_types_that_cannot_be_are_no_candidates() -> None:
    assert found("px", px=pa.timestamp("us")) == {}
    assert found("date", date=pa.bool_()) == {}
    assert found("event", event=pa.struct([("a", pa.int64())])) == {}


def test_the_list_itself() -> None:
    words = [plain(w) for tiers in COLUMNS.values() for tier in tiers for w in tier.split()]
    assert len(words) == len(set(words)), "a synonym of two columns"
    assert set(COLUMNS) <= set(CANONICAL)
    assert not set(words) & {plain(name) for name in CANONICAL}


# ---- times ----

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


def times(values: Any, kind: pa.DataType | None = None, **options: Any) -> tuple[list[datetime | None], str]:
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    events = open_events({"time": array}, **options)
    got = [t for chunk in events.scan(["time"], threads=1) for t in chunk.batch["time"].to_pylist()]
    return got, events.time_unit


UNITS = [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
STORED = [pa.int64(), pa.float64(), pa.uint64(), pa.string()]


@pytest.mark.parametrize(
    ("unit", "per", "kind"),
    [(unit, per, kind) for unit, per in UNITS for kind in STORED if (unit, kind) != ("ns", pa.float64())],
)
def test_the_unit_of_numbers_follows_from_their_size(unit: str, per: int, kind: pa.DataType) -> None:
    values = pa.array([SECONDS * per, None, 0], pa.int64()).cast(kind)
    got, delivered = times(values)
    assert got == [NOON, None, None], "0 is no time of a click"
    if kind != pa.float64():
        assert delivered == unit
    got, _ = times(pa.array([SECONDS * per], pa.int64()).cast(kind), time_unit=unit)
    assert got == [NOON]


def test_fractions_of_seconds() -> None:
    got, unit = times([SECONDS + 0.25, SECONDS + 0.000001])
    assert unit == "us"
    assert [t.microsecond for t in got if t] == [250_000, 1]
    assert times(pa.array([f"{SECONDS}.5"]))[0][0] == NOON.replace(microsecond=500_000)


@pytest.mark.parametrize(
    ("values", "hint"),
    [([5, 6, 7], "--time-unit"), ([SECONDS, SECONDS * 1000], "--time-unit"), ([20240501, 20240502], "--time-unit")],
)
def test_numbers_that_are_no_times_or_of_two_units(values: list[int], hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        times(values)
    assert caught.value.code == "HG2215"


def test_out_of_range_is_null() -> None:
    kind = pa.timestamp("us", "UTC")
    year_9999 = 253_370_764_800_000_000
    low, high = 946_684_800_000_000, 4_133_980_800_000_000
    got, _ = times([0, low - 1, low, high - 1, high, year_9999, -(2**63), 2**63 - 1], kind)
    assert [t is not None for t in got] == [False, False, True, True, False, False, False, False]
    assert times([0], kind, time_range=(1970, 1971))[0] == [datetime(1970, 1, 1, tzinfo=UTC)]
    assert times([2**62, SECONDS], pa.timestamp("s"))[0] == [None, NOON]
    assert times([SECONDS] * 500 + [2**64 - 1], pa.uint64())[0][-1] is None


def test_naive_times_are_clock_times_of_the_zone() -> None:
    clock = pa.array([SECONDS], pa.timestamp("s"))
    assert times(clock)[0] == [NOON]
    assert times(clock, tz="Europe/Berlin")[0] == [NOON.replace(hour=10)]
    assert times(clock.cast(pa.timestamp("s", "Asia/Tokyo")), tz="Europe/Berlin")[0] == [NOON]
    texts = pa.array(["2024-05-01 12:00:00", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00+05:30"])
    berlin = times(texts, tz="Europe/Berlin")[0]
    assert [t.isoformat() for t in berlin if t] == [
        "2024-05-01T10:00:00+00:00",
        "2024-05-01T12:00:00+00:00",
        "2024-05-01T06:30:00+00:00",
    ]
    spring = pa.array(["2024-03-31 02:30:00", "2024-10-27 02:30:00"])
    assert all(times(spring, tz="Europe/Berlin")[0]), "the missing and the doubled hour are times as well"
    with pytest.raises(UsageError) as caught:
        times(clock, tz="Europe/Berln")
    assert caught.value.code == "HG1203"
    assert times(pa.array([19_844], pa.date32()))[0] == [datetime(2024, 5, 1, tzinfo=UTC)]


def test_texts_that_are_no_times_are_null() -> None:
    good = [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00",
        "2024-05-01T12:00:00.123456789Z",
        "2024-05-01 12:00:00 UTC",
        "2024-02-29",
    ]
    bad = [
        "2024-02-30",
        "2023-02-29",
        "2024-13-01",
        "24:00",
        "yesterday",
        "",
        "2024-05-01T25:00:00",
        "2024-05-01T12:00:00+99:00",
        None,
    ]
    got = times(pa.array(good + bad))[0]
    assert [t is not None for t in got] == [True] * len(good) + [False] * len(bad)
    encoded = pa.array(good + bad).dictionary_encode()
    assert times(encoded)[0] == got


@settings(max_examples=150, deadline=None)
@given(
    moments=st.lists(
        st.tuples(
            st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),
            st.sampled_from(["Z", "", "+05:30", "-0800", "+01"]),
            st.sampled_from([0, 3, 6]),
            st.sampled_from("T "),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_iso_texts_agree_with_python(moments: list[tuple[datetime, str, int, str]]) -> None:
    texts, expected = [], []
    for moment, zone, digits, separator in moments:
        fraction = f"{moment.microsecond:06}"[:digits]
        texts.append(moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S") + (f".{fraction}" if digits else "") + zone)
        hours = {"Z": 0, "": 0, "+05:30": 5.5, "-0800": -8, "+01": 1}[zone]
        whole = moment.replace(microsecond=int(fraction.ljust(6, "0")) if digits else 0, tzinfo=UTC)
        expected.append(
            round((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 10**6) - int(hours * 3600) * 10**6
        )
    assert parse_iso(pa.array([*texts, "no"]), "UTC").view(pa.int64()).to_pylist() == [*expected, None]


def test_strays_do_not_decide_the_unit() -> None:
    import numpy as np

    values = np.array([SECONDS * 1000.0] * 500 + [5.0, 0.0, 0.0])
    assert guess_unit(values, 946_684_800, 4_133_980_800, "test") == "ms"
    assert guess_unit(np.zeros(3), 0, 1, "test") is None


def test_no_times_and_wrong_arguments() -> None:
    with pytest.raises(InputError, match="holds no times"):
        open_events({"time": pa.array([[1]])}, map={"time": "time"})
    for options in ({"time_unit": "minutes"}, {"on_error": "never"}, {"format": "xls"}, {"time_range": (2000, 2000)}):
        with pytest.raises(UsageError):
            open_events({"time": pa.array([SECONDS])}, **options)  # type: ignore[arg-type]
