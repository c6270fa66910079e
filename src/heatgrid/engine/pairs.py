"""Dense ids of pairs of codes, with room that grows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import pairs


class Pairs:
    """``encode`` gives each pair (a, b) an id in the order of first sight; ``parts`` gives the pairs back."""

    def __init__(self) -> None:
        self._table = np.full(64, -1, np.int32)
        self._keys = np.empty(32, np.int64)
        self._count = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return int(self._count[0])

    def encode(self, a: npt.NDArray[np.int32], b: npt.NDArray[np.int32], out: npt.NDArray[np.int32]) -> None:
        """A negative code on either side gives -1."""
        start = 0
        while (start := pairs.pair_ids(a, b, start, self._table, self._keys, self._count, out)) < len(a):
            keys = np.empty(len(self._keys) * 2, np.int64)
            keys[: len(self._keys)] = self._keys
            self._keys = keys
            self._table = np.full(len(self._table) * 2, -1, np.int32)
            pairs.rebuild(self._table, self._keys, len(self))

    def parts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(a, b) by id."""
        keys = self._keys[: len(self)]
        return keys >> 32, keys & 0xFFFFFFFF


class PairCounts:
    """How often each pair came; pairs with a negative code are not counted."""

    def __init__(self) -> None:
        self.pairs = Pairs()
        self.counts = np.zeros(0, np.int64)

    def add(self, a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> None:
        ids = np.empty(len(a), np.int32)
        self.pairs.encode(a, b, ids)
        counts = np.bincount(ids[ids >= 0], minlength=len(self.pairs))
        counts[: len(self.counts)] += self.counts
        self.counts = counts
