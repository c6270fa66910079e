"""Bad input to every adapter, in each of its forms: what is missing or of another type, damaged or boundless files,
broken lines, impossible times, addresses of people."""

from __future__ import annotations

import copy
import gzip
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
import test_ga4
import test_posthog
import test_rrweb
import test_snowplow
import test_trackers
from heatgrid.cli import main
from heatgrid.sources import streams
from heatgrid.sources.adapters import parts
from heatgrid.sources.adapters.registry import OWN, Tables, load
from heatgrid.words.errors import InputError

N = 6
SECRET = "q@r.example"
URL = "https://a.example/p/12?mail=q@r.example"


@dataclass
class Form:
    """Records of a format: ``record(k)``; where its time, its page and a number of its are."""

    format: str
    suffix: str
    record: object
    time: tuple[tuple[str, ...], ...]
    page: tuple[str, ...] | None
    number: tuple[str, ...] | None
    times: tuple[object, ...] = ("1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "yesterday", None)


def nested(record, path, value=None, *, take=False):
    """The member at a path: taken out, set, or given back."""
    for word in path[:-1]:
        record = record[int(word) if isinstance(record, list) else word]
    last = int(path[-1]) if isinstance(record, list) else path[-1]
    if take:
        return record[last]
    record[last] = value
    return None


def heat_row(k):
    return {name: values[0] for name, values in test_posthog.POINTS.items()} | {
        "timestamp": f"2024-06-01 00:00:0{k}", "current_url": URL, "x": 10 + k,
    }  # fmt: skip


def snow(k):
    return test_snowplow.event(k, page_url=URL)


def rudder(k):
    return test_trackers.call(k, "page", rudderId="r", context={"sessionId": 1})


def ga(k):
    return test_ga4.written(test_ga4.event(k, "page_view"))


def clear(k):
    """The first payload of a page: when it was opened, its address, its window."""
    opened = 1_717_200_001_000 + 1000 * k
    return {"e": ["0.8.70", 1, 0, 200, "p", "u", "s", k, 0, 0, 0, URL],
            "a": [[200, 0, 0, opened], [200, 1, 1, [URL]], [3, 11, 1000, 600]]}  # fmt: skip


STAMPS = ("derived_tstamp",), ("collector_tstamp",)
CALLED = ("timestamp",), ("receivedAt",)
WHEN = (0, 253_370_764_800_000, "soon", None)
MP = {"page": ("properties", "$current_url"), "number": ("properties", "$viewportWidth")}
PH = {"page": ("properties", "$current_url"), "number": ("properties", "$viewport_width")}
SEGMENT = ("context", "page", "url")
GA_PAGE = ("event_params", "1", "value", "string_value")
FORMS = [
    Form("rrweb", ".ndjson", None, (("timestamp",),), None, None),
    Form("snowplow", ".tsv", snow, STAMPS, ("page_url",), ("br_viewwidth",)),
    Form("snowplow", ".parquet", snow, STAMPS, ("page_url",), None),
    Form("posthog", ".jsonl", lambda k: test_posthog.event(k, "$pageview"), (("timestamp",),), **PH),
    Form("posthog", ".parquet", lambda k: test_posthog.event(k, "$pageview"), (("timestamp",),), **PH),
    Form("posthog-heatmaps", ".csv", heat_row, (("timestamp",),), ("current_url",), None),
    Form("posthog-heatmaps", ".ndjson", heat_row, (("timestamp",),), ("current_url",), None),
    Form("ga4", ".jsonl", ga, (("event_timestamp",),), GA_PAGE, None, times=("0", "253370764800000000", "soon")),
    Form("ga4", ".parquet", lambda k: test_ga4.event(k, "page_view"), (("event_timestamp",),), GA_PAGE, None,
         times=(0, 253_370_764_800_000_000, None)),
    Form("mixpanel", ".jsonl", lambda k: test_trackers.mixpanel(k, "$mp_click", **test_trackers.PLACE),
         (("properties", "time"),), times=WHEN, **MP),
    Form("amplitude", ".json", lambda k: test_trackers.amplitude(k, "[Amplitude] Page Viewed"), (("event_time",),),
         ("event_properties", "[Amplitude] Page URL"), None),
    Form("amplitude-interactions", ".jsonl", lambda k: test_trackers.interaction(20, 40, 1, hour=k), (("timestamp",),),
         ("pageUrl",), ("viewportWidth",), times=(0, 253_370_764_800_000, "soon", None)),
    Form("clarity", ".jsonl", clear, (("a", "0", "3"),), ("a", "1", "3", "0"), None, times=WHEN[:2]),
    Form("segment", ".jsonl", lambda k: test_trackers.call(k, "page"), CALLED, SEGMENT, None),
    Form("rudderstack", ".jsonl", rudder, CALLED, SEGMENT, None),
]  # fmt: skip
by_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.format + form.suffix)
LINES = [form for form in FORMS if form.suffix not in (".parquet", ".csv")]
by_lines = pytest.mark.parametrize("form", LINES, ids=lambda form: form.format + form.suffix)


def recorded():
    """An rrweb session of six rows and a snapshot."""
    made = [test_rrweb.meta(1000, URL), test_rrweb.snapshot(1001)]
    made += [test_rrweb.act(1100 + 100 * k, 2, 4, 5, 6) for k in range(5)]
    return [one | {"timestamp": one["timestamp"] + 1_717_200_000_000} for one in made]


def records(form):
    return recorded() if form.record is None else [copy.deepcopy(form.record(k)) for k in range(N)]


def line(form, record):
    if form.suffix != ".tsv":
        return json.dumps(record).encode()
    fields = [""] * test_snowplow.WIDTH
    for name, value in record.items():
        fields[test_snowplow.PLACES[name]] = "" if value is None else value
    return "\t".join(fields).encode()


def table(form, made):
    if form.format == "ga4":
        return pa.Table.from_pylist(made, schema=test_ga4.SCHEMA)
    if form.format == "posthog":
        made = [one | {"properties": json.dumps(one["properties"])} for one in made]
    return pa.Table.from_pylist(made)


def write(path, form, made, bad=()):
    """Records as a file of this form; bad : (place, line)."""
    if form.suffix == ".parquet":
        pq.write_table(table(form, made), path)
    elif form.suffix == ".csv":
        pyarrow.csv.write_csv(table(form, made), path)
    else:
        lines = [line(form, one) for one in made]
        for at, text in bad:
            lines.insert(at, text)
        path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_every_adapter_is_here():
    assert {form.format for form in FORMS} == set(OWN)
    assert {form.format for form in FORMS if form.suffix in (".parquet", ".csv")} == {
        name for name in OWN if isinstance(load(name), Tables)
    }


@by_form
def test_good_records_are_rows_without_being_told_the_format(form, tmp_path):
    events = hg.read(write(tmp_path / f"e{form.suffix}", form, records(form)))
    assert [note for note in events.notes if note.startswith(f"read as {form.format}: ")]
    heat = hg.run(events)
    assert (heat.ledger.read, heat.ledger.rejected) == (N, {})


@by_lines
def test_an_array_of_records_gives_what_its_lines_give(form, tmp_path):
    if form.suffix == ".tsv":
        pytest.skip("no JSON")
    made = records(form)
    lines = hg.run(write(tmp_path / f"e{form.suffix}", form, made))
    for number, text in enumerate((json.dumps(made), "\n" + json.dumps(made, indent=2) + "\n")):
        path = tmp_path / f"{'e' if form.format == 'rrweb' else number}.json"
        path.write_text(text)
        array = hg.run(path)
        assert (array.ledger.read, array.ledger.rejected) == (N, {})
        assert array.pages.equals(lines.pages)
        assert array.features.equals(lines.features)


# ---- row 12


@by_form
def test_row_12_a_column_that_is_missing_is_named(form, tmp_path):
    if form.suffix not in (".parquet", ".csv"):
        pytest.skip("of lines, what is missing is null: the next test")
    whole = table(form, records(form))
    time = form.time[-1][0]
    path = tmp_path / f"e{form.suffix}"
    write_table = pq.write_table if form.suffix == ".parquet" else pyarrow.csv.write_csv
    write_table(whole.drop_columns([time if form.format != "posthog-heatmaps" else "scale_factor"]), path)
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(path, format=form.format))
    assert caught.value.code == "HG2223"
    assert (time if form.format != "posthog-heatmaps" else "scale_factor") in str(caught.value)


@by_lines
def test_row_12_a_text_for_a_number_is_no_number_and_a_line_without_a_time_no_row(form, tmp_path):
    made = records(form)
    if form.number:
        nested(made[2], form.number, "12px")
    if form.record is None:
        made[3]["timestamp"] = "12px"
    else:
        for path in form.time:
            made[3] = {k: v for k, v in made[3].items() if (k,) != path}
            if len(path) > 2:
                nested(made[3], path, None)
            elif len(path) == 2:
                made[3][path[0]] = {k: v for k, v in made[3][path[0]].items() if k != path[1]}
    read = hg.read(write(tmp_path / f"e{form.suffix}", form, made))
    heat = hg.run(read)
    assert heat.ledger.read == N
    assert sum(heat.ledger.rejected.values()) == 1
    if form.number:
        widths = [w for chunk in read.scan(["viewport_w"], threads=1) for w in chunk.batch.column(0).to_pylist()]
        told = nested(made[1], form.number, take=True) if form.format != "mixpanel" else 1200
        assert widths == [None if k == 2 else float(told) for k in range(N)]


@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_row_12_a_text_for_a_number_in_a_table_of_points_is_no_point(suffix, tmp_path):
    form = next(form for form in FORMS if (form.format, form.suffix) == ("posthog-heatmaps", suffix))
    made = [one | {"x": "12px" if k == 2 else str(one["x"])} for k, one in enumerate(records(form))]
    heat = hg.run(hg.read(write(tmp_path / f"e{suffix}", form, made)))
    assert (heat.ledger.read, heat.ledger.rejected) == (N, {})
    assert (heat.ledger.measures["clicks"].used, heat.ledger.measures["clicks"].invalid) == (N - 1, 1)


# ---- row 15


@by_form
def test_row_15_a_file_that_is_cut_off_is_named_or_left_out(form, tmp_path):
    good = write(tmp_path / f"good{form.suffix}", form, records(form))
    whole = write(tmp_path / f"whole{form.suffix}", form, records(form) * (1 if form.format == "rrweb" else 200))
    packed = form.suffix != ".parquet"
    bad = tmp_path / f"bad{form.suffix}{'.gz' if packed else ''}"
    data = gzip.compress(whole.read_bytes()) if packed else whole.read_bytes()
    bad.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError) as caught:
        hg.run(hg.read([good, bad], format=form.format))
    assert bad.name in str(caught.value)
    events = hg.read([good, bad], format=form.format, on_error="skip")
    heat = hg.run(events)
    assert heat.ledger.accepted >= N - 1
    assert any(bad.name in said for said in [*events.skipped, *events.notes, *heat.summary["notes"]])


# ---- row 16


@by_form
def test_row_16_what_has_no_end_is_refused(form, tmp_path, monkeypatch):
    if form.suffix == ".parquet":
        pytest.skip("pages of Parquet are bounded where all of Parquet is read")
    made = records(form) * 400
    path = write(tmp_path / f"e{form.suffix}", form, made)
    packed = tmp_path / f"p{form.suffix}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(streams, "BOMB_BYTES", 1 << 16)
    monkeypatch.setattr(streams, "BOMB_RATIO", 2)
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(packed, format=form.format))
    assert caught.value.code == "HG2209"
    assert packed.name in str(caught.value)
    monkeypatch.undo()
    if form.suffix == ".csv":
        return
    monkeypatch.setattr(streams, "MAX_LINE", 1 << 16)
    monkeypatch.setattr(parts, "MOST_BYTES", 1 << 16)
    long = line(form, made[0])
    path.write_bytes(long.replace(b"a.example", b"a.example/" + b"x" * (1 << 18)) + b"\n" + long + b"\n")
    with pytest.raises(InputError) as caught:
        hg.run(hg.read(path, format=form.format))
    assert caught.value.code == "HG2210"
    assert path.name in str(caught.value)


# ---- row 17


@by_lines
def test_row_17_broken_lines_cost_themselves_and_their_place_is_told(form, tmp_path):
    made = records(form)
    good = line(form, made[0])
    if form.suffix == ".tsv":
        bad = [b"a\tb", good.replace(b"a.example", b"\xff.example"), b"\t" * 200]
    else:
        bad = [good[: len(good) // 2], good.replace(b"a.example", b"\xff.example"), b"{]",
               good.replace(b"https:", b"\\ud800https:"), good.replace(b"https:", b"\\u0000https:")]  # fmt: skip
    path = write(tmp_path / f"e{form.suffix}", form, made, [(1 + k, text) for k, text in enumerate(bad)])
    events = hg.read(path, format=form.format)
    heat = hg.run(events)
    assert heat.ledger.rejected["decode"] == len(bad)
    assert heat.ledger.accepted == N
    told = sorted(int(said.removeprefix(f"{path}:").split(":")[0]) for said in events.bad_lines)
    assert told == list(range(2, 2 + len(bad)))


# ---- row 22


@by_form
def test_row_22_times_that_cannot_be_are_rejected_and_counted(form, tmp_path):
    made = records(form)
    if form.record is None:
        times = (0, 253_370_764_800_000)
        for k, value in enumerate(times):
            made[3 + k]["timestamp"] = value
    else:
        times = form.times if form.suffix != ".csv" else form.times[:2]
        for k, value in enumerate(times):
            for path in form.time:
                nested(made[k + 1], path, value)
    heat = hg.run(hg.read(write(tmp_path / f"e{form.suffix}", form, made)))
    assert heat.ledger.rejected == {"time": len(times)}
    assert heat.ledger.accepted == N - len(times)


# ---- row 34


@by_form
def test_row_34_addresses_of_people_are_in_nothing_that_is_kept(form, tmp_path):
    made = records(form)
    if form.page:
        for k in (1, 2):
            nested(made[k], form.page, f"https://a.example/u/{SECRET}/x?token=S3CRET&mail={SECRET}#to={SECRET}")
    path = write(tmp_path / f"e{form.suffix}", form, made)
    assert SECRET in str(made)
    heat = hg.run(path)
    out = tmp_path / "out.parquet"
    assert main(["convert", str(path), "-o", str(out), "-q"]) == 0
    kept = [*heat.features.to_pylist(), *heat.pages.to_pylist(), heat.summary, *pq.read_table(out).to_pylist()]
    said = json.dumps(kept, default=str)
    assert SECRET not in said
    assert "S3CRET" not in said
    if form.page:
        assert ":email" in said
