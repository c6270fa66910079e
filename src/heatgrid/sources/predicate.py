"""The tree of a where predicate: what the parser makes, the evaluator applies and the pruner bounds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

Literal = str | int | float | Decimal | bool
"""A number with a point is a Decimal where a float would say another one (more than 15 to 17 digits)."""


@dataclass(frozen=True)
class Compare:
    column: str
    op: str
    """One of = != < <= > >=."""
    value: Literal
    at: int


@dataclass(frozen=True)
class In:
    column: str
    values: tuple[Literal, ...]
    has_null: bool
    at: int


@dataclass(frozen=True)
class IsNull:
    column: str
    at: int


@dataclass(frozen=True)
class Like:
    column: str
    pattern: str
    at: int


@dataclass(frozen=True)
class Truth:
    """A boolean column by itself."""

    column: str
    at: int


@dataclass(frozen=True)
class Constant:
    value: bool | None


@dataclass(frozen=True)
class Not:
    inner: Node


@dataclass(frozen=True)
class And:
    left: Node
    right: Node


@dataclass(frozen=True)
class Or:
    left: Node
    right: Node


Leaf = Compare | In | IsNull | Like | Truth
Node = Leaf | Constant | Not | And | Or


def columns_of(node: Node) -> list[str]:
    """The columns of a tree in the order in which they are named, each once."""
    names: dict[str, None] = {}
    stack: list[Node] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, And | Or):
            stack += [item.right, item.left]
        elif isinstance(item, Not):
            stack.append(item.inner)
        elif not isinstance(item, Constant):
            names[item.column] = None
    return list(names)
