"""A where predicate on Arrow columns, with the three-valued logic of SQL: only rows where it is true stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources import parser
from heatgrid.sources.layouts import bare, is_bytes, is_text, over_values, text, utf8
from heatgrid.sources.predicate import (
    And,
    Compare,
    Constant,
    In,
    IsNull,
    Leaf,
    Like,
    Literal,
    Node,
    Not,
    Or,
    Truth,
    columns_of,
)
from heatgrid.sources.taken import answers
from heatgrid.sources.times import parse_iso, zoned
from heatgrid.words.errors import UsageError, nearest

_COMPUTE: dict[str, Callable[[Any, Any], pa.Array]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_MIRROR = {"<": "<=", ">=": ">"}
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_PLAIN = r"^\s*[+-]?\d{1,40}(\.\d{0,18})?\s*$"
_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"


@dataclass(frozen=True)
class Where:
    """A parsed predicate; ``paths`` turns the names it uses into source paths."""

    source: str
    tree: Node
    paths: Mapping[str, str]
    tz: str = "UTC"

    @property
    def columns(self) -> list[str]:
        """The source paths that it needs."""
        return list(dict.fromkeys(self.paths[name] for name in columns_of(self.tree)))

    def mask(self, columns: Mapping[str, pa.Array], rows: int, *, loose: bool = False) -> pa.Array:
        """True, false or null for every row; ``columns`` by source path, one that is not there is null.

        ``loose`` (text sources): texts are compared with numbers and booleans by what they say.
        """
        return _Evaluator(self, columns, rows, loose).node(self.tree)

    def at(self, leaf: Leaf, what: str, hint: str | None = None) -> UsageError:
        return parser.fail(self.source, leaf.at, what, code="HG1212", hint=hint)


def compile_where(source: str, resolve: Callable[[str], str | None], choices: list[str], tz: str = "UTC") -> Where:
    """Parse, and resolve every name; an unknown one names its nearest."""
    tree = parser.parse(source)
    paths: dict[str, str] = {}
    for name in columns_of(tree):
        path = resolve(name)
        if path is None:
            at = next(leaf.at for leaf in leaves(tree) if leaf.column == name)
            raise parser.fail(source, at, f"there is no column {name!r}", code="HG1211", hint=nearest(name, choices))
        paths[name] = path
    return Where(source, tree, paths, tz)


def leaves(node: Node) -> list[Leaf]:
    if isinstance(node, And | Or):
        return leaves(node.left) + leaves(node.right)
    if isinstance(node, Not):
        return leaves(node.inner)
    return [] if isinstance(node, Constant) else [node]


class _Evaluator:
    def __init__(self, where: Where, columns: Mapping[str, pa.Array], rows: int, loose: bool) -> None:
        self.where = where
        self.columns = columns
        self.rows = rows
        self.loose = loose

    def node(self, node: Node) -> pa.Array:
        if isinstance(node, And):
            return pc.and_kleene(self.node(node.left), self.node(node.right))
        if isinstance(node, Or):
            return pc.or_kleene(self.node(node.left), self.node(node.right))
        if isinstance(node, Not):
            return pc.invert(self.node(node.inner))
        if isinstance(node, Constant):
            return pa.repeat(pa.scalar(node.value, pa.bool_()), self.rows)
        array = self.columns.get(self.where.paths[node.column])
        if array is None:
            array = pa.nulls(self.rows)
        if isinstance(node, IsNull):
            return over_values(array, lambda values: values.is_null()).fill_null(True)
        if pa.types.is_null(bare(array.type)):
            return pa.nulls(self.rows, pa.bool_())
        return answers(array, lambda values: self.leaf(node, values))

    def leaf(self, node: Compare | In | Like | Truth, values: pa.Array) -> pa.Array:
        """One test on plain values (dictionary entries, decoded runs)."""
        if is_bytes(values.type):
            values, _ = utf8(values)
        values = text(values)
        if isinstance(node, Like):
            if not is_text(values.type):
                raise self.where.at(node, f"'like' needs a text, {node.column!r} holds {values.type}")
            return pc.match_like(values, node.pattern)
        if isinstance(node, Truth):
            return self.compare(node, values, "=", True)
        if isinstance(node, Compare):
            return self.compare(node, values, node.op, node.value)
        found = _constant(values, False)
        for value in node.values:
            found = pc.or_kleene(found, self.compare(node, values, "=", value))
        return pc.or_kleene(found, pa.nulls(len(values), pa.bool_())) if node.has_null else found

    def compare(self, node: Compare | In | Truth, values: pa.Array, op: str, value: Literal) -> pa.Array:
        kind = values.type
        if is_text(kind):
            if isinstance(value, str):
                return _COMPUTE[op](values, pa.scalar(value, kind))
            if not self.loose:
                raise self.where.at(
                    node,
                    f"{node.column!r} holds text, {value!r} is not one",
                    hint=f"write '{value}' in quotes",
                )
            if isinstance(value, bool):
                return _COMPUTE[op](_booleans(values), pa.scalar(value))
            return _spelt(values, op, value)
        if pa.types.is_boolean(kind):
            if not isinstance(value, bool):
                raise self.where.at(node, f"{node.column!r} is true or false, {value!r} is neither")
            return _COMPUTE[op](values, pa.scalar(value))
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return self.instants(node, values, op, value)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            if isinstance(value, bool | str):
                raise self.where.at(node, f"{node.column!r} holds numbers, {value!r} is not one")
            return _numbers(values, op, value)
        raise self.where.at(node, f"{node.column!r} holds {kind}, which cannot be compared")

    def instants(self, node: Compare | In | Truth, values: pa.Array, op: str, value: Literal) -> pa.Array:
        instant = moment(value, self.where.tz)
        if instant is None:
            raise self.where.at(
                node, f"{value!r} is not a time", hint=f"example: {node.column} >= '2024-05-01 12:00:00'"
            )
        if pa.types.is_date(values.type):
            values = values.cast(pa.timestamp("ms"))
        values = zoned(values, self.where.tz)
        per = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[values.type.unit]
        return _numbers(values.view(pa.int64()), op, Fraction(instant * 1_000, per))


def moment(value: Literal, tz: str) -> int | None:
    """An ISO text as microseconds of UTC."""
    if not isinstance(value, str):
        return None
    parsed = parse_iso(pa.array([value]), tz).view(pa.int64())[0].as_py()
    return int(parsed) if parsed is not None else None


def _numbers(values: pa.Array, op: str, value: float | Decimal | Fraction) -> pa.Array:
    """Numbers against a number, exact: a column of integers or decimals never meets a rounded or wrapped literal."""
    kind = values.type
    if pa.types.is_floating(kind):
        return _COMPUTE[op](values, pa.scalar(float(value), pa.float64()))
    exact = _exact(value)
    scale = 0
    if pa.types.is_decimal(kind):
        scale, high = kind.scale, 10**kind.precision - 1
        low = -high
        kind = getattr(pa, f"decimal{kind.bit_width}")(kind.precision, 0)
        values = values.view(kind)  # whole numbers of the least unit; Arrow refuses to compare those of thousands
    elif pa.types.is_unsigned_integer(kind):
        low, high = 0, 2**kind.bit_width - 1
    else:
        low, high = -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1
    if exact is not None:
        exact *= Fraction(10) ** scale
    if exact is None or exact < low or exact > high:
        above = value > 0
        answer = {"=": False, "!=": True, "<": above, "<=": above, ">": not above, ">=": not above}[op]
        return _constant(values, answer)
    whole = exact.numerator // exact.denominator
    if whole != exact:
        if op in ("=", "!="):
            return _constant(values, op == "!=")
        op = _MIRROR.get(op, op)
    return _COMPUTE[op](values, pa.scalar(Decimal(whole) if pa.types.is_decimal(kind) else whole, kind))


def _exact(value: float | Decimal | Fraction) -> Fraction | None:
    """What was written: 0.1 is a tenth, not the float next to it; None for what is no number."""
    if isinstance(value, Fraction):
        return value
    if not math.isfinite(value):
        return None
    return Fraction(Decimal(repr(value)) if isinstance(value, float) else value)


def _spelt(values: pa.Array, op: str, value: int | float | Decimal) -> pa.Array:
    """Texts against a number by what they say: beyond the whole numbers of a float plain digits are decimals."""
    found = _numbers(_floats(values), op, value)
    if -(2**53) < value < 2**53:
        return found
    plain = pc.match_substring_regex(values, _PLAIN)
    digits = pc.replace_substring_regex(pc.if_else(plain, values, pa.scalar(None, values.type)), r"^\s*\+|\s+", "")
    return pc.if_else(plain, _numbers(digits.cast(pa.decimal256(60, 18)), op, value), found)


def _constant(values: pa.Array, answer: bool) -> pa.Array:
    """One answer for every value, null where the value is."""
    return pc.if_else(values.is_valid(), pa.scalar(answer), pa.scalar(None, pa.bool_()))


def _floats(values: pa.Array) -> pa.Array:
    good = pc.match_substring_regex(values, _NUMBER)
    clean = pc.utf8_trim_whitespace(pc.if_else(good, values, pa.scalar(None, values.type)))
    return pc.replace_substring_regex(clean, r"^\+", "").cast(pa.float64())


def _booleans(values: pa.Array) -> pa.Array:
    low = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    yes = pc.is_in(low, pa.array(_TRUE, low.type))
    known = pc.or_(yes, pc.is_in(low, pa.array(_FALSE, low.type)))
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_()))
