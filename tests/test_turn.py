"""A kernel that is not kept is compiled by one process; the first report has a second process that compiles."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from heatgrid.cli import beside
from heatgrid.cpu import turn

WAITS = "import sys; from heatgrid.cpu import turn; print(turn.begin(sys.argv[1], 'a'), flush=True); sys.stdin.read()"
COMPILES = """
import sys
import numba, numpy as np
from numba.core import event
from heatgrid.cpu.ids import hash_ints as kernel

class Count(event.Listener):
    n = 0
    def on_start(self, event): self.n += event.data["dispatcher"] is kernel
    def on_end(self, event): pass

event.register("numba:compile", count := Count())
arrays = [np.zeros(2, np.int64) for _ in range(3)]
if sys.argv[1] == "first":
    assert kernel._cache.load_overload(tuple(map(numba.typeof, arrays)), kernel.targetctx) is None
print("ready", flush=True)
if sys.argv[1] == "first":
    sys.stdin.read()
kernel(*arrays)
print(count.n)
"""


def _child(code: str, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | more,
    )  # fmt: skip


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.mark.parametrize("killed", [False, True])
def test_a_turn_is_waited_for_and_dies_with_its_process(tmp_path: Path, killed: bool) -> None:
    """Fails if two processes have one turn, if a turn outlives its process, or if one turn keeps out another."""
    folder = str(tmp_path)
    with _child(WAITS, folder) as first:
        assert _line(first) == "False"
        assert not turn.begin(folder, "b")
        with _child(WAITS, folder) as second:
            time.sleep(0.5)
            assert second.poll() is None
            if killed:
                first.kill()
            else:
                first.communicate("")
            assert _line(second) == "True"
            second.communicate("")
    turn.end(folder, "b")
    with _child(WAITS.replace("'a'", "'b'"), folder) as third:
        assert _line(third) == "False"
        third.communicate("")


def test_a_folder_that_cannot_be_written_has_no_turns(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not turn.begin(str(tmp_path / "file" / "folder"), "a")
    turn.end(str(tmp_path / "file" / "folder"), "a")


def test_a_kernel_that_two_processes_want_is_compiled_once(tmp_path: Path) -> None:
    """Fails if the second one compiles it too while the first one has its turn, or never gets it."""
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)}
    with _child(COMPILES, "first", **folder) as first:
        assert _line(first) == "ready"
        with _child(COMPILES, "second", **folder) as second:
            assert _line(second) == "ready"
            assert first.communicate("")[0].strip() == "1"
            assert second.communicate()[0].strip() == "0"


def test_the_first_report_has_help_that_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the other process lives on, or is started where kernels are there already."""
    started = []

    class Other(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"])
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Other)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(beside, "is_first", lambda: False)
    with beside.helped():
        assert not started
    monkeypatch.setattr(beside, "is_first", lambda: True)
    with beside.helped():
        assert started[0].poll() is None
    assert started[0].poll() is not None


def test_what_the_helper_counts_is_what_a_report_counts_last(tmp_path: Path) -> None:
    """Fails if a report's largest kernels are others than the helper's, which would be compiled twice."""
    from heatgrid.cpu import exposure, scroll

    beside.compile_last()
    leaves: list[Any] = [exposure.fold, scroll.fold]
    helped = {leaf: set(leaf.signatures) for leaf in leaves}
    assert all(helped.values())
    from heatgrid import run
    from heatgrid.demo.generate import write
    from heatgrid.demo.site import areas

    write(tmp_path / "events.parquet", 2000, seed=1)
    run(tmp_path / "events.parquet", layout=areas(), scroll=True)
    for leaf, before in helped.items():
        assert set(leaf.signatures) == before
