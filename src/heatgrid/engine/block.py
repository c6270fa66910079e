"""A block: some ten thousand rows as plain arrays that stay in cache while every measure sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DTYPES: dict[str, type] = {
    "time": np.int64, "seq": np.int64, "rank": np.int64, "slot": np.int32, "run": np.int32, "view_row": np.int32,
    "dwell": np.int32, "flags": np.uint8, "bucket": np.int32, "kind": np.int32, "page": np.int32,
    "feature": np.int32, "segment": np.int32, "period": np.int32, "cohort": np.int32, "pointer": np.int32,
    "replay": np.int32,
    "fixed": np.uint8,
    "tab": np.int64, "view": np.int64, "event": np.int64, "user_lo": np.int64, "user_hi": np.int64,
    "session_lo": np.int64, "session_hi": np.int64, "weight": np.int64, "x": np.float64, "y": np.float64,
    "width": np.float64, "height": np.float64, "page_h": np.float64, "scroll": np.float64,
    "box_x": np.float64, "box_y": np.float64, "box_w": np.float64, "box_h": np.float64,
}  # fmt: skip


@dataclass
class Block:
    """Arrays of ``lead + n`` rows; the first ``lead`` are for rows held back from the block before.

    An absent column is an array of length 0. ``index`` (n rows) with ``lo, hi`` names each row's session;
    ``ok`` is 0 for rejected rows. ``read`` counts the rows of the input up to the block's end.
    """

    n: int
    lead: int
    columns: dict[str, Array]
    ok: npt.NDArray[np.uint8]
    index: npt.NDArray[np.int32]
    lo: npt.NDArray[np.int64]
    hi: npt.NDArray[np.int64]
    read: int = 0

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def set_lead(self, lead: int) -> None:
        """Leave room for so many rows: a block is made before it is known how many the one before holds back."""
        for name, column in self.columns.items():
            if len(column) and lead <= self.lead:
                self.columns[name] = column[self.lead - lead :]
            elif len(column):
                self.columns[name] = np.empty(lead + self.n, column.dtype)
                self.columns[name][lead:] = column[self.lead :]
        self.lead = lead

    @property
    def rows(self) -> int:
        return self.lead + self.n


@dataclass
class Buffers:
    """Arrays used again for each block, so that they stay in cache and cost no page faults."""

    kept: dict[str, Array] = field(default_factory=dict)

    def take(self, name: str, rows: int) -> Array:
        have = self.kept.get(name)
        if have is None or len(have) < rows:
            have = self.kept[name] = np.empty(max(rows, 1024) * 5 // 4, DTYPES[name])
        return have[:rows]


def absent(name: str) -> Array:
    return np.empty(0, DTYPES[name])
