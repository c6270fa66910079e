"""A small SQL predicate by recursive descent: columns, literals, and/or/not/in/between/like/is null."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

from heatgrid.sources.predicate import And, Compare, Constant, In, IsNull, Like, Literal, Node, Not, Or, Truth
from heatgrid.words.errors import UsageError

_TOKENS = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>'(?:[^']|'')*')
    | (?P<name>(?:"(?:[^"]|"")+"|[^\W\d][\w$]*|\$[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))*)
    | (?P<op><=|>=|<>|!=|==|=|<|>|\(|\)|,|-|\+)
    )""",
    re.VERBOSE,
)
_PART = re.compile(r'"((?:[^"]|"")+)"|([\w$]+)')
_WORDS = frozenset(("and", "or", "not", "in", "is", "null", "between", "like", "true", "false"))
_COMPARE = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLIP = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DEPTH = 100
_LONG = 400
"""Digits of a whole number that is beyond every column; Python refuses to read ten times as many."""


class Token(NamedTuple):
    kind: str
    """number, text, name, op, word or end."""
    text: str
    at: int


def parse(source: str) -> Node:
    """The tree of a predicate; a syntax error points at its place."""
    return _Parser(source).whole()


def fail(source: str, at: int, what: str, *, code: str = "HG1210", hint: str | None = None) -> UsageError:
    """A usage error with the predicate and a caret under the place."""
    line = re.sub(r"\s", " ", source)
    start = max(0, at - 60)
    shown = line[start : at + 60]
    return UsageError(
        f"the where predicate cannot be used: {what}",
        code=code,
        where=f"{shown}\n            {' ' * (at - start)}^",
        hint=hint or "example: country = 'DE' and (kind in ('click', 'press') or x is null)",
    )


def _tokens(source: str) -> list[Token]:
    tokens = []
    at = 0
    while source[at:].strip():
        match = _TOKENS.match(source, at)
        if match is None:
            at += len(source[at:]) - len(source[at:].lstrip())
            what = "a text without its closing quote" if source[at] in "'\"" else f"{source[at]!r} is not expected"
            raise fail(source, at, what)
        kind = match.lastgroup or ""
        text = match.group(kind)
        if kind == "name" and text.lower() in _WORDS:
            kind, text = "word", text.lower()
        tokens.append(Token(kind, text, match.start(match.lastgroup or 0)))
        at = match.end()
    return [*tokens, Token("end", "", len(source.rstrip()))]


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = _tokens(source)
        self.index = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.index]

    def step(self) -> Token:
        token = self.now
        self.index += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        if self.now.kind in ("word", "op") and self.now.text in texts:
            return self.step()
        return None

    def expect(self, text: str) -> None:
        if self.accept(text) is None:
            raise self.error(f"{text!r} is expected here")

    def error(self, what: str) -> UsageError:
        return fail(self.source, self.now.at, what)

    def whole(self) -> Node:
        if self.now.kind == "end":
            raise self.error("it is empty")
        node = self.either()
        if self.now.kind != "end":
            raise self.error("'and', 'or' or the end is expected here")
        return node

    def either(self) -> Node:
        node = self.both()
        while self.accept("or"):
            node = Or(node, self.both())
        return node

    def both(self) -> Node:
        node = self.negated()
        while self.accept("and"):
            node = And(node, self.negated())
        return node

    def negated(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error("it is nested too deeply")
        node: Node
        if self.accept("not"):
            node = Not(self.negated())
        elif self.accept("("):
            node = self.either()
            self.expect(")")
        else:
            node = self.test()
        self.depth -= 1
        return node

    def test(self) -> Node:
        """One comparison of a column, from either side."""
        if self.now.kind == "name":
            return self.column_test()
        start = self.now
        if start.kind == "word" and start.text in ("true", "false", "null"):
            self.step()
            if self.now.text not in _COMPARE:
                return Constant({"true": True, "false": False, "null": None}[start.text])
            self.index -= 1
        value = self.literal()
        op = self.comparison()
        if op is None:
            raise self.error("a comparison is expected here")
        if self.now.kind != "name":
            raise self.error("a column is expected here")
        token = self.step()
        return Compare(_name(token.text), _FLIP[op], value, token.at)

    def column_test(self) -> Node:
        token = self.step()
        column = _name(token.text)
        op = self.comparison()
        if op is not None:
            return Compare(column, op, self.literal(), token.at)
        if self.accept("is"):
            negated = self.accept("not") is not None
            self.expect("null")
            return _maybe_not(negated, IsNull(column, token.at))
        negated = self.accept("not") is not None
        if self.accept("in"):
            return _maybe_not(negated, self.members(column, token.at))
        if self.accept("between"):
            low = self.literal()
            self.expect("and")
            high = self.literal()
            return _maybe_not(negated, And(Compare(column, ">=", low, token.at), Compare(column, "<=", high, token.at)))
        if self.accept("like"):
            if self.now.kind != "text":
                raise self.error("a 'pattern' is expected here")
            return _maybe_not(negated, Like(column, _text(self.step().text), token.at))
        if negated:
            raise self.error("'in', 'between' or 'like' is expected here")
        return Truth(column, token.at)

    def comparison(self) -> str | None:
        if self.now.kind == "op" and self.now.text in _COMPARE:
            return _COMPARE[self.step().text]
        return None

    def members(self, column: str, at: int) -> Node:
        self.expect("(")
        values: list[Literal] = []
        has_null = False
        while True:
            if self.accept("null"):
                has_null = True
            else:
                values.append(self.literal())
            if self.accept(")"):
                return In(column, tuple(values), has_null, at)
            self.expect(",")

    def literal(self) -> Literal:
        sign = self.accept("-", "+")
        token = self.now
        if token.kind == "number":
            self.step()
            number = _number(token.text)
            if sign is None or sign.text == "+":
                return number
            return number.copy_negate() if isinstance(number, Decimal) else -number  # its minus would round
        if sign is None and token.kind == "text":
            self.step()
            return _text(token.text)
        if sign is None and token.kind == "word" and token.text in ("true", "false"):
            self.step()
            return token.text == "true"
        if token.kind == "word" and token.text == "null":
            raise self.error("nothing compares with null: write 'is null' or 'is not null'")
        if token.kind == "name":
            raise self.error("a value is expected here, columns are compared with values only (texts take 'quotes')")
        raise self.error("a value is expected here")


def _maybe_not(negated: bool, node: Node) -> Node:
    return Not(node) if negated else node


def _number(token: str) -> int | float | Decimal:
    if not re.search(r"[.eE]", token):
        return int(token) if len(token) < _LONG else math.inf
    near = float(token)
    # beyond a float's range its infinity or 0 compares alike, and an exact 1e999999999 would fill the memory
    if math.isinf(near) or near == 0 or Decimal(repr(near)) == Decimal(token):
        return near
    return Decimal(token)


def _text(token: str) -> str:
    return token[1:-1].replace("''", "'")


def _name(token: str) -> str:
    return ".".join(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(token))
