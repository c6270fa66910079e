"""The layout of pages as a table: the median box of each feature, as areas are written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.engine.finish import UNLOCK
from heatgrid.engine.measures.layout import BOX
from heatgrid.states.state import Ints, State
from heatgrid.words.errors import UsageError
from heatgrid.words.plan import BUCKET_EDGES

TYPES = {
    "name": pa.string(), "x0": pa.int64(), "x1": pa.int64(), "y0": pa.int64(), "y1": pa.int64(), "page": pa.string(),
    "min_width": pa.int64(), "max_width": pa.int64(), "rows": pa.int64(),
}  # fmt: skip


def missing(state: State) -> str | None:
    """What a source lacks for a layout, with what would unlock it."""
    lacking = [name for name in ("feature", *BOX) if name not in state.has]
    if lacking:
        return f"no column for {' and '.join(lacking)} ({' '.join(f'--map {name}=COLUMN' for name in lacking)})"
    return f"no sessions: {UNLOCK}" if state.session_ids is None else None


def layout_table(state: State) -> pa.Table:
    """One row a page, feature and width bucket: name, x0, x1, y0, y1 (px of the page, half-open), page, min_width,
    max_width, and the rows that it is the median of (of each number by itself, nearest rank).

    Errors: UsageError HG1530 (the plan gathers none), HG1531 (the source has no boxes).
    """
    if not state.plan.gathers:
        raise UsageError(
            "the plan gathers no layout", code="HG1530", where="layout", hint="layout=True in the plan, heatgrid layout"
        )
    why = missing(state)
    if why is not None:
        raise UsageError("the source holds no boxes", code="HG1531", where="layout", value=why)
    table = state.tables["layout"]
    rows = []
    for box in _groups(table.keys[:, :3]):
        keys, counts = table.keys[box], table.values[box, 0]
        sides = [_median(keys[keys[:, 3] == side, 4], counts[keys[:, 3] == side]) for side in range(len(BOX))]
        page, feature, bucket = keys[0, :3].tolist()
        edges = (None, *BUCKET_EDGES, None)
        low, high = (edges[bucket], edges[bucket + 1]) if bucket <= len(BUCKET_EDGES) else (None, None)
        x, y, width, height = sides
        rows.append({
            "name": state.names["feature"][feature], "x0": x, "x1": x + width, "y0": y, "y1": y + height,
            "page": state.names["page"][page], "min_width": low, "max_width": high,
            "rows": int(counts[keys[:, 3] == 0].sum()),
        })  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema(list(TYPES.items())))


def _groups(keys: Ints) -> list[npt.NDArray[np.intp]]:
    """Runs of equal rows: those of a state are sorted."""
    if not len(keys):
        return []
    return np.split(np.arange(len(keys)), np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1)


def _median(px: Ints, counts: Ints) -> int:
    """Of values, ascending, with their counts."""
    upto = np.cumsum(counts)
    return int(px[np.searchsorted(upto, (int(upto[-1]) + 1) // 2)])
