"""Standard input: CSV, JSON lines or an Arrow stream, plain or packed, read once."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa

from heatgrid.sources.files import format_by_magic
from heatgrid.sources.ipc import IpcStream
from heatgrid.sources.parts import Part
from heatgrid.sources.streams import PipeBytes
from heatgrid.sources.text import open_text
from heatgrid.words.errors import InputError

NAME = "standard input"


def open_stdin(format: str, stream: Any = None) -> Part:
    """The part for ``-``."""
    pipe = PipeBytes(sys.stdin.buffer if stream is None else stream, NAME)
    if pipe.packed is None:
        shown = format_by_magic(pipe.peek(64)) if format == "auto" else format
        if shown == "parquet" or pipe.peek(6) == b"ARROW1":
            raise InputError(
                "this format cannot be read from a pipe, its index is at the end",
                code="HG2207",
                where=NAME,
                expected="CSV, JSON lines or an Arrow IPC stream",
                hint="give the file by its name",
            )
        if shown == "ipc":
            return IpcStream(NAME, lambda: pa.PythonFile(pipe.raw, mode="r"), None)
    return open_text(pipe, None if format == "auto" else format)
