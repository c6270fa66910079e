"""What a short command does not load: time that every run would pay."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heatgrid.cpu import kept

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


def test_numbas_own_cache_does_where_its_internals_are_others(tmp_path: Path) -> None:
    gone = "import numba.core.caching\ndel numba.core.caching.CompileResultCacheImpl\n"
    first = child(gone + KERNEL, tmp_path).split()
    assert first[:2] == ["1", "253"]
    assert int(first[2]) >= 2
    assert child(gone + KERNEL, tmp_path).split() == ["1", "253", "0", "True"]


def test_a_numba_that_was_not_tried_gets_its_compiler_ready(tmp_path: Path) -> None:
    newer = "import numba\nnumba.__version__ = '0.99.0'\n"
    child(newer + KERNEL, tmp_path)
    assert child(newer + KERNEL, tmp_path).split() == ["1", "253", "0", "True"]


class Kernels:
    """Fresh dispatchers of one function, as a new process would make them, with kernels kept in ``folder``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source, self.folder = folder / "twice.py", folder / "kernels"
        self.folder.mkdir()
        self.source.write_text("def twice(values):\n    for i in range(values.shape[0]):\n        values[i] *= 2\n")
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(self.folder))
        spec = importlib.util.spec_from_file_location("twice", self.source)
        assert spec is not None
        assert spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def made(self) -> Any:
        kept.stamp.cache_clear()
        kept._source.cache_clear()
        return kept.keep(numba.njit(nogil=True)(self.module.twice))

    def loaded(self, made: Any = None, kind: type = np.int64) -> bool:
        """Whether the kernel was found; its answer is right in any case."""
        made = self.made() if made is None else made
        values = np.arange(5, dtype=kind)
        made(values)
        assert values.tolist() == [0, 2, 4, 6, 8]
        return bool(made.stats.cache_hits)

    def files(self, end: str) -> list[Path]:
        return sorted(self.folder.rglob("*" + end))


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    return Kernels(tmp_path, monkeypatch)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an empty index": (".nbi", lambda path: path.write_bytes(b"")),
    "another's index": (".nbi", lambda path: path.write_bytes(b"not an index at all")),
    "half an index": (".nbi", lambda path: path.write_bytes(path.read_bytes()[:-20])),
    "half a kernel": (".nbc", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])),
    "a bit of the code": (".nbc", flip),
    "no kernel": (".nbc", Path.unlink),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_kernel_is_compiled_again_and_kept(kernels: Kernels, damage: str) -> None:
    end, spoil = DAMAGE[damage]
    assert not kernels.loaded()
    assert kernels.loaded()
    (path,) = kernels.files(end)
    spoil(path)
    assert not kernels.loaded()
    assert kernels.loaded()


def test_a_kernel_for_other_types_is_not_taken(kernels: Kernels) -> None:
    made = kernels.made()
    kernels.loaded(made, np.int64)
    kernels.loaded(made, np.float64)
    one, other = kernels.files(".nbc")
    swap = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(swap)
    assert not kernels.loaded(kind=np.int64)


def test_a_kernel_is_stale_when_what_it_imports_has_changed(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PACKAGE", kernels.source.parent)
    for name, text in {
        "cpu/near.py": "from heatgrid.words import (\n    far,\n)\n",
        "words/far.py": "",
        "other.py": "",
    }.items():
        path = kernels.source.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    kernels.source.write_text("from heatgrid.cpu.near import a\n" + kernels.source.read_text())
    assert not kernels.loaded()
    (kernels.source.parent / "other.py").write_text("changed = 1\n")
    assert kernels.loaded()
    (kernels.source.parent / "words/far.py").write_text("changed = 1\n")
    assert not kernels.loaded()


def test_where_nothing_can_be_kept_kernels_work(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    full = kernels.made()
    shutil.rmtree(kernels.folder)
    kernels.folder.write_text("not a folder any more")
    assert not kernels.loaded(full)

    def refused(_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("numba.core.caching._CacheLocator.ensure_cache_path", refused)
    with pytest.raises(RuntimeError):
        numba.njit(cache=True)(kernels.module.twice)
    assert not kernels.loaded()


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
def test_the_process_goes_without_pandas_until_it_is_asked_for(events: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.argv[1:] = ['features', {events!r}, '--map', 'feature=kind', '--quiet']
from heatgrid.cli import program, with_pandas
assert program() == 0
print('LOADED', 'pandas' in sys.modules)
with_pandas()
import pandas
"""
    assert child(code, tmp_path).splitlines()[-1] == "LOADED False"


def test_after_doctor_warm_a_report_compiles_nothing(events: str, tmp_path: Path) -> None:
    code = f"""
import sys
from heatgrid.cli import main, warm
def signatures():
    leaves = [v for m in list(sys.modules) if m.startswith('heatgrid.') for v in vars(sys.modules[m]).values()]
    return {{(v.__module__, v.__name__, s) for v in leaves if hasattr(v, 'signatures') for s in v.signatures}}
warm.STEPS = {{name: warm.STEPS[name] for name in list(warm.STEPS)[:2]}}
assert 'ready' in warm.warmed(quiet=False)
before = signatures()
assert len(before) > 20
assert main(['report', {events!r}, '-o', {str(tmp_path / "report")!r}, '--quiet']) == 0
print('NEW', *sorted(signatures() - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    assert done.stdout.splitlines()[-1] == "NEW"
    assert [line.split("s  ")[1] for line in done.stderr.splitlines()] == [
        "1 of 2: the demo's events", "2 of 2: a report: maps, times, features, transitions",
    ]  # fmt: skip
