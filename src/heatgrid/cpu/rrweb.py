"""The tape of an rrweb recording as rows: what the events say, then, in the order of time, where on the page it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight
from heatgrid.cpu.json import ARRAY, NUMBER, OBJECT
from heatgrid.cpu.jsonpick import REAL, WHOLE, parse

WORDS = (
    "type", "data", "timestamp", "source", "positions", "x", "y", "id", "timeOffset", "pointerType", "width", "height",
    "href", "node", "initialOffset", "left", "top", "adds", "parentId", "childNodes", "tagName", "textContent",
    "attributes", "tag", "payload", "plugin", "level",
    # below attributes
    "class", "role", "name", "alt", "title", "aria-label", "onclick", "data-testid", "data-test-id", "data-test",
    "data-qa", "data-cy", "data-track", "data-attr", "data-feature", "data-action",
    # below payloads
    "url", "state", "visibilityState", "isChecked", "cv",
)  # fmt: skip
"""Of these a tape is made; codes are 1 + the place."""
(
    _TYPE, _DATA, _TIMESTAMP, _SOURCE, _POSITIONS, _X, _Y, _ID, _OFFSET, _POINTER, _WIDTH, _HEIGHT,
    _HREF, _NODE, _INITIAL, _LEFT, _TOP, _ADDS, _PARENT, _CHILDREN, _TAG_NAME, _TEXT, _ATTRIBUTES,
) = range(1, 24)  # fmt: skip

META, MOVE, TOUCH_MOVE, DRAG, SCROLL, RESIZE, INPUT, MEDIA, SELECTION, MUTATION, CUSTOM, PLUGIN, SNAPSHOT, LOADED = (
    range(1, 15)
)
"""Kinds of rows; INTERACTION + n is rrweb's mouse interaction n."""
INTERACTION = 32
CLICK, TOUCH_START, TOUCH_END = INTERACTION + 2, INTERACTION + 7, INTERACTION + 9
MOUSE, PEN, TOUCH = range(3)
TIME, WHAT, X, Y, NODE, POINTER, LINE, FIELDS = range(8)
"""Of a row (float64): ms; what; x and y, or width and height, or left and top; the node's id; the pointer or -1; the
line of its data on the tape."""
FINE, VOID, MUTE, PACKED = range(4)
TAPPED_MS = 1_000
"""So long after a touch, mouse events are those that the browser makes up for pages that know no touch."""
REACTION_MS = 5_000


@tight
def _real(data: Any, lines: Any, t: Any) -> Any:
    """A line's number, or NaN."""
    value = np.nan
    if t >= 0 and lines[t, 0] & 0xFF == NUMBER:
        what, _, found = parse(data, np.int64(lines[t, 1]), np.int64(lines[t, 2]))
        if what == WHOLE or what == REAL:
            value = found
    return value


@tight
def member(lines: Any, t: Any, word: Any) -> Any:
    """The line of a member of the object at line t, the last of its name; -1 if there is none."""
    found = np.int64(-1)
    if t >= 0 and lines[t, 0] & 0xFF == OBJECT:
        child = t + 1
        while child < lines[t, 3]:
            if lines[child, 0] >> 8 == word:
                found = np.int64(child)
            child = np.int64(lines[child, 3])
    return found


@tight
def _row(table: Any, keys: Any, order: Any, snapshot: Any, node: Any) -> Any:
    """The row of a node in a table of nodes, of equal ones the last; -1 if there is none."""
    key = np.int64(snapshot) << 32 | (np.int64(node) & 0xFFFFFFFF)
    low, high = np.int64(0), np.int64(keys.shape[0])
    while low < high:
        middle = (low + high) // 2
        if keys[middle] <= key:
            low = middle + 1
        else:
            high = middle
    return np.int64(order[low - 1]) if low and keys[low - 1] == key else np.int64(-1)


@tight
def elements(
    lines: Any, table: Any, keys: Any, order: Any, rows: Any, field: Any, seen: Any, around: Any, found: Any, used: Any
) -> Any:  # fmt: skip
    """What names need of nodes and of all elements around them, a line of ``found`` each.

    table : int64 (nodes, 4), snapshot, id, parent's id, line; keys, order : its rows by (snapshot, id).
    rows : int64, of the nodes that are asked for. field : int32 by word, the column of an attribute, or -1.
    seen : uint8 by row, 1 for those that have a line already. around : int64 (lines, 2), the row and that of its
    parent, or -1. found : int32 (lines, columns), the line of the tag's name on the tape, then those of attributes (-1:
    none). Returns how many lines there are then.
    """
    for k in range(rows.shape[0]):
        r = np.int64(rows[k])
        while r >= 0 and seen[r] == 0:
            seen[r] = 1
            around[used, 0] = r
            around[used, 1] = _row(table, keys, order, table[r, 0], table[r, 2])
            for c in range(found.shape[1]):
                found[used, c] = -1
            t = np.int64(table[r, 3])
            attributes = np.int64(-1)
            child = t + 1
            while child < lines[t, 3]:
                word = lines[child, 0] >> 8
                if word == _TAG_NAME:
                    found[used, 0] = child
                elif word == _ATTRIBUTES:
                    attributes = np.int64(child)
                child = np.int64(lines[child, 3])
            if attributes >= 0 and lines[attributes, 0] & 0xFF == OBJECT:
                child = attributes + 1
                while child < lines[attributes, 3]:
                    column = field[lines[child, 0] >> 8]
                    if column >= 0:
                        found[used, column] = child
                    child = np.int64(lines[child, 3])
            r = np.int64(around[used, 1])
            used += 1
    return used


@tight
def entries(lines: Any, t: Any, found: Any) -> Any:
    """The lines of what the array at line t holds: int32 in found; how many there are."""
    n = 0
    child = np.int64(t) + 1
    while child < lines[t, 3] and n < found.shape[0]:
        found[n] = child
        n += 1
        child = np.int64(lines[child, 3])
    return n


@tight
def members(lines: Any, t: Any, found: Any) -> Any:
    """The members of the object at line t: int32 (n, 2) of (word, line) in found; how many of them there are."""
    n = 0
    child = np.int64(t) + 1
    while child < lines[t, 3]:
        word = lines[child, 0] >> 8
        if word and n < found.shape[0]:
            found[n, 0] = word
            found[n, 1] = child
            n += 1
        child = np.int64(lines[child, 3])
    return n


@tight
def _put(rows: Any, n: Any, time: Any, what: Any, x: Any, y: Any, node: Any, pointer: Any, line: Any) -> None:
    if n < rows.shape[0]:
        rows[n, TIME] = time
        rows[n, WHAT] = what
        rows[n, X] = x
        rows[n, Y] = y
        rows[n, NODE] = node
        rows[n, POINTER] = pointer
        rows[n, LINE] = line


@tight
def rows_of(data: Any, lines: Any, events: Any, rows: Any, first: Any, status: Any) -> Any:
    """rows (float64, FIELDS) of the events at the lines ``events`` (-1: none); first[e] (int64) = the first of event
    e. status (uint8) of each: FINE, VOID (no type or no time), MUTE (says nothing of use), PACKED.

    Returns the number of rows, which may be more than there is room for.
    """
    n = 0
    for e in range(events.shape[0]):
        first[e] = n
        t = np.int64(events[e])
        status[e] = VOID
        if t < 0:
            continue
        kind = _real(data, lines, member(lines, t, _TYPE))
        time = _real(data, lines, member(lines, t, _TIMESTAMP))
        if not (0 <= kind <= 6) or not abs(time) < 2.0**53:
            continue
        status[e] = MUTE
        inside = member(lines, t, _DATA)
        if kind in (2, 3) and (inside < 0 or lines[inside, 0] & 0xFF != OBJECT):
            status[e] = PACKED
            continue
        node = _real(data, lines, member(lines, inside, _ID))
        x = _real(data, lines, member(lines, inside, _X))
        y = _real(data, lines, member(lines, inside, _Y))
        width = _real(data, lines, member(lines, inside, _WIDTH))
        height = _real(data, lines, member(lines, inside, _HEIGHT))
        if kind == 4:
            _put(rows, n, time, META, width, height, np.nan, -1, inside)
        elif kind == 2:
            start = member(lines, inside, _INITIAL)
            left, top = _real(data, lines, member(lines, start, _LEFT)), _real(data, lines, member(lines, start, _TOP))
            root = _real(data, lines, member(lines, member(lines, inside, _NODE), _ID))
            _put(rows, n, time, SNAPSHOT, left, top, root, -1, inside)
        elif kind == 0:
            _put(rows, n, time, LOADED, np.nan, np.nan, np.nan, -1, inside)
        elif kind == 5 or kind == 6:
            _put(rows, n, time, CUSTOM if kind == 5 else PLUGIN, np.nan, np.nan, np.nan, -1, inside)
        elif kind == 3:
            source = _real(data, lines, member(lines, inside, _SOURCE))
            if source in (1, 6, 12):
                what = MOVE if source == 1 else TOUCH_MOVE if source == 6 else DRAG
                places = member(lines, inside, _POSITIONS)
                status[e] = FINE
                if places < 0 or lines[places, 0] & 0xFF != ARRAY:
                    continue
                p = places + 1
                while p < lines[places, 3]:
                    late = _real(data, lines, member(lines, p, _OFFSET))
                    x, y = _real(data, lines, member(lines, p, _X)), _real(data, lines, member(lines, p, _Y))
                    node = _real(data, lines, member(lines, p, _ID))
                    _put(rows, n, time + (late if abs(late) < 2.0**53 else 0.0), what, x, y, node, -1, p)
                    n += 1
                    p = np.int64(lines[p, 3])
                continue
            pointer = -1.0
            if source == 2:
                which = _real(data, lines, member(lines, inside, _TYPE))
                if not 0 <= which < 32:
                    continue
                what = INTERACTION + int(which)
                told = _real(data, lines, member(lines, inside, _POINTER))
                pointer = told if 0 <= told <= TOUCH else -1.0
            elif source == 3:
                what = SCROLL
            elif source == 4:
                what, x, y = RESIZE, width, height
            elif source == 5:
                what, x, y = INPUT, np.nan, np.nan
            elif source == 7:
                what, x, y = MEDIA, np.nan, np.nan
            elif source == 14:
                what, x, y = SELECTION, np.nan, np.nan
            elif source in (0, 8, 9, 13, 15):
                what, x, y, node = MUTATION, np.nan, np.nan, np.nan
            else:
                continue
            _put(rows, n, time, what, x, y, node, pointer, inside)
        else:
            continue
        status[e] = FINE
        n += 1
    return n


@tight
def place(
    rows: Any, order: Any, fresh: Any, state: Any, out: Any, keep: Any, pages: Any, touched: Any
) -> None:  # fmt: skip
    """Where each row was, in the order of time.

    fresh : uint8 by row, 1 for META and CUSTOM rows that open a page (a META that only takes stock does not).
    state : float64 (4), scroll x and y, window width and height (NaN: not known yet).
    out : float64 (rows, 6): x, y on the page, window width, height, scroll x, y. keep : uint8, 0 drops the row (a
    snapshot, a document's end, a mutation that is no reaction), 2 a scroll of a container. pages : int64, the row that
    opened its page.
    A reaction or selection is on the element that the pointer was on (else it would end the time spent there): its NODE
    is set.
    touched : int8, MOUSE, PEN, TOUCH, or -1 for what no pointer did.
    """
    page = np.int64(-1)
    root = -1.0  # the document's id; -1: no snapshot yet
    touch = -np.inf
    clicked = -np.inf
    answered = True
    under = np.nan
    n = order.shape[0]
    for k in range(n):
        i = np.int64(order[k])
        what = int(rows[i, WHAT])
        time = rows[i, TIME]
        x, y = rows[i, X], rows[i, Y]
        keep[i] = 1
        pointer = int(rows[i, POINTER])
        if what == META:
            if x > 0:
                state[2] = x
            if y > 0:
                state[3] = y
            keep[i] = 0
            if fresh[i] == 1:
                keep[i] = 1
                page = i
                state[0] = 0.0
                state[1] = 0.0
                for m in range(k + 1, n):  # the page may have been opened scrolled
                    j = np.int64(order[m])
                    if rows[j, WHAT] == META:
                        break
                    if rows[j, WHAT] == SNAPSHOT:
                        state[0] = rows[j, X] if abs(rows[j, X]) >= 0 else 0.0
                        state[1] = rows[j, Y] if abs(rows[j, Y]) >= 0 else 0.0
                        break
            x = y = np.nan
        elif what == SNAPSHOT:
            root = rows[i, NODE] if rows[i, NODE] > 0 else -1.0
            if abs(x) >= 0:
                state[0] = x
            if abs(y) >= 0:
                state[1] = y
            keep[i] = 0
            under = np.nan
        elif what == LOADED:
            keep[i] = 0
        elif what == RESIZE:
            if x > 0:
                state[2] = x
            if y > 0:
                state[3] = y
            x = y = np.nan
        elif what == SCROLL:
            if rows[i, NODE] == root or (root < 0 and rows[i, NODE] == 1):
                if abs(x) >= 0:
                    state[0] = x
                if abs(y) >= 0:
                    state[1] = y
            else:
                keep[i] = 2
            x = y = np.nan
        elif what == MUTATION:
            if answered or time - clicked > REACTION_MS:
                keep[i] = 0
            answered = True
            rows[i, NODE] = under
        elif what == SELECTION:
            rows[i, NODE] = under
        elif what == CUSTOM and fresh[i] == 1:
            page = i
        if what == TOUCH_MOVE or TOUCH_START <= what <= INTERACTION + 10:
            touch = time
            pointer = TOUCH
        elif pointer < 0 and (what in (MOVE, DRAG) or INTERACTION <= what <= INTERACTION + 4):
            pointer = TOUCH if time - touch <= TAPPED_MS else MOUSE
        elif pointer < 0 and what > INTERACTION and what != INTERACTION + 5 and what != INTERACTION + 6:
            pointer = MOUSE
        if what <= DRAG or what >= INTERACTION:
            under = rows[i, NODE] if what != META else np.nan
        if what == CLICK:
            clicked = time
            answered = False
        touched[i] = pointer
        pages[i] = page
        out[i, 0] = x + state[0]
        out[i, 1] = y + state[1]
        for c in range(4):
            out[i, 2 + c] = state[(2 + c) % 4]


@tight
def _nodes_of(data: Any, lines: Any, top: Any, parent: Any, out: Any, n: Any, stack: Any) -> Any:
    """The node at line ``top`` and all below it: out[n] (int64) = its id, its parent's id, its line.

    stack : int64 (depth, 2). Returns how many nodes are known then, which may be more than there is room for; a node
    deeper than the stack is left out.
    """
    depth = 0
    t = np.int64(top)
    end = np.int64(lines[t, 3])
    at = parent
    while t < end:
        while depth and t >= stack[depth - 1, 1]:
            depth -= 1
        at = np.int64(stack[depth - 1, 0]) if depth else np.int64(parent)
        kind = lines[t, 0] & 0xFF
        if kind == OBJECT:
            found = _real(data, lines, member(lines, t, _ID))
            past = np.int64(lines[t, 3])
            if abs(found) < 2.0**53:
                if n < out.shape[0]:
                    out[n, 0] = int(found)
                    out[n, 1] = at
                    out[n, 2] = t
                n += 1
                children = member(lines, t, _CHILDREN)
                if children >= 0 and lines[children, 0] & 0xFF == ARRAY and depth < stack.shape[0]:
                    stack[depth, 0] = int(found)
                    stack[depth, 1] = np.int64(lines[children, 3])
                    depth += 1
                    # what follows the children inside the node is passed by its own end, see below
                    t = children + 1
                    continue
            t = past
        else:
            t = np.int64(lines[t, 3])
    return n


@tight
def nodes_told(data: Any, lines: Any, told: Any, out: Any, n: Any, stack: Any) -> Any:
    """The nodes of snapshots and mutations (the lines of their data), in their order; see ``_nodes_of``."""
    for m in range(told.shape[0]):
        t = np.int64(told[m])
        if t < 0:
            continue
        root = member(lines, t, _NODE)
        if root >= 0:
            n = _nodes_of(data, lines, root, np.int64(-1), out, n, stack)
        adds = member(lines, t, _ADDS)
        if adds < 0 or lines[adds, 0] & 0xFF != ARRAY:
            continue
        a = adds + 1
        while a < lines[adds, 3]:
            node = member(lines, a, _NODE)
            parent = _real(data, lines, member(lines, a, _PARENT))
            if node >= 0:
                up = np.int64(parent) if abs(parent) < 2.0**53 else np.int64(-1)
                n = _nodes_of(data, lines, node, up, out, n, stack)
            a = np.int64(lines[a, 3])
    return n
