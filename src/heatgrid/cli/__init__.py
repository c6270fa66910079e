"""The command line. Loading it is cheap: each command loads what it needs when it runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def program() -> int:
    """`heatgrid` as a process of its own, without what nobody in it needs.

    Collections of garbage while modules load find nothing (0.15 s), those of the interpreter's end find what ends with
    it anyway (0.2 s), and pyarrow loads pandas, where there is one, with the first array that it makes, only to see
    whether it was given one of its own (0.3 s).
    """
    gc.set_threshold(100_000, 50, 50)
    sys.meta_path.insert(0, _WITHOUT)
    code = main()
    gc.freeze()
    return code


class _Without:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("heatgrid's own process goes without it", name=name)


_WITHOUT = _Without()


def with_pandas() -> None:
    """For a command whose peers need it."""
    if _WITHOUT in sys.meta_path:
        sys.meta_path.remove(_WITHOUT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (DESIGN: 0 to 6, 130, 143)."""
    from heatgrid.cli.fault import INTERRUPTED, guarded

    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int:
        from heatgrid.cli.app import app

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        code = app(words)(words, prog_name="heatgrid", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return int(code or 0)

    return guarded(work, words)
