"""How fast a session goes, and for how long without a rest: what tells bots that do not say that they are one."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.intrinsics import prefetch
from heatgrid.cpu.jit import tight
from heatgrid.cpu.slots import millis

MINUTE = 60_000
END, COUNT, SINCE, LAST = (np.uint64(i) for i in range(4))
"""The end of the minute that the session is in, its rows in it; when its stretch without a gap began, its last row."""
FIELDS = 4
NEW = -(2**63)
AHEAD = np.uint64(12)
FLAGGED = -(2**62)
"""A count of that: the session is a bot, and stays one."""


@tight
def fold(
    order: Any, ready: Any, time: Any, slot: Any, ms_mul: Any, ms_div: Any, gap: Any, most: Any, longest: Any,
    state: Any, firsts: Any,
) -> Any:  # fmt: skip
    """Rows order[:ready]; state: FIELDS for each slot, NEW and zeros for a new session; firsts[slot]: the ms of its
    first row. A session of more than `most` rows in
    a minute of the clock, or of more than `longest` ms without a step of `gap`, is flagged. Returns how many are now
    that were not."""
    last = np.uint64(ready)
    flagged = np.int64(0)
    for k in range(last):
        if k + AHEAD < last:
            far = slot[np.uint64(order[k + AHEAD])]
            prefetch(state, np.uint64(max(far, 0)) * np.uint64(FIELDS))
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        at = np.uint64(slot[i]) * np.uint64(FIELDS)
        ms = millis(time[i], ms_mul, ms_div)
        if ms - state[at + LAST] >= gap:
            state[at + SINCE] = ms
        state[at + LAST] = ms
        if state[at + COUNT] < 0:
            continue
        if ms >= state[at + END]:
            if state[at + END] == NEW:
                firsts[np.uint64(slot[i])] = ms
            state[at + END] = ms - ms % MINUTE + MINUTE
            state[at + COUNT] = 0
        state[at + COUNT] += 1
        if state[at + COUNT] > most or ms - state[at + SINCE] > longest:
            state[at + COUNT] = FLAGGED
            flagged += 1
    return flagged
