"""Groups of rows: the segment, the period, or both, as one code."""

from __future__ import annotations

import numpy as np

from heatgrid.engine.block import Array, Block
from heatgrid.engine.pairs import Pairs


class Groups:
    """extra : the block columns (segment, period) that split a measure; none: all is one group."""

    def __init__(self, extra: tuple[str, ...]) -> None:
        self.extra = extra
        self._pairs = [Pairs() for _ in extra[1:]]

    def encode(self, block: Block) -> Array:
        """The group of each row, -1 where it has none; of length 0 where all are of one."""
        codes = block[self.extra[0]] if self.extra else np.empty(0, np.int32)
        for pairs, name in zip(self._pairs, self.extra[1:], strict=True):
            out = np.empty(block.rows, np.int32)
            pairs.encode(codes, block[name], out)
            codes = out
        return codes

    def dims(self, names: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The dimensions behind a group."""
        return tuple(dim for name in self.extra for dim in names[name])

    def keys(self, groups: Array, decode: dict[str, Array]) -> Array:
        """(n, dims) codes of groups; decode : the codes behind one of a column, where they are several."""
        columns: list[Array] = []
        codes = groups.astype(np.int64)
        for pairs, name in zip(reversed(self._pairs), reversed(self.extra[1:]), strict=True):
            before, code = pairs.parts()
            columns.insert(0, _decoded(code[codes], decode.get(name)))
            codes = before[codes]
        if self.extra:
            columns.insert(0, _decoded(codes, decode.get(self.extra[0])))
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(groups), 0), np.int64)


def _decoded(codes: Array, table: Array | None) -> Array:
    return codes[:, None] if table is None else table[codes]
