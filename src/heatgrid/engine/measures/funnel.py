"""The funnel: how far sessions come through its steps within the window, how long they take, where the others go."""

from __future__ import annotations

import numpy as np

from heatgrid.cpu import funnel, histogram
from heatgrid.engine.block import Array, Block
from heatgrid.engine.encode import Encoder
from heatgrid.states.state import FUNNEL_FIELDS, Table
from heatgrid.words.plan import Plan


class Funnel:
    """A session keeps 64 bytes and 16 for each step."""

    def __init__(self, plan: Plan, encoder: Encoder, ms: tuple[int, int]) -> None:
        self.steps = len(plan.funnel_steps)
        window = plan.funnel_window_ms * encoder.ticks // 1000
        strict = ("order" in plan.strict, "increase" in plan.strict)
        self._rule = (self.steps, window, *strict, *ms)
        self._click = encoder.kinds.code("click")
        self._of = encoder.funnel_codes
        self._rows = np.zeros((0, funnel.CHAINS + 2 * self.steps), np.int64)
        self._fields = np.zeros((self.steps, funnel.FIELDS), np.int64)
        self._directory = np.full((self.steps, histogram.OCTAVES), -1, np.int32)
        self._buckets = np.zeros((64, histogram.WIDTH), np.int64)
        self._used = np.zeros(1, np.int64)
        self._pages = np.zeros((self.steps, 64), np.int64)
        self._features = np.zeros((self.steps, 64), np.int64)

    def resize(self, slots: int, runs: int, views: int) -> None:
        rows = np.zeros((slots, self._rows.shape[1]), np.int64)
        funnel.clear_all(rows)
        rows[: len(self._rows)] = self._rows
        self._rows = rows

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        self._pages = _wide_enough(self._pages, int(c["page"].max(initial=0)))
        self._features = _wide_enough(self._features, int(c["feature"].max(initial=0)))
        at = 0
        while True:
            at = funnel.fold(
                order, at, ready, c["slot"], c["time"], c["flags"], c["kind"], c["page"], c["feature"], *self._of,
                self._click, *self._rule, self._rows, self._fields, self._directory, self._buckets, self._used,
            )  # fmt: skip
            if at >= ready:
                return
            self._grow()

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        at = 0
        while True:
            at = funnel.close(
                at, slots, *self._rule, self._rows, self._fields, self._directory, self._buckets, self._used,
                self._pages, self._features,
            )  # fmt: skip
            if at >= len(slots):
                return
            self._grow()

    def _grow(self) -> None:
        self._buckets = np.concatenate([self._buckets, np.zeros_like(self._buckets)])

    def tables(self) -> dict[str, Table]:
        steps, octaves = np.nonzero(self._directory >= 0)
        buckets = self._buckets[self._directory[steps, octaves]]
        entry, sub = np.nonzero(buckets)
        entries = [steps[entry], octaves[entry] * histogram.WIDTH + sub, buckets[entry, sub]]
        made = {
            "funnel": Table(
                (), FUNNEL_FIELDS, np.arange(self.steps)[:, None], self._fields.copy(), np.column_stack(entries)
            )
        }
        for thing, counts in (("page", self._pages), ("feature", self._features)):
            step, code = np.nonzero(counts)
            keys = np.column_stack([code, step])
            made[f"funnel|{thing}"] = Table(
                (thing,), ("sessions",), keys, counts[step, code][:, None], np.zeros((0, 3), np.int64)
            )
        return made


def _wide_enough(counts: Array, code: int) -> Array:
    if code < counts.shape[1]:
        return counts
    wider = np.zeros((len(counts), max(code + 1, 2 * counts.shape[1])), np.int64)
    wider[:, : counts.shape[1]] = counts
    return wider
