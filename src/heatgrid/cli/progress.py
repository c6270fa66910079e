"""A bar on stderr while a run goes on, only on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

EVERY_S = 0.1
FIRST_S = 0.5
"""Runs shorter than this show nothing."""


class Bar:
    """The progress callback of a run: rows done, rows in all (None: not known); never asks to stop."""

    def __init__(self, shown: bool) -> None:
        self.shown = shown and sys.stderr.isatty()
        self.started = time.monotonic()
        self.drawn = 0.0
        self.width = 0

    def __call__(self, done: int, total: int | None) -> bool:
        now = time.monotonic()
        if self.shown and now - self.started >= FIRST_S and now - self.drawn >= EVERY_S:
            self.drawn = now
            self._draw(self.line(done, total, now - self.started))
        return True

    @staticmethod
    def line(done: int, total: int | None, seconds: float, room: int = 30) -> str:
        rate = done / seconds if seconds > 0 else 0.0
        tail = f"{done:,} rows, {rate / 1e6:.1f} M/s"
        if not total:
            return tail
        part = min(1.0, done / total)
        full = round(part * room)
        left = (total - done) / rate if rate else 0.0
        return f"[{'=' * full}{' ' * (room - full)}] {part:4.0%}  {tail}, {left:,.0f} s left"

    def _draw(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self.width))
        sys.stderr.flush()
        self.width = len(text)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.width:
            sys.stderr.write("\r" + " " * self.width + "\r")
            sys.stderr.flush()
