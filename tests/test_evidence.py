"""What a source declares of itself: what it cannot bear is refused by name with what would unlock it, and the rest is
counted as ever."""

from __future__ import annotations

import json

import numpy as np
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.words.errors import UsageError
from heatgrid.words.evidence import Evidence, evidence_of
from strategies import T0

FLUSH = {"time_quality": "flush:5000"}
PLAN = {
    "maps": ("clicks", "moves"), "transitions": ("pages",), "paths": ("pages",), "funnel": ("pageview", "click"),
    "scroll": True, "friction": ("rage", "rage:source", "thrash", "error", "dead"), "every": "week",
}  # fmt: skip


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "events.parquet"
    write(path, 20_000, seed=5)
    return path


def rows(n=40, **more):
    """One session with a click a second, at x = 0, 1, 2, ..."""
    made = {
        "time": [T0 * 1000 + 1000 * i for i in range(n)], "session": ["s"] * n, "page": ["/"] * n,
        "kind": ["click"] * n, "x": [float(i) for i in range(n)], "y": [0.0] * n,
    }  # fmt: skip
    return made | more


def test_one_time_for_many_rows_refuses_what_needs_their_order(dump, tmp_path):
    whole, flushed = hg.run(hg.read(dump), **PLAN), hg.run(hg.read(dump, evidence=FLUSH), **PLAN)
    off = {"dwell", "visits", "attention", "transitions", "paths", "funnel", "rage:posthog", "thrash", "error"}
    assert off | {"dead:posthog", "rage:source"} == set(flushed.refused)
    assert all("time_quality=flush:5000" in flushed.refused[name] for name in off)
    assert "no rows of kind" in flushed.refused["rage:source"]
    assert set(whole.refused) == {"dead:posthog", "rage:source"}
    for name in ("dwell_ms", "visits", "open_visits", "p50_ms", "p90_ms", "p99_ms"):
        assert flushed.features[name].null_count == flushed.features.num_rows > 0
    for name in ("events", "clicks", "sessions", "views"):
        assert sorted(flushed.pages[name].to_pylist()) == sorted(whole.pages[name].to_pylist())
    assert flushed.map("clicks", page="/").values.tolist() == whole.map("clicks", page="/").values.tolist()
    assert flushed.attention.num_rows == 0
    assert flushed.reach.equals(whole.reach)
    assert flushed.scroll["seen_ms"].null_count == flushed.scroll.num_rows
    for ask in (lambda: flushed.transitions, lambda: flushed.paths, lambda: flushed.funnel, lambda: flushed.drop_offs):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code == "HG1540"
    with pytest.raises(UsageError, match="flush:5000"):
        flushed.matrix(values="dwell_ms")
    flushed.report(tmp_path / "r")
    page = (tmp_path / "r" / "index.html").read_text()
    assert "dwell, visits, attention, transitions, paths, funnel are off" in page
    assert (
        json.loads((tmp_path / "r" / "summary.json").read_text())["summary"]["refused"].keys() == flushed.refused.keys()
    )


def test_the_sources_own_flags_are_kept_with_any_times():
    kinds = ["click", "click", "rageclick", "click"] * 10
    heat = hg.run(hg.read(rows(kind=kinds), evidence=FLUSH), friction=("rage:source", "rage"))
    assert {row["rule"]: row["flagged"] for row in heat.rules.to_pylist()} == {"rage:source": 10, "rage:posthog": None}


def test_the_command_goes_on_and_says_so(dump, tmp_path, capfd):
    options = ["--evidence", "time_quality=flush:5000", "--funnel", "pageview", "--scroll"]
    assert main(["report", str(dump), *options, "-o", str(tmp_path / "r")]) == 0
    assert main(["features", str(dump), *options, "--json", "-q"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert {"dwell", "funnel", "attention"} <= set(told["summary"]["refused"])
    assert main(["funnel", str(dump), *options, "-q"]) == 2
    assert "HG1540" in capfd.readouterr().err
    assert main(["features", str(dump), "--evidence", "time_quality=fush", "-q"]) == 2
    assert "did you mean 'flush'" in capfd.readouterr().err


def test_pointer_rests_are_called_so_and_are_no_way_of_the_pointer():
    heat = hg.run(hg.read(rows(kind=["move"] * 40), evidence={"moves": "rest:500"}), maps="moves", friction="thrash")
    assert set(heat.refused) == {"thrash", "features"}
    assert "moves=rest:500" in heat.refused["thrash"]
    assert heat.map("moves").meta["told"] == "pointer rests >= 500 ms"
    bare = hg.run(rows(kind=["move"] * 40), maps="moves", friction="thrash")
    assert bare.map("moves").meta["told"] is None
    assert set(bare.refused) == {"features"}


def test_cells_are_no_smaller_than_the_quantum_and_begin_where_the_rounding_does():
    xs = [0.0, 16.0, 32.0, -16.0] * 10
    heat = hg.run(hg.read(rows(x=xs, y=[16.0] * 40), evidence={"quantum_px": 16}))
    grid = heat.map("clicks")
    assert heat.plan.cell_size == (16.0, 16.0)
    assert (grid.extent[0], grid.extent[2]) == (-8.0, -8.0)
    assert np.argwhere(grid.values).tolist() == [[1, 0], [1, 1], [1, 2]]
    assert grid.outside == 10
    assert [note for note in heat.summary["notes"] if "16 px" in note]
    larger = hg.run(hg.read(rows(), evidence={"quantum_px": 16}), cell=40, extent=(0, 400, 0, 400))
    assert larger.plan.cell_size == (40.0, 40.0)
    assert larger.plan.extent == (0.0, 400.0, 0.0, 400.0)


def test_what_the_source_does_not_hold_is_refused():
    data = rows(scroll_y=[0.0] * 40, viewport_h=[500.0] * 40)
    heat = hg.run(hg.read(data, evidence={"has": "scroll,viewport"}), scroll=True)
    assert {"views", "scroll", "attention"} <= set(heat.refused)
    assert "has=scroll,viewport,views" in heat.refused["views"]
    assert heat.pages["views"].null_count == 1
    assert heat.pages["dwell_ms"].null_count == 0
    assert heat.scroll.num_rows == 0
    assert not {"views", "scroll", "attention"} & set(hg.run(data, scroll=True).refused)


def test_declared_reactions_stand_for_rows_of_mutation():
    data = rows(kind=["click", "scroll"] * 20)
    for has, off in (("views,reactions", False), ("views", True), (None, True)):
        heat = hg.run(hg.read(data, evidence={"has": has}), friction="dead")
        assert ("dead:posthog" in heat.refused) == off


def test_evidence_stays_with_a_state_and_unlike_ones_do_not_merge(tmp_path):
    other = rows(session=["t"] * 40)
    heats = [hg.run(hg.read(data, evidence=FLUSH)) for data in (rows(), other)]
    heats[0].save(tmp_path / "a.heat")
    loaded = hg.load(tmp_path / "a.heat")
    assert loaded.refused == heats[0].refused != {}
    assert hg.merge([loaded, heats[1]]).refused == heats[0].refused
    with pytest.raises(UsageError) as caught:
        hg.merge([loaded, hg.run(other)])
    assert caught.value.code == "HG1607"


def test_a_sample_is_said_to_be_one():
    heat = hg.run(hg.read(rows(), evidence={"sample_rate": 0.1}))
    assert [note for note in heat.summary["notes"] if note.startswith("a sample of 10 %")]


def test_evidence_is_the_same_as_texts_and_as_a_mapping():
    texts = ["time_quality=ping:10000", "moves=throttle:100", "quantum_px=16", "sample_rate=0.5", "has=scroll, views"]
    told = evidence_of(texts)
    assert told == evidence_of(told.as_dict()) == evidence_of(told)
    assert told == Evidence(
        time_quality="ping", time_ms=10_000, moves="throttle", moves_ms=100, quantum_px=16.0, sample_rate=0.5,
        has=("scroll", "views"),
    )  # fmt: skip
    assert evidence_of(None) == Evidence() == evidence_of({"has": None})


@pytest.mark.parametrize(
    "text",
    ["time_quality=fush", "time_quality=flush", "time_quality=flush:x", "time_quality=event:5", "moves=rest:0",
     "moves=5", "quantum_px=0", "quantum_px=nan", "sample_rate=0", "sample_rate=2", "has=legs", "hsa=scroll", "none"],
)  # fmt: skip
def test_unusable_evidence_is_an_error(text):
    with pytest.raises(UsageError) as caught:
        evidence_of([text])
    assert caught.value.code == "HG1145"


@pytest.mark.parametrize(
    "given", [{"sample_rate": None}, {"quantum_px": [1]}, {"quantum_px": True}, {"has": 5}, {"sample_rate": "all"}]
)
def test_values_of_a_wrong_type_are_told_by_name(given):
    """Fails if they end in a TypeError, or if true is 1 px."""
    with pytest.raises(UsageError) as caught:
        evidence_of(given)
    assert caught.value.code == "HG1145"
    assert caught.value.where == next(iter(given))


def test_a_quality_named_twice_takes_nothing_from_the_first():
    assert evidence_of(["time_quality=flush:5000", "time_quality=event"]) == evidence_of("time_quality=event")
