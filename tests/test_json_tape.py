"""The JSON tape against the standard library: what is JSON, what its values are, what is passed over."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatgrid.cpu import json as leaves
from heatgrid.sources.records import Paths, Tape, Words, numbers, padded, texts

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


def tape_of(records: list[bytes], words: Words) -> Tape:
    data = b"\n".join(records)
    lengths = np.array([len(record) for record in records], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
    return Tape(padded(data), starts, starts + lengths, words)


def walk(tape: Tape, t: int, words: Words) -> object:
    """The value of a line, as json.loads gives it (all keys are words)."""
    kind, start, stop, end = tape.lines[t].tolist()
    kind &= 0xFF
    if kind in (leaves.OBJECT, leaves.ARRAY):
        below, t = [], t + 1
        while t < end:
            below.append((int(tape.lines[t, 0]) >> 8, walk(tape, t, words)))
            t = int(tape.lines[t, 3])
        return {words.names[w - 1]: v for w, v in below} if kind == leaves.OBJECT else [v for _, v in below]
    raw = tape.data[start:stop].tobytes()
    return json.loads(b'"%s"' % raw if kind in (leaves.STRING, leaves.ESCAPED) else raw)


def keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for below in value.values() for key in keys(below)}
    return {key for below in value for key in keys(below)} if isinstance(value, list) else set()


@settings(max_examples=150, deadline=None)
@given(st.lists(values, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_values_are_those_of_the_standard_library(records, indent):
    texts_ = [json.dumps(r, ensure_ascii=False, indent=indent).encode("utf-8", "surrogatepass") for r in records]
    words = Words(sorted(keys(records)))  # keys with escapes are none of the words: those are left out below
    plain = [r for r in records if all(json.dumps(k, ensure_ascii=False) == f'"{k}"' for k in keys(r))]
    tape = tape_of([t for t, r in zip(texts_, records, strict=True) if r in plain] or [b"1"], words)
    assert (tape.roots >= 0).all()
    for root, record in zip(tape.roots.tolist(), plain, strict=False):
        assert walk(tape, root, words) == record


def is_json(text: bytes) -> bool:
    def no(_: str) -> None:
        raise ValueError

    try:
        json.loads(text.decode("utf-8"), parse_constant=no)
    except (ValueError, RecursionError):
        return False
    return True


BROKEN = [
    '{"a":1,}', "[1,]", "[1 2]", '{"a" 1}', '{"a":}', "{a:1}", '{"a":1', "[1", '"a', "01", "-", "1.", ".5", "1e", "+1",
    "tru", "nul", "falsy", "[}", "{]", '"\\x"', '"\\u12g4"', '"\\u12', '"a\tb"', "[1]]", "{}{}", "NaN", "Infinity", "]",
    '{"a":{"b":[1,2,{"c":tru}]}}', '{"z":[1,,2]}', "1 2", '"\\', "-01", "1e+", "{,}", "[,]", ":", "'a'", '{"z":"\n"}',
]  # fmt: skip
SOUND = [
    "{}", "[]", " [ ] ", '{"a":{}}', '{"z":{"b":[{}]}}', "0", "-0", "1e5", "1E-5", "-1.5e+10", '"\\u00e9\\n\\/"',
    "true",
    "null", "false", '[[[[[]]]]]', '{"a":"' + "x" * 100 + '"}', '{"":1}', '"' + "y" * 31 + '\\"' + "z" * 33 + '"',
]  # fmt: skip


@pytest.mark.parametrize("text", [*BROKEN, *SOUND])
def test_what_is_json_is_what_the_grammar_says(text):
    assert (int(tape_of([text.encode()], Words(["a"])).roots[0]) >= 0) == is_json(text.encode()) == (text in SOUND)


@settings(max_examples=200, deadline=None)
@given(values, st.data())
def test_a_flipped_byte_is_seen_as_the_standard_library_sees_it(value, data):
    text = bytearray(json.dumps({"a": value, "q": [1, {"b": "x"}]}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'{}[]",:0123abtn\\ \n-.eE'))
    found = int(tape_of([bytes(text)], Words(["a", "b"])).roots[0])
    assert (found >= 0) == is_json(bytes(text))


def test_a_bad_record_leaves_the_others_and_says_where():
    records = [b'{"a":1}', b'{"a":[1,2,{"a":3}}', b"", b"  ", b'{"a":2}']
    tape = tape_of(records, Words(["a"]))
    assert [int(r) >= 0 for r in tape.roots] == [True, False, False, False, True]
    assert tape.roots.tolist()[2:4] == [-2, -2]
    assert int(tape.faults[1]) == 8 + records[1].index(b"}}") + 1
    found = Paths([("a",)]).find(tape)
    assert numbers(tape, found[0]).to_pylist() == [1.0, None, None, None, 2.0]


def test_what_lies_under_other_keys_leaves_no_line_and_is_checked():
    words = Words(["a", "b"])
    tape = tape_of([b'{"x":{"a":1,"b":[1,2]},"a":{"y":[{"a":5}],"b":2}}'], words)
    assert tape.used == 3  # the record, a, a.b
    assert int(tape_of([b'{"x":{"a":1,"b":[1,2}}'], words).roots[0]) == -1


def test_deep_records_are_refused_and_room_for_lines_is_made():
    deep = b"[" * (leaves.DEEPEST + 1) + b"]" * (leaves.DEEPEST + 1)
    wide = b"[" + b",".join([b"1"] * 50_000) + b"]"
    tape = tape_of([wide, deep, deep[1:-1], wide], Words(["a"]))
    assert [int(r) >= 0 for r in tape.roots] == [True, False, True, True]
    assert tape.used == 2 * 50_001 + leaves.DEEPEST


def test_paths_take_the_last_of_equal_keys_and_nothing_from_other_objects():
    paths = Paths([("event",), ("properties", "$x"), ("properties",), ("set", "$x")])
    records = [
        b'{"event":"a","properties":{"$x":1,"$x":2,"other":{"$x":9}},"$x":7}',
        b'{"properties":[{"$x":1}],"event":null}',
        b'{"set":{"$x":"q"},"properties":{"event":"no"}}',
        b'[{"event":"no"}]',
    ]
    tape = tape_of(records, paths.words)
    found = paths.find(tape)
    bad = np.zeros(4, np.uint8)
    assert texts(tape, found[0], bad).to_pylist() == ["a", None, None, None]
    assert numbers(tape, found[1]).to_pylist() == [2.0, None, None, None]
    assert texts(tape, found[2], bad).to_pylist()[1:3] == ['[{"$x":1}]', '{"event":"no"}']
    assert texts(tape, found[3], bad).to_pylist() == [None, None, "q", None]
    assert not bad.any()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=8), st.booleans())
def test_texts_are_those_of_the_standard_library(words, ascii_only):
    paths = Paths([("a",)])
    tape = tape_of([json.dumps({"a": w}, ensure_ascii=ascii_only).encode("utf-8") for w in words], paths.words)
    bad = np.zeros(len(words), np.uint8)
    got = texts(tape, paths.find(tape)[0], bad).to_pylist()
    nul = [w is not None and "\0" in w for w in words]
    assert bad.astype(bool).tolist() == nul
    assert [g for g, n in zip(got, nul, strict=True) if not n] == [w for w, n in zip(words, nul, strict=True) if not n]


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00x", "\\ud800\\u0041", "x\\u0000"])
def test_half_a_surrogate_and_a_nul_are_no_text(text):
    paths = Paths([("a",)])
    bad = np.zeros(1, np.uint8)
    tape = tape_of([b'{"a":"' + text.encode() + b'"}'], paths.words)
    assert texts(tape, paths.find(tape)[0], bad).to_pylist() == [None]
    assert bad.tolist() == [1]


@settings(max_examples=300, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: f"{d:f}"[:40])
)
def test_numbers_are_the_nearest_floats(number):
    paths = Paths([("a",)])
    text = number if isinstance(number, str) else json.dumps(number)
    try:
        json.loads(text)
    except ValueError:
        return
    tape = tape_of([b'{"a":%s}' % text.encode(), b'{"a":"%s"}' % text.encode()], paths.words)
    got = numbers(tape, paths.find(tape)[0]).to_pylist()
    assert got == [float(text)] * 2
    assert math.copysign(1, got[0]) == math.copysign(1, float(text)) or float(text) == 0


def test_words_that_are_no_numbers_are_none():
    paths = Paths([("a",)])
    words = ['"12px"', '""', "null", "true", "[1]", '"1e"', '"-"', '" 1"', '"0x10"', "1e400"]
    tape = tape_of([b'{"a":%s}' % w.encode() for w in words], paths.words)
    got = numbers(tape, paths.find(tape)[0]).to_pylist()
    assert got == [None, None, None, 1.0, None, None, None, None, None, math.inf]
