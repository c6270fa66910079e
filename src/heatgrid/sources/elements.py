"""JSON arrays read as JSON lines: a stream whose text is one array gives its elements as lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.cpu.elements import to_lines

if TYPE_CHECKING:
    from heatgrid.sources.files import Identity
    from heatgrid.sources.streams import FileBytes, PipeBytes, Unpacked

_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:[{\]]|$)")


class Elements:
    """A stream as it is, or the elements of its array of objects; line numbers are then those of elements."""

    def __init__(self, stream: Unpacked) -> None:
        self.name = stream.name
        self._stream = stream
        self._state: Any = None
        self._begun = False

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if not self._begun:
            self._begun = True
            if _ARRAY.match(data):
                self._state = np.zeros(4, np.int64)
                data = data.removeprefix(b"\xef\xbb\xbf")
        if self._state is None or not data:
            return data
        text = np.frombuffer(data, np.uint8).copy()
        to_lines(text, self._state)
        return text.tobytes()

    def close(self) -> None:
        self._stream.close()


class ElementsOf:
    """A source whose arrays are read as lines."""

    def __init__(self, source: FileBytes | PipeBytes) -> None:
        self._source = source
        self.name = source.name
        self.identity: Identity | None = source.identity
        self.replayable = source.replayable

    def open(self) -> Elements:
        return Elements(self._source.open())
