"""Links to recordings (`replay_url`): a code and a rank for each session that has one, its address kept once.

The rank is the session's hash without its sign; without a session column, where a row may be of any recording of its
user's, that of the address. Of the addresses of a session the first in the order of their letters is kept. What is kept
is bounded (states/links.py): a session beyond the MOST smallest ranks so far can be in no sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.cpu.links import BEYOND, FIRST, REFUSED
from heatgrid.engine.block import Array
from heatgrid.engine.names import as_dictionary, hash_texts, indices_of, run_end_decoded
from heatgrid.states import links as kept

WEB = r"^(?i:https?)://[^\s\p{C}<>\"'`\\]+$"
"""What a page may link to: no javascript:, data: or file:, no blank, no quote, nothing that is not seen."""
MOST_BYTES = 1000
LARGEST = 2**63 - 1


class LinkCodes:
    """by_session : ranks are those of sessions."""

    def __init__(self, by_session: bool) -> None:
        self.by_session = by_session
        self.urls = [""] * FIRST
        """By code; empty where it is not kept any more."""
        self.ranks = np.zeros(FIRST, np.int64)
        self.limit = LARGEST
        """The largest rank that is still looked at."""
        self._codes: dict[int, int] = {}

    def encode(
        self, column: pa.Array | None, wanted: Array, index: Array, lo: Array, out: npt.NDArray[np.int32]
    ) -> None:
        """The code of each wanted row's link; -1 without one. index, lo : of the block's sessions."""
        out[:] = -1
        rows = np.flatnonzero(wanted)
        if column is None or not len(rows):
            return
        if pa.types.is_run_end_encoded(column.type):
            column = run_end_decoded(column)
        encoded = as_dictionary(column.take(pa.array(rows)), "replay_url")
        if not len(encoded.dictionary):
            return
        there = pc.is_valid(encoded.indices).to_numpy(zero_copy_only=False)
        at = np.where(there, indices_of(encoded), 0)
        there &= pc.is_valid(encoded.dictionary).to_numpy(zero_copy_only=False)[at]
        fine = _usable(encoded.dictionary)[at]
        out[rows[there & ~fine]] = REFUSED
        rows, at = rows[there & fine], at[there & fine]
        hashes = lo[index[rows]] if self.by_session else hash_texts(encoded.dictionary)[0][at]
        rank = hashes & LARGEST
        near = rank <= self.limit
        out[rows[~near]] = BEYOND
        rows, at, rank = rows[near], at[near], rank[near]
        distinct, place = np.unique(rank, return_inverse=True)
        codes = self._coded(distinct)
        out[rows] = codes[place]
        texts = encoded.dictionary
        pairs = np.unique(place * len(texts) + at)
        for code, url in zip(
            codes[pairs // len(texts)].tolist(), texts.take(pa.array(pairs % len(texts))).to_pylist(), strict=True
        ):
            if not self.urls[code] or url < self.urls[code]:
                self.urls[code] = url
        if len(self._codes) > 2 * kept.MOST:
            self._let_go()

    def _coded(self, ranks: Array) -> npt.NDArray[np.int32]:
        """Codes of distinct ranks, new ones where they are new."""
        codes, new = np.empty(len(ranks), np.int32), []
        for i, rank in enumerate(ranks.tolist()):
            code = self._codes.get(rank)
            if code is None:
                code = self._codes[rank] = len(self.urls)
                self.urls.append("")
                new.append(rank)
            codes[i] = code
        if new:
            self.ranks = np.concatenate([self.ranks, np.array(new, np.int64)])
        return codes

    def _let_go(self) -> None:
        """Forget the sessions of the larger ranks."""
        self.limit = sorted(self._codes)[kept.MOST - 1]
        for rank in [rank for rank in self._codes if rank > self.limit]:
            self.urls[self._codes.pop(rank)] = ""


def _usable(urls: pa.Array) -> npt.NDArray[np.bool_]:
    short = pc.less_equal(pc.binary_length(urls), MOST_BYTES)
    fine = pc.fill_null(pc.and_(short, pc.match_substring_regex(urls, WEB)), False)
    found: npt.NDArray[np.bool_] = fine.to_numpy(zero_copy_only=False)
    return found
