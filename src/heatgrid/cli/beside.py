"""The first report on a machine: a second process compiles the largest kernels while the first does the others.

Numba compiles in one thread, whatever the machine has. Kernels are shared by their folder, each compiled by whoever
comes first (``cpu.turn``): this process begins with what the report needs last. The first demo of 100,000 rows, with
neighbours on the machine: 50 s, with help 38.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from heatgrid.cli.doctor import is_first

_CODE = "from heatgrid.cli.beside import compile_last; compile_last()"


@contextmanager
def helped() -> Iterator[None]:
    """A first run within has help, which ends with it."""
    if not is_first() or (os.cpu_count() or 1) < 2:
        yield
        return
    quiet = subprocess.DEVNULL
    other = subprocess.Popen([sys.executable, "-c", _CODE], stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def compile_last() -> None:
    """Count a few rows with what is counted last, the largest kernels first."""
    import numpy as np

    from heatgrid.api import run
    from heatgrid.cli.report import RULES
    from heatgrid.words.areas import Area

    n = 64
    rows = np.arange(n)
    events = {
        "time": rows * 1000 + 1_600_000_000_000,
        "session": (rows // 16).astype(str),
        "page": (rows // 8 % 2).astype(str),
        "kind": np.array(["pageview", "click", "move", "scroll"])[rows % 4],
        "x": rows * 1.5,
        "y": rows * 2.5,
        "viewport_w": np.full(n, 1280),
        "viewport_h": np.full(n, 720),
        "scroll_y": rows * 3.5,
        "page_h": np.full(n, 4000),
    }
    area = [Area("all", 0, 0, 100, 100)]
    for plan in ({"layout": area, "exposure": True}, {"scroll": True}, {"friction": RULES}):
        run(events, maps=(), **plan)
