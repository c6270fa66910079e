"""heatgrid plan: what a run would do, read from the files' heads only; nothing is counted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from heatgrid.cli import summary, text
from heatgrid.cli.options import EVENTS, Common, Counting, Reading, Running
from heatgrid.cli.work import events_of, plan_of

if TYPE_CHECKING:
    from heatgrid.words.plan import Plan

BLOCK_ROWS = 131_072
ROW_BYTES = 256
"""Decoded columns, codes and scratch of one row in flight."""
HELD_ROW_BYTES = 64
"""A row kept until all are read, where their order does not allow one pass."""
CLOSED_SESSION_BYTES = 32
BASE_BYTES = 250_000_000
"""The interpreter, numba, numpy and pyarrow with their kernels loaded."""
EVENTS_A_SESSION = 50
TILE_BYTES = 32 * 32 * 4


def plan(*, events: EVENTS, reading: Reading, counting: Counting, running: Running, common: Common) -> None:
    """Rows, memory, device and why; runs nothing.

    Looks at the heads of the files only: what would be read as what, in which order, with how much memory.
    """
    from heatgrid.engine.memory import Memory, open_session_bytes
    from heatgrid.engine.scratch import default_folder

    asked = plan_of(counting, reading)
    each = open_session_bytes(asked)
    source = events_of(events, reading)
    threads = running.threads or cores()
    streamed = memory(source.rows_hint, asked, threads)
    budget = Memory(running.memory, source.rows_hint)
    rows = HELD_ROW_BYTES * (source.rows_hint or 0)
    on_disk = rows if streamed + rows > budget.limit else 0
    held = max(streamed, min(streamed + rows, budget.limit))
    likely = held if running.order == "any" else streamed
    device = device_of(running.backend, asked, source.rows_hint)
    order = order_of(running.order, source.columns)
    if common.json:
        summary.emit(
            "plan", rows=source.rows_hint, memory_bytes=likely, memory_bytes_unordered=held,
            memory_limit=budget.limit, disk_bytes_unordered=on_disk, open_session_bytes=each,
            closed_session_bytes=CLOSED_SESSION_BYTES, threads=threads, device=device, order=order,
            columns=source.columns, notes=source.notes, inputs=source.inputs, plan=asked.as_dict(),
            plan_hash=asked.hash(),
        )  # fmt: skip
        return
    names = [str(one["name"]) for one in source.inputs]
    columns = (name if name == column else f"{name} = {column}" for name, column in source.columns.items())
    lines = [
        ("inputs", f"{len(names):,}: " + ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")),
        ("rows", "not known before they are read" if source.rows_hint is None else f"{source.rows_hint:,}"),
        ("columns", ", ".join(columns)),
        ("counts", ", ".join([*asked.maps, *asked.tables]) or "nothing"),
        ("cells", f"{asked.cell_size[0]:g} x {asked.cell_size[1]:g} px"),
        ("order", order),
        ("memory", f"about {text.size(likely)}" + _if_unordered(running.order, source.rows_hint, held)),
        (
            "",
            f"at most {text.size(budget.limit)}; unordered rows beyond go to {running.scratch or default_folder()}"
            + (f", {text.size(on_disk)} of them" if on_disk else ""),
        ),
        ("session", f"{each:,} bytes while it is open, {CLOSED_SESSION_BYTES} once closed"),
        ("threads", str(threads)),
        ("device", device),
        *(("note", note) for note in source.notes),
    ]
    for name, line in lines:
        text.put(f"{name:<9}{text.clean(line)}")


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(rows: int | None, asked: Plan, threads: int) -> int:
    """A rough upper estimate: the program, rows in flight, sessions, tiles and keys of the answer."""
    from heatgrid.engine.memory import open_session_bytes

    flight = BLOCK_ROWS * ROW_BYTES * (threads + 2)
    sessions = (rows or 50_000_000) // EVENTS_A_SESSION
    kept = sessions * CLOSED_SESSION_BYTES + min(sessions, 100_000) * open_session_bytes(asked)
    tiles = 5_000 * TILE_BYTES * max(1, len(asked.maps)) * max(1, 4 * len(asked.by))
    users = 24 * sessions if asked.distinct else 0
    return BASE_BYTES + flight + kept + tiles + users


def device_of(backend: str, asked: Plan, rows: int | None) -> str:
    """Which device a run would take, and why."""
    from heatgrid.engine.backend import for_plan

    choice = for_plan(backend, asked, rows)
    return f"{choice.meta['backend']}: {choice.reason}"


def _if_unordered(order: str, rows: int | None, held: int) -> str:
    if order != "auto":
        return ""
    return f"; about {text.size(held)} if the rows turn out unordered" if rows else "; more if the rows are unordered"


def order_of(order: str, columns: dict[str, str]) -> str:
    if order != "auto":
        return f"{order} (declared; a breach is an error)"
    if "time" not in columns:
        return "any (no time column: no sessions in time)"
    return "time first (no sort); partitioned by session if a row breaks it"
