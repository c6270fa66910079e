"""Paths of sessions as a tree in canonical form, and the union of two trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import trie
from heatgrid.states.state import Paths
from heatgrid.words.errors import LimitError

Tree = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64]]
MOST_NODES = 1 << 30


def new_tree(room: int) -> Tree:
    """(hash table, parents, codes, how many): the root alone, with room for more nodes."""
    parents, codes = np.full(room, -1, np.int32), np.full(room, -1, np.int32)
    return np.full(4 * room, -1, np.int32), parents, codes, np.ones(1, np.int64)


def larger(tree: Tree) -> Tree:
    """The same tree with twice the room."""
    _, parents, codes, used = tree
    n = len(parents)
    if n >= MOST_NODES:
        raise LimitError(
            "too many different paths", code="HG4110", where="paths", value=f"{n:,} beginnings of paths",
            expected=f"fewer than {MOST_NODES:,}", hint="rules that group pages, or transitions without paths",
        )  # fmt: skip
    table, more_parents, more_codes, _ = new_tree(2 * n)
    more_parents[:n], more_codes[:n] = parents, codes
    trie.rebuild(table, more_parents, more_codes, int(used[0]))
    return table, more_parents, more_codes, used


def sort_paths(paths: Paths) -> None:
    """Every path before those that go on from it, these in the order of their next name. In place."""
    n = len(paths.parents) + 1
    parents = np.concatenate([[-1], paths.parents + 1])
    codes = paths.keys[:, 0]
    order = np.lexsort((codes, paths.parents)) + 1
    first, following = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    siblings = parents[order[1:]] == parents[order[:-1]]
    following[order[:-1][siblings]] = order[1:][siblings]
    eldest = np.concatenate([[True], ~siblings])[: len(order)]
    first[parents[order[eldest]]] = order[eldest]
    number = np.empty(n, np.int64)
    trie.preorder(first, following, parents, number)
    place = np.argsort(number)[1:]
    paths.keys = paths.keys[place - 1]
    paths.ended = paths.ended[place - 1]
    paths.parents = number[parents[place]] - 1
    if paths.split is not None:
        paths.split.keys[:, -1] = number[paths.split.keys[:, -1] + 1] - 1


def merge_paths(
    a: Paths, b: Paths, keys_a: npt.NDArray[Any], keys_b: npt.NDArray[Any]
) -> tuple[Paths, list[npt.NDArray[np.int64]]]:
    """The paths of both, and the rows in them of the rows of each; keys: their codes in the names of the sum."""
    room = 1 << max(4, (len(a.parents) + len(b.parents) + 1).bit_length())
    tree = new_tree(room)
    ended = np.zeros(room, np.int64)
    rows = []
    for part, keys in ((a, keys_a), (b, keys_b)):
        place = np.zeros(len(part.parents) + 1, np.int64)
        parents = np.concatenate([[-1], part.parents + 1])
        trie.graft(1, parents, np.concatenate([[-1], keys[:, 0]]), place, *tree)
        ended[place[1:]] += part.ended
        rows.append(place[1:] - 1)
    _, parents32, codes, used = tree
    n = int(used[0])
    whole = Paths(a.dims, codes[1:n, None].astype(np.int64), parents32[1:n].astype(np.int64) - 1, ended[1:n])
    return whole, rows
