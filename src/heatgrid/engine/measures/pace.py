"""Sessions that no person makes: more than 1,000 events in a minute, or more than 12 h without a gap.

Their ids are what a run learns by this; nothing is counted. A second run leaves their rows out (lanes.py).
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

MOST, LONGEST = 1000, 12 * 3_600_000
"""Events in a minute of the clock; ms."""
REST = 30 * 60_000
"""A step that ends a stretch, where the plan has no session_gap."""


class Pace:
    """32 bytes for each open session."""

    def __init__(self, ms: tuple[int, int], gap: int) -> None:
        self._ms, self._gap = ms, gap or REST
        self._state = np.zeros((0, pace.FIELDS), np.int64)
        self._found: list[Array] = []
        self.some = False
        """One at least is found, be it still open."""

    def resize(self, slots: int, runs: int, views: int) -> None:
        larger = np.zeros((slots, pace.FIELDS), np.int64)
        larger[: len(self._state)] = self._state
        self._state = larger

    def fold(self, block: Block, order: Array, ready: int) -> None:
        c = block.columns
        flat = self._state.ravel()
        if pace.fold(order, ready, c["time"], c["slot"], *self._ms, self._gap, MOST, LONGEST, flat):
            self.some = True

    def close(self, slots: Array, ids: Array) -> None:
        flagged = self._state[slots, int(pace.COUNT)] < 0
        if flagged.any():
            self._found.append(ids[flagged])
        self._state[slots] = 0

    def found(self) -> npt.NDArray[np.int64]:
        """The ids of what it has found among closed sessions, (n, 2), each once."""
        return np.unique(np.concatenate([np.zeros((0, 2), np.int64), *self._found]), axis=0)


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
