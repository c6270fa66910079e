"""What a short command does not load: time that every run would pay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 300


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    times = pa.array([1_700_000_000_000 + 500 * i for i in range(ROWS)], pa.timestamp("ms", "UTC"))
    kinds = ["click" if i % 4 else "pageview" for i in range(ROWS)]
    pq.write_table(pa.table({"time": times, "session": [f"s{i % 5}" for i in range(ROWS)], "kind": kinds}), path)
    return str(path)


def child(code: str, cache: Path) -> str:
    """What a fresh interpreter prints, with kernels kept in a folder of its own."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    return done.stdout


def test_a_command_loads_no_converter_and_no_dataset(events: str, tmp_path: Path) -> None:
    code = f"""
import sys
from heatgrid.cli import main
assert main(['plan', {events!r}, '--map', 'page=', '--cell', '16', '--quiet']) == 0
print('LOADED', *({{'pydantic', 'pyarrow.dataset', 'pandas', 'rich'}} & set(sys.modules)))
"""
    assert child(code, tmp_path).splitlines()[-1] == "LOADED"


KERNEL = """
import sys
import numpy as np
from numba.core import event
from heatgrid.cpu.late import count_backward
from heatgrid.cpu.cell import make_axis
from heatgrid.cpu.bits import and_mask

compiled = []
class Listener(event.Listener):
    def on_start(self, e): compiled.append(e.data['dispatcher'].py_func.__name__)
    def on_end(self, e): pass
event.register('numba:compile', Listener())
out = np.full(1, 255, np.uint8)
and_mask(np.array([1, 0, 1], np.uint8), out)
found = count_backward(np.array([1, 5, 3], np.int64), np.ones(3, np.uint8))
print(int(found), int(out[0]), len(compiled), 'numba.np.arraymath' in sys.modules)
if 'more' in sys.argv:
    print(int(count_backward(np.array([1, 5, 3], np.int32), np.ones(3, np.uint8))), len(compiled) > 0)
"""


def test_a_kept_kernel_is_loaded_without_the_compiler(tmp_path: Path) -> None:
    first = child(KERNEL, tmp_path).split()
    assert first[:2] == ["1", "253"]
    assert int(first[2]) >= 2
    assert child(KERNEL, tmp_path).split() == ["1", "253", "0", "False"]


def test_a_kernel_that_is_not_kept_is_compiled_after_one_that_is(tmp_path: Path) -> None:
    child(KERNEL, tmp_path)
    told = child(KERNEL.replace("import sys\n", "import sys\nsys.argv.append('more')\n", 1), tmp_path).splitlines()
    assert told == ["1 253 0 False", "1 True"]
