"""The failures that more than one family of sources can meet, as clear errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from heatgrid.words.errors import InputError, shorten


@contextlib.contextmanager
def reading(place: str) -> Iterator[None]:
    """Arrow's errors as ours, with the file that they are about."""
    try:
        yield
    except MemoryError:
        raise  # Arrow's own is an ArrowException too, and says nothing of the file
    except OSError as error:
        if error.errno is not None:
            raise unreadable(place, error) from error
        raise corrupt(place, str(error)) from error
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise corrupt(place, str(error)) from error


def corrupt(place: str, why: str) -> InputError:
    return InputError(
        "the file is damaged or not what its name says",
        code="HG2205",
        where=place,
        value=why.split("\n", maxsplit=1)[0],
        hint="fetch it again, or --on-error skip to leave out what cannot be read",
    )


def unreadable(path: str, error: OSError) -> InputError:
    return InputError(
        f"the file cannot be read: {error.strerror or error}",
        code="HG2203",
        where=path,
        hint="check that it exists and that you may read it, or --on-error skip",
    )


def invalid(name: str, why: str) -> InputError:
    return InputError(
        "the Arrow data is not valid",
        code="HG2218",
        where=name,
        value=why.split("\n", maxsplit=1)[0],
        expected="buffers, offsets and dictionary indices that are in range",
        hint="the program that made it has a fault; write it anew",
    )


def broken_off(name: str, why: str) -> InputError:
    """A producer that gave up: its own words, all lines of them (a database's hint comes in its last)."""
    said = " / ".join(line.strip() for line in why.split("\n") if line.strip(" .\n"))
    return InputError(
        f"the stream broke off: {shorten(said, 800) or 'what gives it says no reason'}",
        code="HG2219",
        where=name,
        expected="batches to the end",
        hint="run the query by itself where it is asked; nothing was counted",
    )


def second_scan(name: str) -> InputError:
    return InputError(
        "the stream was read already and cannot be read again",
        code="HG2216",
        where=name,
        expected="one pass over a stream",
        hint="give a file or a table, or declare order= so that one pass is enough",
    )
