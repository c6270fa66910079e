"""The command line. Loading it is cheap: each command loads what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (DESIGN: 0 to 6, 130, 143)."""
    from heatgrid.cli.fault import INTERRUPTED, guarded

    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int:
        from heatgrid.cli.app import app

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        code = app()(words, prog_name="heatgrid", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return int(code or 0)

    return guarded(work, words)
