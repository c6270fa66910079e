"""The memory that a run may take: what the process holds, what rows may have of it, and the refusal of too little."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass

import pyarrow as pa

from heatgrid.engine.room import addresses_left, available_bytes, resident_bytes
from heatgrid.words.errors import LimitError
from heatgrid.words.plan import DWELL_LAYER, GOAL_LAYER, OF_VIEWS, Plan
from heatgrid.words.sizes import parse_size, shown_size

LEAF_ROWS = 1 << 17
BATCH_ROWS = 1 << 20
PIECE_BYTES = 1 << 20
"""A part's rows should lie in the scratch file in pieces of so much: below, disks that turn wait for each."""
LEAST = 160 << 20
"""What a run takes beside what the process held before, at least: blocks in flight, leaves, a small answer."""
FLIGHT_ROW_BYTES, FLIGHT_ROWS = 128, 2_000_000
"""Of rows that are decoded ahead, as far as there are as many."""
LEAST_ROWS = 24 << 20
PLENTY = 1 << 30
ADDRESSES = 512 << 20
"""What looking at an input may take of the address space: Arrow's threads and their allocators, 250 to 440 MiB seen."""
_FREE = "the memory of this machine, or of its container"
OPEN_SESSION_BYTES = 2750
"""Of an open session of 50 rows with clicks in 30 cells, measured: 1,606 of them are its set of cells."""
SPLIT_BYTES, OF_VIEWS_BYTES, GOAL_BYTES, FRICTION_BYTES = 1250, 1000, 3100, 1900
TRANSITIONS_BYTES, SCROLL_BYTES, EXPOSURE_BYTES, DWELL_BYTES = 750, 700, 4500, 2000
"""What such a session (5 views; 12 features with a line on a page) takes beside it where the plan asks for more."""


@dataclass(frozen=True)
class Room:
    """What lane P may use. rows : bytes of rows in memory; parts : None: by the number of rows."""

    rows: int
    leaf_rows: int = LEAF_ROWS
    batch_rows: int = BATCH_ROWS
    parts: int | None = None

    def parts_for(self, hint: int | None, row_bytes: int) -> int:
        """How many parts: small ones if all fits in memory; else none whose pieces on the disk are tiny."""
        if self.parts is not None:
            return self.parts
        by_disk = min(4096, max(16, self.rows // PIECE_BYTES))
        if hint is None:
            return min(256, by_disk)
        by_rows = max(1, min(4096, -(-hint // self.leaf_rows)))
        return by_rows if hint * row_bytes <= self.rows else min(by_rows, by_disk)


class Memory:
    """asked : bytes that the process may hold in all, what it held before included; None: half of what is free.

    rows : of the input, where known. Raises LimitError HG4003 if it is less than the smallest that works.
    """

    def __init__(self, asked: int | str | None = None, rows: int | None = None) -> None:
        text = os.environ.get("HEATGRID_MEMORY") if asked is None else asked
        self.asked = "--memory" if asked is not None else "HEATGRID_MEMORY" if text else None
        held = resident_bytes()
        needed = LEAST + FLIGHT_ROW_BYTES * min(FLIGHT_ROWS, rows or 0)
        if text:
            self.limit = self.hard = parse_size(text, "memory" if asked is not None else "HEATGRID_MEMORY")
        else:
            free = available_bytes()
            self.limit, self.hard = held + max(free // 2, min(free * 9 // 10, needed)), held + free
        if self.limit < held + needed:
            raise self._too_little(held, needed)

    def left(self) -> int:
        return max(0, self.limit - resident_bytes())

    def open_sessions(self, most: int, plan: Plan) -> int:
        """How many sessions may be open in one pass."""
        return max(1024, min(most, self.left() // 4 // open_session_bytes(plan)))

    def spool(self) -> int:
        """Bytes of a stream kept in memory in case that it must be read again."""
        return self.left() // 4

    def room(self) -> Room:
        """For rows in parts, now that the first of them are decoded: half of what is left, the rest for the answer."""
        rows = max(LEAST_ROWS, self.left() // 2)
        return Room(rows, batch_rows=min(BATCH_ROWS, max(1 << 16, rows // 256)))

    def short(self) -> bool:
        """So little is left that rows should leave the memory at once."""
        return self.left() * 8 < self.limit

    def decoders(self, threads: int) -> int:
        """Threads that decode: each has a row group in the air."""
        return threads if self.left() > PLENTY else 1

    def check(self) -> None:
        """Refuse to go on beyond the limit: the answer itself does not fit."""
        held = resident_bytes()
        if held > self.hard:
            raise LimitError(
                "the answer does not fit in the memory that the run may take", code="HG4004",
                where=self.asked or _FREE,
                value=f"{shown_size(held)} held, {shown_size(self.hard)} " + ("allowed" if self.asked else "there"),
                expected=f"at least {shown_size(held * 5 // 4)}",
                hint=(f"--memory {shown_size(held * 3 // 2, 'GB')}; or " if self.asked else "")
                + "a larger --cell, fewer --by, no --distinct",
            )  # fmt: skip

    def _too_little(self, held: int, needed: int) -> LimitError:
        if self.asked is None:
            return LimitError(
                "too little memory is free", code="HG4003", where=_FREE,
                value=f"{shown_size(self.hard - held, 'MB')} are free",
                expected=f"at least {shown_size(needed * 10 // 9, 'MB')}",
                hint="end what else runs here, or give the container more; "
                f"--memory {shown_size(held + needed, 'MB')} tries it all the same",
            )  # fmt: skip
        least = held + needed
        return LimitError(
            "the memory that the run may take is too little", code="HG4003", where=self.asked,
            value=shown_size(self.limit), expected=f"at least {shown_size(least, 'MB')} for this process",
            hint=f"--memory {shown_size(least, 'MB')}",
        )  # fmt: skip


def check_addresses() -> None:
    """Refuse to open an input in too little address space: Arrow ends the process where a thread of its gets none."""
    left = addresses_left()
    if left < ADDRESSES:
        raise LimitError(
            "too little address space is left", code="HG4010", where="RLIMIT_AS (ulimit -v)",
            value=f"{shown_size(left, 'MB')} are left", expected=f"at least {shown_size(ADDRESSES, 'MB')}",
            hint="raise the limit, or limit what is resident instead: --memory",
        )  # fmt: skip


def open_session_bytes(plan: Plan) -> int:
    """What an open session takes, some 50 rows of it, by what is counted of them."""
    splits = (1 + bool(plan.by)) * (1 + (plan.every is not None)) - 1
    more = (
        (OF_VIEWS_BYTES, set(OF_VIEWS) & set(plan.maps)), (GOAL_BYTES, GOAL_LAYER in plan.maps),
        (FRICTION_BYTES, plan.rules), (TRANSITIONS_BYTES, plan.transitions), (SCROLL_BYTES, plan.scroll),
        (EXPOSURE_BYTES, plan.exposure and plan.known_layout), (DWELL_BYTES, DWELL_LAYER in plan.maps),
    )  # fmt: skip
    return OPEN_SESSION_BYTES + SPLIT_BYTES * splits + sum(size for size, asked in more if asked)


def give_back() -> None:
    """Let the allocators return what was freed: a pass that was begun and left held row groups and sessions."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
