"""Links of places: a sample of sessions that is the same for any order, cut or merge of their rows.

A session's rank is a part of its hash. Of the sessions with a link those of the MOST smallest ranks are looked at, and
of these each area keeps the KEPT smallest that clicked in it: both are so of a union if they are so of its parts.
"""

from __future__ import annotations

import numpy as np

from heatgrid.states.state import Ints, State, row_order

LINKS, SAMPLE = "links", "link_sessions"
"""Tables: (page, link, fixed, bucket, area's row and column, rank), and (rank) of the sessions looked at."""
MOST = 1 << 15
"""Addresses of up to 1,000 bytes: 5 MB of usual ones; twice as many while they are read."""
KEPT = 4
SIDE = 4
"""Cells on a side of an area."""


def farthest(ranks: Ints) -> int:
    """The largest rank that is looked at; ranks : of all sessions, sorted."""
    return int(ranks[MOST - 1]) if len(ranks) > MOST else 2**63 - 1


def trim(state: State) -> None:
    """Make a sample again of what two parts have added up to. Rows beyond have no count from now on."""
    sample, links = state.tables.get(SAMPLE), state.tables.get(LINKS)
    if sample is None or links is None:
        return
    ranks = sample.keys[:, -1]
    most = farthest(np.sort(ranks))
    sample.values[:] = (ranks <= most)[:, None]
    # pages first: all but the link, whose code says nothing of its rank
    keys = np.delete(links.keys, 1, axis=1)
    order = row_order(keys)
    places = keys[order, :-1]
    begins = np.flatnonzero(np.r_[True, (places[1:] != places[:-1]).any(axis=1)]) if len(order) else order
    nth = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    links.values[order] = ((nth < KEPT) & (keys[order, -1] <= most))[:, None]
