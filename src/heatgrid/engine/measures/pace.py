"""Sessions that no person makes: more than 1,000 events in a minute, or more than 12 h without a gap.

Their ids are what a run learns by this, and when the others began and ended; nothing is counted. What the bots' rows
count is taken out when the run is over (lanes.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import pace
from heatgrid.engine.block import Array, Block
from heatgrid.engine.crew import Crew, Member
from heatgrid.engine.direct import Direct
from heatgrid.engine.sessions import Sessions
from heatgrid.engine.workers import MEASURES, Lane
from heatgrid.states.subtract import holds

MOST, LONGEST = 1000, 12 * 3_600_000
"""Events in a minute of the clock; ms."""
REST = 30 * 60_000
"""A step that ends a stretch, where the plan has no session_gap."""


ENDS = 32
"""Sessions that are remembered for their first or last row: who is a bot among them is known at the end."""
NOBODY = np.zeros((0, 2), np.int64)


class Pace:
    """40 bytes for each open session."""

    def __init__(self, ms: tuple[int, int], gap: int) -> None:
        self._ms, self._gap = ms, gap or REST
        self._state = _new(0)
        self._first = np.zeros(0, np.int64)
        self._ends = [np.zeros((0, 3), np.int64)] * 2
        """(ms, lo, hi) of the sessions, no bots then, that began first and of those that ended last, these as -ms."""
        self._found: list[Array] = []
        self._early: list[Array] = []

    def resize(self, slots: int, runs: int, views: int) -> None:
        larger = _new(slots)
        larger[: len(self._state)] = self._state
        self._state = larger
        self._first = np.concatenate([self._first, np.zeros(slots - len(self._first), np.int64)])

    def fold(self, block: Block, order: Array, ready: int) -> bool:
        """Whether some are found out."""
        c = block.columns
        state, first = self._state.ravel(), self._first
        return bool(pace.fold(order, ready, c["time"], c["slot"], *self._ms, self._gap, MOST, LONGEST, state, first))

    def fold_and_tell(self, block: Block, order: Array, ready: int) -> None:
        """Who is found out is told at once, by the ids of the block's rows: slots may have been given to others since.
        One that only has rows there that were held back is told when it ends."""
        if not self.fold(block, order, ready):
            return
        new = np.flatnonzero(self._state[:, int(pace.COUNT)] == pace.FLAGGED)
        self._state[new, int(pace.COUNT)] += 1
        rows = np.flatnonzero(np.isin(block["slot"][block.lead :], new))
        at = np.unique(block.index[rows])
        self._early.append(np.column_stack([block.lo[at], block.hi[at]]))

    def early(self) -> npt.NDArray[np.int64]:
        """Ids of some of what has been found out since this was asked before."""
        told, self._early = self._early, []
        return np.concatenate([NOBODY, *told])

    def close(self, slots: Array, ids: Array) -> None:
        flagged = self._state[slots, int(pace.COUNT)] < 0
        if flagged.any():
            self._found.append(ids[flagged])
        own = np.flatnonzero(~flagged)
        some = slots[own]
        for which, ms in enumerate((self._first[some], -self._state[some, int(pace.LAST)])):
            ends = self._ends[which]
            near = np.flatnonzero(ms < ends[-1, 0]) if len(ends) == ENDS else np.arange(len(ms))
            if len(near) > ENDS:
                near = near[np.argpartition(ms[near], ENDS)[:ENDS]]
            ends = np.concatenate([ends, np.column_stack([ms[near], ids[own[near]]])])
            self._ends[which] = ends[np.argsort(ends[:, 0], kind="stable")[:ENDS]]
        self._state[slots] = _new(1)[0]

    def bounds(self, bots: Array) -> tuple[int, int] | None:
        """First and last ms of closed sessions but for those of the bots; None where all that are remembered are."""
        found = []
        for ends in self._ends:
            left = ends[~holds(bots, ends[:, 1], ends[:, 2])]
            if not len(left) and len(ends) == ENDS:
                return None
            found.append(int(left[0, 0]) if len(left) else 2**62)
        return found[0], -found[1]

    def found(self) -> npt.NDArray[np.int64]:
        """The ids of what it has found among closed sessions, (n, 2), each once."""
        return np.unique(np.concatenate([NOBODY, *self._found]), axis=0)


def _new(slots: int) -> npt.NDArray[np.int64]:
    state = np.zeros((slots, pace.FIELDS), np.int64)
    state[:, int(pace.END)] = pace.NEW
    return state


class Watch(Member[Pace]):
    """Its place in the crew: at the end of sessions their ids are told, which stand in their slots until then."""

    def __init__(self, measure: Pace, crew: Crew, lane: Lane, sessions: Sessions | Direct) -> None:
        super().__init__(measure, crew, lane)
        self._sessions = sessions

    @classmethod
    def hired(cls, measure: Pace, crew: Crew, sessions: Sessions | Direct) -> Watch:
        return cls(measure, crew, crew.lane(MEASURES), sessions)

    def close(self, slots: Array, runs: Array, views: Array, view_sessions: Array) -> None:
        self.tell(self.measure.close, slots, self._sessions.ids_of(slots))
