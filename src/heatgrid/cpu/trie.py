"""Paths of sessions as one tree: a node is a path so far, its parent the path without its last step.

An open session keeps the number of its node and nothing else; the tree holds each distinct beginning of a path once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.ids import spread
from heatgrid.cpu.jit import fused, tight

ROOT = 0


@fused
def _child(table: Any, parents: Any, codes: Any, used: Any, parent: Any, code: Any) -> Any:
    """The node of a path one step longer; -1 if it is new and there is no room."""
    mask = np.uint64(table.shape[0] - 1)
    h = spread((np.int64(parent) << 32) | np.int64(code)) & mask
    while table[h] >= 0:
        node = np.uint64(table[h])
        if parents[node] == parent and codes[node] == code:
            break
        h = (h + np.uint64(1)) & mask
    found = np.int64(table[h])
    if found < 0 and used[0] < parents.shape[0]:
        found = used[0]
        used[0] += 1
        parents[np.uint64(found)] = parent
        codes[np.uint64(found)] = code
        table[h] = found
    return found


@tight
def walk(
    start: Any, stop: Any, rows: Any, slot: Any, code: Any, here: Any, table: Any, parents: Any, codes: Any, used: Any
) -> Any:  # fmt: skip
    """Take the steps rows[start:stop]; here : node by slot. Returns where the nodes ran out, or stop."""
    for n in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(rows[n])
        s = np.uint64(slot[i])
        g = np.int64(code[i]) if code.shape[0] else np.int64(0)
        node = _child(table, parents, codes, used, here[s], g)
        if node < 0:
            return np.int64(n)
        here[s] = node
    return np.int64(stop)


@tight
def close(slots: Any, here: Any, ended: Any) -> None:
    """The paths of closing sessions end where they are."""
    for k in range(slots.shape[0]):
        s = np.uint64(slots[k])
        ended[np.uint64(here[s])] += 1
        here[s] = ROOT


@tight
def rebuild(table: Any, parents: Any, codes: Any, used: Any) -> None:
    """Fill an empty (all -1) table anew from the nodes."""
    mask = np.uint64(table.shape[0] - 1)
    for node in range(1, used):
        h = spread((np.int64(parents[node]) << 32) | np.int64(codes[node])) & mask
        while table[h] >= 0:
            h = (h + np.uint64(1)) & mask
        table[h] = node


@tight
def graft(start: Any, more_parents: Any, more_codes: Any, place: Any, table: Any, parents: Any, codes: Any,
          used: Any) -> Any:  # fmt: skip
    """Put the nodes of another tree (parents before children, row 0 its root) into this one; place : their nodes here.

    Returns where the nodes ran out, or the number of nodes.
    """
    for k in range(start, more_parents.shape[0]):
        node = _child(table, parents, codes, used, place[more_parents[k]], np.int64(more_codes[k]))
        if node < 0:
            return k
        place[k] = node
    return more_parents.shape[0]


@tight
def preorder(first_child: Any, next_sibling: Any, parents: Any, number: Any) -> None:
    """number[node] = its place when every node stands before its children, and these in the order of siblings."""
    node = np.int64(ROOT)
    done = np.int64(0)
    while node >= 0:
        number[node] = done
        done += 1
        if first_child[node] >= 0:
            node = np.int64(first_child[node])
        else:
            while node != ROOT and next_sibling[node] < 0:
                node = np.int64(parents[node])
            node = np.int64(next_sibling[node]) if node != ROOT else np.int64(-1)


@tight
def passed(parents: Any, through: Any, depth: Any) -> None:
    """through : sessions that end at a node, becomes those that reach it; depth : steps (both without the root).

    A parent of -1 is the root; parents stand before their children.
    """
    for k in range(parents.shape[0]):
        depth[k] = 1 if parents[k] < 0 else depth[parents[k]] + 1
    for back in range(parents.shape[0]):
        k = parents.shape[0] - 1 - back
        if parents[k] >= 0:
            through[parents[k]] += through[k]
