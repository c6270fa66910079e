"""Links of places as a table: which recordings show a click there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from heatgrid.states.links import LINKS, SIDE
from heatgrid.states.state import State, row_order
from heatgrid.words.plan import BUCKETS


def missing(state: State) -> str | None:
    """Why there is none, where a source has links."""
    if "replay_url" not in state.has or not state.plan.links or "clicks" not in state.plan.maps:
        return None
    if state.plan.min_sessions > 1:
        return f"a link shows one session, and what fewer than {state.plan.min_sessions} do is withheld (min_sessions)"
    return None


def links_table(state: State) -> pa.Table:
    """One row a place and session: page, bucket, fixed, x0, x1, y0, y1 (px of the page, half-open), replay_url; of a
    place the sessions in the order of their ranks. Empty where no link was mapped."""
    table = state.tables.get(LINKS)
    keys = np.zeros((0, 7), np.int64) if table is None else table.keys
    keys = keys[row_order(keys[:, [0, 2, 3, 4, 5, 6]])]
    x0, _, y0, _ = state.plan.bounds
    wide, high = (SIDE * size for size in state.plan.cell_size)
    x, y = x0 + keys[:, 5] * wide, y0 + keys[:, 4] * high
    names = {dim: np.array(state.names.get(dim, []), object) for dim in ("page", "replay")}
    return pa.table({
        "page": pa.array(names["page"][keys[:, 0]] if len(keys) else [], pa.string()),
        "bucket": pa.array(np.array(BUCKETS, object)[keys[:, 3]], pa.string()),
        "fixed": pa.array(keys[:, 2] == 1),
        "x0": pa.array(x), "x1": pa.array(x + wide), "y0": pa.array(y), "y1": pa.array(y + high),
        "replay_url": pa.array(names["replay"][keys[:, 1]] if len(keys) else [], pa.string()),
    })  # fmt: skip
