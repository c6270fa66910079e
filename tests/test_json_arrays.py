"""JSON arrays are read as JSON lines are, objects within objects by their paths."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from heatgrid.cpu.elements import to_lines
from heatgrid.sources import open_events, streams
from heatgrid.sources.stdin import open_stdin
from heatgrid.words.errors import InputError

NOON = 1_714_564_800_000
N = 300


def events(n: int = N) -> list[dict[str, Any]]:
    return [
        {"ts": NOON + 1000 * i, "user": {"id": f"u{i % 3}"}, "event": {"type": "click", "at": {"pageX": i, "pageY": 7}},
         "params": {"page_location": f"/a,b]/{i % 2}?q=\"[1]\""}, "note": 'a "quoted", [bracket] \\ and {brace}\u2028'}
        for i in range(n)
    ]  # fmt: skip


def answer(path: Path, **options: Any) -> dict[str, Any]:
    heat = hg.run(hg.read(path, **options))
    return {"kinds": heat.summary["kinds"], "sessions": heat.summary["sessions"], "ledger": heat.ledger.as_dict(),
            "pages": heat.pages.to_pylist(), "map": heat.map(page="/a,b]/:id").values.tolist()}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [64, 1000, 1 << 20])
def test_an_array_gives_what_its_lines_give(
    indent: int | None, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, array, packed = tmp_path / "a.ndjson", tmp_path / "b.json", tmp_path / "c.json.gz"
    lines.write_text("".join(json.dumps(one) + "\n" for one in events()))
    text = json.dumps(events(), indent=indent, ensure_ascii=False)
    array.write_text("\ufeff \n" + text + "\n", encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    want = answer(lines)
    assert want["kinds"] == {"click": N}
    assert want["sessions"] == 3
    monkeypatch.setattr(streams.blocks, "__kwdefaults__", {"size": size})
    assert answer(array) == answer(packed) == want


def test_fields_are_found_and_named_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(events()))
    assert open_events(path).columns == {
        "time": "ts", "user": "user.id", "page": "params.page_location", "kind": "event.type", "x": "event.at.pageX",
        "y": "event.at.pageY",
    }  # fmt: skip
    assert open_events(path, map={"page": "note"}).columns["page"] == "note"
    with pytest.raises(InputError, match="did you mean 'params\\.page_location'"):
        open_events(path, map={"page": "params.location"})


def test_a_broken_element_is_counted_with_its_number(tmp_path: Path) -> None:
    rows = [json.dumps(one) for one in events(9)]
    rows[4] = '{"ts": 1714564800000, "user": nonsense}'
    path = tmp_path / "a.json"
    path.write_text("[" + ",\n".join(rows) + "]")
    heat = hg.run(hg.read(path))
    assert (heat.ledger.accepted, heat.ledger.rejected) == (8, {"decode": 1})
    assert [note for note in heat.summary["notes"] if "a.json:5: not JSON" in note]


def test_an_array_on_a_pipe_and_an_empty_one() -> None:
    pipe = open_stdin("auto", io.BytesIO(json.dumps(events(5)).encode()))
    assert "user" in pipe.schema.names
    assert not open_stdin("ndjson", io.BytesIO(b" [ ] ")).schema.names


def test_an_array_of_what_are_no_objects_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="JSON array"):
        open_events(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a,"[]{}\\\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"]', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text("ab,", max_size=2), VALUES, max_size=3), max_size=5),
    indent=st.sampled_from([None, 1]),
    seed=st.integers(0, 999),
)
def test_elements_are_lines_however_the_bytes_are_cut(rows: list[Any], indent: int | None, seed: int) -> None:
    data = np.frombuffer(json.dumps(rows, indent=indent).encode(), np.uint8).copy()
    state = np.zeros(4, np.int64)
    rng, at = random.Random(seed), 0
    while at < len(data):
        step = rng.randint(1, 9)
        to_lines(data[at : at + step], state)
        at += step
    lines = [line for line in data.tobytes().split(b"\n") if line.strip()]
    assert [json.loads(line) for line in lines] == rows
