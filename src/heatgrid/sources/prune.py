"""Which outcomes a where predicate can have on rows known only by their statistics; never too few of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.layouts import bare, is_text
from heatgrid.sources.predicate import And, Compare, Constant, In, IsNull, Leaf, Node, Not, Or
from heatgrid.sources.where import Where

Outcomes = frozenset[bool | None]
ANY: Outcomes = frozenset((True, False, None))


@dataclass(frozen=True)
class Bounds:
    """Statistics of one column in some rows: its ends (two values, as delivered) and its nulls."""

    ends: pa.Array | None
    nulls: int | None
    rows: int


def can_be_true(where: Where, bounds: Mapping[str, Bounds], *, loose: bool = False) -> bool:
    """False only if no row with these statistics can satisfy the predicate."""
    return True in _Pruner(where, bounds, loose).node(where.tree)


class _Pruner:
    def __init__(self, where: Where, bounds: Mapping[str, Bounds], loose: bool) -> None:
        self.where = where
        self.bounds = bounds
        self.loose = loose

    def node(self, node: Node) -> Outcomes:
        if isinstance(node, Constant):
            return frozenset((node.value,))
        if isinstance(node, Not):
            return frozenset(None if o is None else not o for o in self.node(node.inner))
        if isinstance(node, And):
            return frozenset(_and(a, b) for a in self.node(node.left) for b in self.node(node.right))
        if isinstance(node, Or):
            return frozenset(_or(a, b) for a in self.node(node.left) for b in self.node(node.right))
        return self.leaf(node)

    def leaf(self, leaf: Leaf) -> Outcomes:
        bound = self.bounds.get(self.where.paths[leaf.column])
        if bound is None:
            return ANY
        if isinstance(leaf, IsNull):
            if bound.nulls == 0:
                return frozenset((False,))
            return frozenset((True,)) if bound.nulls == bound.rows else frozenset((True, False))
        nulls: Outcomes = frozenset() if bound.nulls == 0 else frozenset((None,))
        if bound.nulls == bound.rows:
            return nulls
        if bound.ends is None or not isinstance(leaf, Compare | In):
            return frozenset((True, False)) | nulls
        if isinstance(leaf, Compare):
            return self.compare(leaf, bound.ends) | nulls
        tests = [self.compare(Compare(leaf.column, "=", value, leaf.at), bound.ends) for value in leaf.values]
        if leaf.has_null:
            nulls = frozenset((None,))
        if any(True in test for test in tests):
            return frozenset((True, False)) | nulls
        return frozenset((False,)) | nulls

    def compare(self, leaf: Compare, ends: pa.Array) -> Outcomes:
        """The outcomes between two ends; texts keep ``false``, floats also what a NaN would give."""
        below = bare(ends.type)
        ask = Where(self.where.source, leaf, self.where.paths, self.where.tz)

        def answers(op: str) -> tuple[bool, bool]:
            test = Compare(leaf.column, op, leaf.value, leaf.at)
            ask_one = Where(ask.source, test, ask.paths, ask.tz)
            mask = ask_one.mask({ask.paths[leaf.column]: ends}, 2, loose=self.loose)
            return bool(mask[0].as_py()), bool(mask[1].as_py())

        if leaf.op in ("=", "!="):
            low_above, _ = answers(">")
            _, high_below = answers("<")
            possible = not low_above and not high_below
            surely = all(answers("=")) and not is_text(below)
            equal = {True, False} if possible and not surely else {True} if possible else {False}
            outcomes = equal if leaf.op == "=" else {not o for o in equal}
        else:
            outcomes = set(answers(leaf.op))
        if is_text(below):
            outcomes.add(False)
        if pa.types.is_floating(below):
            outcomes.add(leaf.op == "!=")
        return frozenset(outcomes)


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def ends_of(low: object, high: object, kind: pa.DataType) -> pa.Array | None:
    """Two ends as an array of the column's own type; None where they are of no use."""
    kind = bare(kind)
    if low is None or high is None or any(isinstance(end, float) and math.isnan(end) for end in (low, high)):
        return None
    usable = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date(kind)
        or is_text(kind)
    )
    if not usable or pa.types.is_float16(kind):
        return None
    try:
        ends = pa.array([low, high], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeDecodeError):
        return None
    return ends if pc.less_equal(ends[0], ends[1]).as_py() else None


def ends_of_bytes(low: bytes, high: bytes, kind: pa.DataType) -> pa.Array | None:
    """As ``ends_of``, of values as Parquet's statistics store them."""
    if is_text(bare(kind)):
        try:
            return ends_of(low.decode(), high.decode(), kind)
        except UnicodeDecodeError:
            return None
    if pa.types.is_floating(kind):
        stored = "<f4" if kind == pa.float32() else "<f8"
    else:
        wide = "8" if kind.bit_width == 64 else "4"
        stored = ("<u" if pa.types.is_unsigned_integer(kind) else "<i") + wide
    if not len(low) == len(high) == np.dtype(stored).itemsize:
        return None
    ends = [np.frombuffer(end, stored)[0].item() for end in (low, high)]
    if not pa.types.is_timestamp(kind):
        return ends_of(ends[0], ends[1], kind)
    return pa.array(ends, pa.int64()).view(kind) if ends[0] <= ends[1] else None
