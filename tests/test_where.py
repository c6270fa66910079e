"""The where predicate: its grammar, SQL's three-valued logic, its errors, and pruning by statistics."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatgrid.sources import parser
from heatgrid.sources.predicate import And, Compare, Constant, In, IsNull, Like, Not, Or, Truth, columns_of
from heatgrid.sources.prune import Bounds, can_be_true, ends_of
from heatgrid.sources.where import compile_where
from heatgrid.words.errors import UsageError

# ---- a slow evaluator that shares nothing with the code: trees are tuples, None is SQL's null ----

Row = dict[str, Any]
Tree = tuple[Any, ...]
OPS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def slow(tree: Tree, row: Row) -> bool | None:
    head = tree[0]
    if head == "and":
        sides = [slow(tree[1], row), slow(tree[2], row)]
        return False if False in sides else None if None in sides else True
    if head == "or":
        sides = [slow(tree[1], row), slow(tree[2], row)]
        return True if True in sides else None if None in sides else False
    if head == "not":
        inner = slow(tree[1], row)
        return None if inner is None else not inner
    value = row[tree[1]]
    if head == "null":
        return value is None
    if value is None:
        return None
    if head == "cmp":
        return OPS[tree[2]](value, tree[3])
    if head == "in":
        if any(value == member for member in tree[2]):
            return True
        return None if tree[3] else False
    if head == "between":
        return tree[2] <= value <= tree[3]
    if head == "like":
        return (
            re.fullmatch("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in tree[2]), value, re.DOTALL)
            is not None
        )
    assert head == "bool"
    return bool(value)


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "FALSE"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def sql(tree: Tree, level: int = 0) -> str:
    """The predicate with no more parentheses than precedence asks for: or 1, and 2, not 3."""
    head = tree[0]
    if head in ("and", "or"):
        own = 2 if head == "and" else 1
        text = f"{sql(tree[1], own)} {head} {sql(tree[2], own)}"
        return f"({text})" if level > own else text
    if head == "not":
        return f"NOT {sql(tree[1], 3)}"
    if head == "null":
        return f"{tree[1]} is null"
    if head == "cmp":
        return f"{tree[1]} {tree[2]} {literal(tree[3])}"
    if head == "in":
        members = [literal(m) for m in tree[2]] + (["null"] if tree[3] else [])
        return f"{tree[1]} in ({', '.join(members)})"
    if head == "between":
        return f"{tree[1]} between {literal(tree[2])} and {literal(tree[3])}"
    if head == "like":
        return f"{tree[1]} like {literal(tree[2])}"
    return str(tree[1])


words = st.text("ab'_%é", max_size=3)
integers = st.one_of(st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63)]))
floats = st.sampled_from([-1.5, -0.0, 0.0, 0.5, 1.0, 2.5, math.inf, -math.inf, math.nan])
numbers = st.sampled_from([-4, -1, 0, 1, 2, 3, 0.5, -1.5, 2.0, 1e300, 2**64, -(2**63), 2**63 - 1])
columns_by_kind = {"i": numbers, "u": numbers, "f": numbers, "s": words, "d": words}
comparisons = st.sampled_from(sorted(columns_by_kind)).flatmap(
    lambda name: st.one_of(
        *[st.tuples(st.just("cmp"), st.just(name), st.sampled_from(sorted(OPS)), columns_by_kind[name])] * 3,
        st.tuples(st.just("in"), st.just(name), st.lists(columns_by_kind[name], min_size=1, max_size=3), st.booleans()),
        st.tuples(st.just("between"), st.just(name), columns_by_kind[name], columns_by_kind[name]),
        st.tuples(st.just("null"), st.just(name)),
    )
)
tests = st.one_of(
    comparisons,
    st.tuples(st.just("like"), st.sampled_from(["s", "d"]), words),
    st.just(("bool", "b")),
    st.tuples(st.just("cmp"), st.just("b"), st.just("="), st.booleans()),
)
trees = st.recursive(
    tests,
    lambda below: st.one_of(
        st.tuples(st.just("not"), below),
        st.tuples(st.sampled_from(["and", "or"]), below, below),
    ),
    max_leaves=6,
)
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | integers,
            "u": st.none() | st.integers(0, 4) | st.just(2**64 - 1),
            "f": st.none() | floats,
            "s": st.none() | words,
            "d": st.none() | words,
            "b": st.none() | st.booleans(),
        }
    ),
    max_size=12,
)
EVERY_I = [None, *range(-3, 4), 2**63 - 1, -(2**63)]
EVERY_U = [None, *range(5), 2**64 - 1]
EVERY_F = [None, -1.5, -0.0, 0.5, 1.0, 2.5, math.inf, -math.inf, math.nan]
EVERY_S = [None, "", "a", "b", "aa", "'", "_", "%", "é", "ab"]
EVERY_ROW: list[Row] = [
    {
        "i": EVERY_I[n % 10],
        "u": EVERY_U[n % 7],
        "f": EVERY_F[n % 9],
        "s": EVERY_S[n % 10],
        "d": EVERY_S[(n + n // 10) % 10],
        "b": (None, True, False)[n % 3],
    }
    for n in range(60)
]
KINDS = {"i": pa.int64(), "u": pa.uint64(), "f": pa.float64(), "s": pa.string(), "d": pa.string(), "b": pa.bool_()}


def table_of(rows: list[Row]) -> dict[str, pa.Array]:
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in KINDS.items()}
    columns["d"] = columns["d"].dictionary_encode()
    return columns


def mask(source: str, columns: dict[str, pa.Array], rows: int, **options: Any) -> list[bool | None]:
    where = compile_where(source, lambda name: name if name in columns else None, list(columns))
    answer: list[bool | None] = where.mask(columns, rows, **options).to_pylist()
    return answer


@settings(max_examples=300, deadline=None)
@given(tree=trees, rows=rows_of)
def test_where_agrees_with_a_slow_evaluator(tree: Tree, rows: list[Row]) -> None:
    rows = rows + EVERY_ROW
    assert mask(sql(tree), table_of(rows), len(rows)) == [slow(tree, row) for row in rows]


LITERALS: list[int | float] = [-4, -1, 0, 1, 3, 0.5, -1.5, 2.0, 1e300, -1e300, 2**64, -(2**63), 2**63 - 1]


def test_every_comparison_of_every_number() -> None:
    columns = table_of(EVERY_ROW)
    for name in "iuf":
        for op in OPS:
            for value in LITERALS:
                tree = ("cmp", name, op, value)
                assert mask(sql(tree), columns, len(EVERY_ROW)) == [slow(tree, row) for row in EVERY_ROW], sql(tree)


@pytest.mark.parametrize(("name", "values"), [("i", EVERY_I), ("u", EVERY_U), ("f", EVERY_F)])
def test_every_comparison_prunes_no_pair_that_is_wanted(name: str, values: list[Any]) -> None:
    """Statistics of two rows: what either satisfies must be possible, also negated."""
    for first in values:
        for second in values:
            known = [v for v in (first, second) if v is not None and v == v]  # noqa: PLR0124
            ends = ends_of(min(known), max(known), KINDS[name]) if known else None
            bounds = {name: Bounds(ends, (first, second).count(None), 2)}
            for op in OPS:
                for value in LITERALS[::2]:
                    plain = ("cmp", name, op, value)
                    for tree in (plain, ("not", plain)):
                        if any(slow(tree, {name: v}) for v in (first, second)):
                            where = compile_where(sql(tree), lambda column: column, [])
                            assert can_be_true(where, bounds), (sql(tree), first, second)


@settings(max_examples=60, deadline=None)
@given(tree=trees, rows=rows_of)
def test_where_agrees_with_duckdb(tree: Tree, rows: list[Row]) -> None:
    """DuckDB puts NaN above everything: rows with it are left out here."""
    rows = [row for row in rows + EVERY_ROW if row["f"] is None or not math.isnan(row["f"])]
    columns = table_of(rows)
    columns["d"] = columns["d"].cast(pa.string())
    table = pa.table({**columns, "n": pa.array(range(len(rows)), pa.int64())})
    with duckdb.connect() as base:
        base.register("t", table)
        kept = [n for (n,) in base.execute(f"select n from t where {sql(tree)} order by n").fetchall()]
    assert [n for n, true in enumerate(mask(sql(tree), table_of(rows), len(rows))) if true] == kept


@settings(max_examples=400, deadline=None)
@given(tree=trees, rows=rows_of.filter(bool), nulls_known=st.booleans())
def test_pruning_never_drops_a_row_that_is_wanted(tree: Tree, rows: list[Row], nulls_known: bool) -> None:
    columns = table_of(rows)
    bounds = {}
    for name, array in columns.items():
        plain = array.cast(KINDS[name])
        if name == "f":
            plain = plain.filter(pc.fill_null(pc.invert(pc.is_nan(plain)), True))
        ends = pc.min_max(plain)
        known = ends_of(ends["min"].as_py(), ends["max"].as_py(), KINDS[name])
        bounds[name] = Bounds(known, array.null_count if nulls_known else None, len(rows))
    where = compile_where(sql(tree), lambda name: name, [])
    if any(slow(tree, row) for row in rows):
        assert can_be_true(where, bounds)


def test_pruning_does_prune() -> None:
    bounds = {"i": Bounds(ends_of(10, 20, pa.int32()), 0, 5), "f": Bounds(ends_of(0.5, 1.5, pa.float64()), 0, 5)}

    def possible(source: str) -> bool:
        return can_be_true(compile_where(source, lambda name: name, []), bounds)

    assert not possible("i < 10")
    assert possible("i <= 10")
    assert not possible("i = 21")
    assert not possible("i in (1, 2, 30)")
    assert possible("i in (1, 15)")
    assert not possible("not i >= 10")
    assert not possible("i is null")
    assert not possible("f > 2 and i = 15")
    assert possible("f > 2 or i = 15")
    assert possible("not f < 2"), "a NaN is not below 2, and statistics do not show it"
    assert possible("unknown = 3")


def test_precedence_and_shapes() -> None:
    a, b, c = (Compare(name, "=", 1, at) for name, at in (("a", 0), ("b", 9), ("c", 19)))
    assert parser.parse("a = 1 or b = 1 and c = 1") == Or(a, And(b, c))
    assert parser.parse("not a = 1 and b") == And(Not(Compare("a", "=", 1, 4)), Truth("b", 14))
    assert parser.parse("5 < x") == Compare("x", ">", 5, 4)
    assert parser.parse("x <> -2.5") == Compare("x", "!=", -2.5, 0)
    assert parser.parse("x not in ('a', NULL)") == Not(In("x", ("a",), True, 0))
    assert parser.parse("x IS NOT NULL") == Not(IsNull("x", 0))
    assert parser.parse("x not like 'a%'") == Not(Like("x", "a%", 0))
    assert parser.parse("null or true") == Or(Constant(None), Constant(True))
    assert parser.parse('"a b".c = 1') == Compare("a b.c", "=", 1, 0)
    assert parser.parse("\"and\" = 'it''s'") == Compare("and", "=", "it's", 0)
    assert parser.parse("$current_url = 'x'") == Compare("$current_url", "=", "x", 0)
    assert columns_of(parser.parse("a.b = 1 and (c is null or a.b > 3)")) == ["a.b", "c"]


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("x = ", 3),
        ("x == 'a", 5),
        ("x = 1 y = 2", 6),
        ("(x = 1", 6),
        ("x in ()", 6),
        ("x = null", 4),
        ("x = y", 4),
        ("", 0),
        ("x = 1 and", 9),
        ("x ! 1", 2),
        ("1 = 1", 4),
        ("x not 3", 6),
        ("x like 3", 7),
        ("x = 12px", 4),
    ],
)
def test_a_syntax_error_points_at_its_place(source: str, at: int) -> None:
    with pytest.raises(UsageError) as caught:
        parser.parse(source)
    assert caught.value.code == "HG1210"
    assert caught.value.exit_code == 2
    caret = (caught.value.where or "").split("\n")[1]
    assert caret.index("^") - 12 == at


def test_deep_nesting_is_refused_without_a_crash() -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        parser.parse("(" * 5000 + "x = 1" + ")" * 5000)
    parser.parse(" or ".join("(x = 1)" for _ in range(500)))


def test_unknown_columns_and_wrong_types() -> None:
    columns = table_of([dict.fromkeys(KINDS)])
    columns["country"] = pa.array(["DE"])
    with pytest.raises(UsageError, match="did you mean 'country'") as caught:
        mask("contry = 'DE'", columns, 1)
    assert caught.value.code == "HG1211"
    for source in ("country = 5", "i = 'a'", "b = 1", "i like 'a%'", "country"):
        with pytest.raises(UsageError) as caught:
            mask(source, columns, 1)
        assert caught.value.code == "HG1212", source


def decimals_of(words: list[str | None], kind: pa.DataType) -> pa.Array:
    return pa.array([None if word is None else Decimal(word) for word in words], kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (pa.decimal128(20, 0), ["9007199254740992", "9007199254740993", "9007199254740994", None, "-9007199254740993"]),
        (pa.decimal128(38, 3), ["12345678901234567890123456789012345.125", "-12345678901234567890123456789012345.126"]),
        (pa.decimal256(50, 10), ["9007199254740993.0000000001", "9007199254740993", "0.1000000000", None]),
        (pa.decimal128(5, 2), ["0.10", "0.11", "-0.10", "999.99", "-999.99", "0.00", None]),
        (pa.decimal32(5, 2), ["0.10", "0.11", "-0.10", "999.99", "0.00", None]),
        (pa.decimal64(18, 1), ["9007199254740993.1", "9007199254740993.2", "0.1"]),
        (pa.decimal128(9, -2), ["9007199200", "9007199300", "0", None]),
        (pa.int64(), ["9007199254740992", "9007199254740993", "-9007199254740993", None]),
    ],
)
def test_decimals_are_compared_exactly(kind: pa.DataType, words: list[str | None]) -> None:
    """Fails if a decimal or a literal of many digits is compared as a float64: 2^53 + 1 was equal to 2^53, and 0.10
    is a tenth. The oracle compares fractions."""
    if pa.types.is_decimal(kind):
        column = decimals_of(words, kind)
    else:
        column = pa.array([None if word is None else int(word) for word in words], kind)
    literals = [word for word in words if word is not None]
    literals += [
        "0.1",
        "0.10000000000000000001",
        "9007199254740993.0",
        "9007199254740993.05",
        "1e15",
        "-1e300",
        "1e999",
    ]
    beyond = {"1e-999999999": Fraction(0), "1e999999999": Fraction(10) ** 400, "9" * 5000: Fraction(10) ** 400}
    literals += ["1000", "-1e-20", "999.995", *beyond]
    for op, compare in OPS.items():
        for text in literals:
            exact = beyond[text] if text in beyond else Fraction(text)
            want = [None if word is None else compare(Fraction(word), exact) for word in words]
            assert mask(f"x {op} {text}", {"x": column}, len(words)) == want, (op, text)


def test_texts_of_long_numbers_are_compared_exactly() -> None:
    """Fails if the numbers of a text source go through float64: ids of 17 digits and more were mixed up."""
    words = ["9007199254740992", " 9007199254740993 ", "+9007199254740994", "9007199254740993.0", "1e16", "x", None]
    columns = {"x": pa.array([*words, "9" * 38])}
    large = 9007199254740993
    assert mask(f"x = {large}", columns, 8, loose=True) == [False, True, False, True, False, None, None, False]
    assert mask(f"x > {large}", columns, 8, loose=True) == [False, False, True, False, True, None, None, True]
    assert mask(f"x < -{large}.5", columns, 8, loose=True) == [*[False] * 5, None, None, False]
    assert mask("x > 5.5", columns, 8, loose=True) == [True, True, True, True, True, None, None, True]


def test_text_sources_compare_by_what_the_text_says() -> None:
    columns = {
        "x": pa.array(["5", " 12 ", "+7", "12px", "", None]),
        "b": pa.array(["True", "no", "1", "maybe", "", None]),
    }
    assert mask("x > 6", columns, 6, loose=True) == [False, True, True, None, None, None]
    assert mask("b", columns, 6, loose=True) == [True, False, True, None, None, None]
    assert mask("x = '5'", columns, 6, loose=True) == [True, False, False, False, False, None]


def test_times_compare_as_instants() -> None:
    day = [0, 86_400, None]
    columns = {
        "utc": pa.array(day, pa.timestamp("s", "UTC")),
        "naive": pa.array(day, pa.timestamp("s")),
        "date": pa.array([0, 1, None], pa.date32()),
        "ms": pa.array([0, 86_400_000, None], pa.timestamp("ms", "America/New_York")),
    }
    for name in columns:
        assert mask(f"{name} >= '1970-01-02'", columns, 3) == [False, True, None], name
        assert mask(f"{name} < '1970-01-01T00:00:00.001Z'", columns, 3) == [True, False, None], name
    assert mask("utc = '1970-01-01T01:00:00+01:00'", columns, 3) == [True, False, None]
    with pytest.raises(UsageError, match="not a time"):
        mask("utc > 'yesterday'", columns, 3)
    berlin = compile_where("naive = '1970-01-02'", lambda name: name, [], "Europe/Berlin")
    assert berlin.mask(columns, 3).to_pylist() == [False, True, None]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.dictionary(pa.int8(), pa.large_string()),
        "runs",
    ],
)
def test_every_text_layout_can_be_asked(kind: Any) -> None:
    plain = pa.array(["x", "a", "b", None, "a"])
    array = pc.run_end_encode(plain) if kind == "runs" else plain.cast(kind)
    assert mask("s = 'a'", {"s": array.slice(1)}, 4) == [True, False, None, True]
    assert mask("s is null or s like 'b%'", {"s": array.slice(1)}, 4) == [False, True, True, False]
