"""Layouts: the median box of each feature by page and width, as areas that another run can take."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median_low

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import heatgrid as hg
from answers import run_engine
from heatgrid.cli import main
from heatgrid.words.areas import Area, load_areas
from heatgrid.words.errors import UsageError
from oracle import sessions
from strategies import T0, event_files, shapes

FOUND = [Phase.explicit, Phase.reuse, Phase.generate]
EXAMPLES = settings(max_examples=40, deadline=None, phases=FOUND, suppress_health_check=list(HealthCheck))
BOX = ("box_x", "box_y", "box_w", "box_h")
WIDTHS = {"0-600": (None, 600), "600-1024": (600, 1024), "1024-1440": (1024, 1440), "1440+": (1440, None),
          "unknown": (None, None)}  # fmt: skip


def boxes_of(data) -> dict:
    """{(name, page, widths): (x0, x1, y0, y1, rows)} in plain Python."""
    found, told = {}, {}
    result = sessions.resolve(data.files, {}, unit=data.unit, columns=data.columns)
    for event in result["events"]:
        view = told.setdefault(id(event["view"]), {"width": None})
        if view["width"] is None:
            view["width"] = event["width"]
        box = [event["row"].get(name) for name in BOX]
        known = view["width"] is not None or "viewport_w" not in data.columns
        if event["feature"] is None or event["fixed"] or not known:
            continue
        if all(sessions.finite(v) and abs(v // 1) < 2**20 for v in box) and box[2] >= 1 and box[3] >= 1:
            key = (event["feature"], event["page_key"], sessions.bucket_of(view["width"]))
            found.setdefault(key, []).append([int(v // 1) for v in box])
    out = {}
    for (name, page, bucket), all_of in found.items():
        x, y, w, h = (median_low(side) for side in zip(*all_of, strict=True))
        out[name, page, WIDTHS[bucket]] = (x, x + w, y, y + h, len(all_of))
    return out


def table_of(heat) -> dict:
    return {
        (row["name"], row["page"], (row["min_width"], row["max_width"])): (
            row["x0"], row["x1"], row["y0"], row["y1"], row["rows"],
        )
        for row in heat.layout.to_pylist()
    }  # fmt: skip


@EXAMPLES
@given(
    data=event_files(ids="session"), rng=st.randoms(use_true_random=False), shape=shapes(),
    block_rows=st.sampled_from((1, 3, 131_072)), order=st.sampled_from(("auto", "any")),
)  # fmt: skip
def test_boxes_are_medians_by_page_feature_and_width(data, rng, shape, block_rows, order):
    for rows in data.files:
        for row in rows:
            row |= {name: rng.choice((0.0, 4.5, -3.25, 9.0, 120.0, None, 1e300, float("nan"))) for name in BOX}
    data = replace(data, columns=tuple(sorted({*data.columns, "feature", *BOX})))
    for rows in data.files:
        for row in rows:
            row.setdefault("feature", rng.choice(("F", None)))
    fields = {"layout": True, "maps": (), "tables": ()}
    heat = run_engine(data, fields, shape, block_rows=block_rows, order=order)
    heat.ledger.check()
    assert table_of(heat) == boxes_of(data)
    whole = hg.merge([heat, run_engine(replace(data, files=[[]]), fields)])
    assert table_of(whole) == table_of(heat)


def rows(n=31, **more):
    made = {
        "time": [T0 * 1000 + i for i in range(n)], "session": ["s"] * n, "page": ["/"] * n, "kind": ["click"] * n,
        "feature": ["Buy now"] * n, "x": [15.0] * n, "y": [25.0] * n, "viewport_w": [1440.0] * n,
        "box_x": [10.0] * n, "box_y": [float(20 + i % 3) for i in range(n)], "box_w": [100.0] * n, "box_h": [40.0] * n,
    }  # fmt: skip
    return made | more


@pytest.mark.parametrize("name", ["layout.toml", "layout.csv"])
def test_the_file_is_what_areas_reads(tmp_path, name, capfd):
    data = rows(feature=['Buy "now"\x7f é', "+Sign", None] * 10 + [None]) if name.endswith("toml") else rows()
    lines = [json.dumps({column: data[column][i] for column in data}) for i in range(31)]
    (tmp_path / "e.ndjson").write_text("\n".join(lines))
    assert main(["layout", str(tmp_path / "e.ndjson"), "-q", "-o", str(tmp_path / name)]) == 0
    areas = load_areas(tmp_path / name)
    if name.endswith("csv"):
        assert areas == (Area("Buy now", 10.0, 110.0, 21.0, 61.0, page="/", min_width=1440.0),)
    else:
        assert {area.name for area in areas} == {'Buy "now"\x7f é', "+Sign"}
    del data["feature"]
    heat = hg.run(data, areas=str(tmp_path / name))
    assert set(heat.features["feature"].to_pylist()) <= {area.name for area in areas}
    assert heat.features.num_rows > 0


def test_what_lacks_is_named(capfd):
    data = rows()
    for name in ("box_w", "feature"):
        lacking = {column: values for column, values in data.items() if column != name}
        heat = hg.run(lacking, layout=True)
        assert f"--map {name}=COLUMN" in heat.refused["layout"]
        assert heat.pages.num_rows == 1
        with pytest.raises(UsageError) as caught:
            _ = heat.layout
        assert caught.value.code == "HG1531"
    with pytest.raises(UsageError) as caught:
        _ = hg.run(data).layout
    assert caught.value.code == "HG1530"


def test_boxes_of_fixed_targets_are_not_in_the_page():
    heat = hg.run(rows(fixed=[True] * 30 + [False]), layout=True)
    assert heat.layout["rows"].to_pylist() == [1]
