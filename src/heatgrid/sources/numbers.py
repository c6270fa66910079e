"""Numeric columns that arrive as text: parsed if they are numbers, an error (or, on asking, null) if they are not."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.layouts import bare, is_text, over_values, storage, text
from heatgrid.words.errors import InputError
from heatgrid.words.pages import masked

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
_NULL = r"^(?i:null|none|na|n/a|\\n|undefined|-)?$"
_YES = ("true", "t", "yes", "y", "1")
_NO = ("false", "f", "no", "n", "0")


def number(array: pa.Array, *, coerce: bool, whole: bool, column: str, place: str) -> pa.Array:
    """A column of any numeric type as it is (decimals and half floats widened), of text parsed."""
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_float64(kind) or pa.types.is_float32(kind):
        return array
    below = bare(kind)
    if pa.types.is_null(below):
        return pa.nulls(len(array), pa.int64() if whole else pa.float64())
    if is_text(below):
        return over_values(array, lambda values: _parse(text(values), coerce, whole, column, place))
    if pa.types.is_float16(below):
        return over_values(array, lambda values: values.cast(pa.float32()))
    if pa.types.is_decimal(below):
        return over_values(array, lambda values: values.cast(pa.float64()))
    if pa.types.is_integer(below) or pa.types.is_floating(below):
        return over_values(array, storage)
    raise wrong_type(column, str(kind), "numbers", place)


def _parse(array: pa.Array, coerce: bool, whole: bool, column: str, place: str) -> pa.Array:
    array = pc.utf8_trim_whitespace(array)
    good = pc.match_substring_regex(array, _NUMBER)
    void = pc.match_substring_regex(array, _NULL)
    bad = pc.and_(pc.invert(good), pc.invert(void))
    if not coerce and pc.any(bad, skip_nulls=True).as_py():
        raise wrong_value(column, array.filter(bad)[0].as_py(), "a number", place)
    clean = pc.if_else(good, array, pa.scalar(None, array.type))
    clean = pc.replace_substring_regex(clean, r"^\+", "")
    if whole:
        try:
            return clean.cast(pa.int64())
        except pa.ArrowInvalid:
            pass  # fractions, or more than 64 bits: a float then
    return clean.cast(pa.float64())


def flag(array: pa.Array, *, coerce: bool, column: str, place: str) -> pa.Array:
    """``fixed``: booleans and integers as they are, true/false words parsed."""
    below = bare(array.type)
    if pa.types.is_boolean(array.type) or pa.types.is_integer(array.type):
        return array
    if pa.types.is_null(below):
        return pa.nulls(len(array), pa.bool_())
    if is_text(below):
        return over_values(array, lambda values: _words(text(values), coerce, column, place))
    if pa.types.is_boolean(below) or pa.types.is_integer(below):
        return over_values(array, storage)
    raise wrong_type(column, str(array.type), "true or false", place)


def _words(array: pa.Array, coerce: bool, column: str, place: str) -> pa.Array:
    low = pc.utf8_lower(pc.utf8_trim_whitespace(array))
    yes = pc.is_in(low, pa.array(_YES, low.type))
    known = pc.or_(yes, pc.is_in(low, pa.array(_NO, low.type)))
    void = pc.match_substring_regex(low, _NULL)
    bad = pc.and_(pc.invert(known), pc.invert(pc.fill_null(void, True)))
    if not coerce and pc.any(bad).as_py():
        raise wrong_value(column, array.filter(bad)[0].as_py(), "true or false", place)
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_()))


def wrong_value(column: str, value: object, expected: str, place: str) -> InputError:
    return InputError(
        f"column {column!r} holds a value that is not {expected}",
        code="HG2213",
        where=f"{place}, column {column!r}",
        value=masked(str(value)),
        expected=expected,
        hint="--coerce counts such values as missing, or --map another column",
    )


def wrong_type(column: str, kind: str, expected: str, place: str) -> InputError:
    return InputError(
        f"column {column!r} has a type that cannot be used",
        code="HG2213",
        where=f"{place}, column {column!r}",
        value=kind,
        expected=expected,
        hint="--map another column",
    )
