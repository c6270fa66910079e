"""A JSON array as lines: each element on a line of its own, in place."""

from __future__ import annotations

from typing import Any

from heatgrid.cpu.jit import leaf

BEFORE, WITHIN, AFTER = 0, 1, 2
_BLANK, _LINE = 0x20, 0x0A


@leaf
def to_lines(data: Any, state: Any) -> None:
    """data : uint8, a stretch of the text; what parts elements becomes a line end, line ends inside them blanks.

    state : int64 (where: BEFORE, WITHIN or AFTER the array; depth below it; in a text; after its backslash), carried
    from one stretch to the next. What stands after the array stays as it is.
    """
    where, depth, text, escaped = state[0], state[1], state[2], state[3]
    for i in range(data.shape[0]):
        byte = data[i]
        if where == AFTER:
            break
        if text:
            if escaped:
                escaped = 0
            elif byte == 0x5C:
                escaped = 1
            elif byte == 0x22:
                text = 0
            continue
        if byte == 0x22:
            text = 1
        elif byte == 0x7B or byte == 0x5B:  # { [
            if where == BEFORE:
                where = WITHIN
                data[i] = _BLANK
            else:
                depth += 1
        elif byte == 0x7D or byte == 0x5D:  # } ]
            if depth == 0:
                where = AFTER
                data[i] = _LINE
            else:
                depth -= 1
        elif byte == 0x2C and depth == 0:
            data[i] = _LINE
        elif byte == 0x0A or byte == 0x0D:
            data[i] = _BLANK
    state[0], state[1], state[2], state[3] = where, depth, text, escaped
