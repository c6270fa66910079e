"""A law that every measure of sessions keeps, for the tests of each."""

from __future__ import annotations

from dataclasses import replace

import heatgrid as hg
from heatgrid.engine.memory import Room
from heatgrid.states.store import to_bytes


def check_lanes_and_parts(run, got, data, fields, parts):
    """Every lane, cut and memory gives the same bytes, and parts of the sessions add up to the whole.

    run : (input, fields, **how) -> heat; got : what is compared of a heat whose input was named otherwise.
    """
    fields = fields | {"session_gap": None}
    owner = next(name for name in ("session", "user") if name in data.columns)
    whole = run(data, fields)
    ways = (
        {"order": "any", "block_rows": 5}, {"block_rows": 3, "threads": 1, "max_open": 1},
        {"order": "any", "room": Room(rows=1, leaf_rows=3, batch_rows=8, parts=2)},
    )  # fmt: skip
    for way in ways:
        assert to_bytes(whole.state) == to_bytes(run(data, fields, **way).state), way

    def owner_of(row):
        return row[owner], row.get("tab") if owner == "user" else None

    who = sorted({owner_of(row) for rows in data.files for row in rows}, key=repr)
    pieces = []
    for part in range(parts):
        mine = who[part::parts]
        files = [[row for row in rows if owner_of(row) in mine] for rows in data.files]
        pieces.append(run(replace(data, files=files), fields))
        pieces[-1].state.inputs = []
    assert got(hg.merge(pieces)) == got(whole)
