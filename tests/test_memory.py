"""The budget of a run: kept by the disk or refused up front; and nothing is left of a run, however it ends."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.demo.generate import write
from heatgrid.engine import cgroup
from heatgrid.engine import memory as memory_module
from heatgrid.engine import scratch as scratch_module
from heatgrid.engine.fold import Fold
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.live import _bytes_of
from heatgrid.engine.memory import LEAST, Memory, Room, open_session_bytes
from heatgrid.engine.room import resident_bytes
from heatgrid.engine.scratch import Scratch
from heatgrid.states.state import State
from heatgrid.states.store import to_bytes
from heatgrid.words.areas import Area
from heatgrid.words.errors import InputError, LimitError, UsageError
from heatgrid.words.plan import Plan
from heatgrid.words.sizes import parse_size

T0 = 1_790_000_000_000
TINY = Room(rows=1, leaf_rows=2000, batch_rows=1000, parts=8)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "events.parquet"
    write(path, 30_000, seed=2)
    return path


def mixed(n: int = 20_000) -> pa.Table:
    """Rows in no order."""
    rng = np.random.default_rng(4)
    return pa.table({
        "time": pa.array(T0 + rng.permutation(n) * 100, pa.timestamp("ms", "UTC")),
        "session": rng.integers(0, 300, n).astype(str), "page": rng.choice(["/a", "/b", "/c"], n),
        "kind": rng.choice(["click", "pageview", "move"], n), "x": rng.random(n) * 90, "y": rng.random(n) * 90,
    })  # fmt: skip


# ---- sizes and budgets


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        ("1.5 GiB", 3 << 29),
        ("512mb", 512_000_000),
        ("4096", 4096),
        (7, 7),
        ("2K", 2000),
        ("3TiB", 3 << 40),
    ],
)
def test_sizes_as_people_write_them(text: str | int, size: int) -> None:
    assert parse_size(text, "here") == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 gigabyte", "0", True, "1e9", "nan"])
def test_what_is_no_size(text: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text, "here")
    assert caught.value.code == "HG1029"


def test_too_little_is_refused_and_the_smallest_that_works_is_named(
    dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LimitError) as caught:
        hg.run(hg.read(dump), memory="20MB")
    assert caught.value.code == "HG4003"
    assert caught.value.hint is not None
    least = caught.value.hint.removeprefix("--memory ")
    assert resident_bytes() < parse_size(least, "hint") <= resident_bytes() + LEAST + 20_000_000
    hg.run(hg.read(dump), memory=parse_size(least, "hint") + 20_000_000)
    assert main(["features", str(dump), "--memory", "20MB"]) == 5
    assert "HG4003" in capsys.readouterr().err


def test_the_flag_beats_the_environment(dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATGRID_MEMORY", "20MB")
    with pytest.raises(LimitError):
        hg.run(hg.read(dump))
    assert Memory("64GB").limit == 64 * 10**9
    monkeypatch.setenv("HEATGRID_MEMORY", "plenty")
    with pytest.raises(UsageError, match="HEATGRID_MEMORY"):
        hg.run(hg.read(dump))


def test_without_a_budget_half_of_what_is_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEATGRID_MEMORY", raising=False)
    monkeypatch.setattr(memory_module, "available_bytes", lambda: 8 << 30)
    monkeypatch.setattr(memory_module, "resident_bytes", lambda: 1 << 30)
    assert (Memory().limit, Memory().hard) == (5 << 30, 9 << 30)
    monkeypatch.setattr(memory_module, "available_bytes", lambda: LEAST * 4 // 3)
    assert Memory().limit == (1 << 30) + LEAST
    with pytest.raises(LimitError):
        Memory(rows=1_000_000)


GIB = 1 << 30


class Groups:
    """A made-up /proc/self/cgroup and what lies below /sys/fs/cgroup."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mount, self.own = root / "cgroup", root / "own"
        monkeypatch.setattr(cgroup, "_MOUNT", self.mount)
        monkeypatch.setattr(cgroup, "_OWN", self.own)

    def add(self, folder: str, limit: str, used: int, cache: int, *, v1: bool = False) -> None:
        names = ("limit_in_bytes", "usage_in_bytes") if v1 else ("max", "current")
        at = self.mount / folder
        at.mkdir(parents=True, exist_ok=True)
        for name, text in zip(names, (limit, str(used)), strict=True):
            (at / f"memory.{name}").write_text(text + "\n")
        stat = f"anon 7\ninactive_file {cache if not v1 else 1}\ntotal_inactive_file {cache if v1 else 1}\nshmem 3\n"
        (at / "memory.stat").write_text(stat)

    def left(self, own: str | None) -> int:
        if own is not None:
            self.own.write_text(own)
        cgroup._limited.cache_clear()
        try:
            return cgroup.left_of(64 * GIB)
        finally:
            cgroup._limited.cache_clear()


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    return Groups(tmp_path, monkeypatch)


def test_files_in_the_cache_are_not_memory_in_use(groups: Groups) -> None:
    """Fails if what the kernel would drop counts as used: a container that had read a large dump refused every run."""
    groups.add(".", str(4 * GIB), 4 * GIB - (50 << 20), 3 * GIB)
    assert groups.left("0::/\n") == 3 * GIB + (50 << 20)
    assert groups.left(None) == 3 * GIB + (50 << 20)
    groups.add(".", "max", 4 * GIB, 3 * GIB)
    assert groups.left("0::/\n") == 64 * GIB
    groups.add(".", str(GIB), 2 * GIB, 1000)
    assert groups.left("0::/\n") == 0
    groups.add(".", str(GIB), 5, 1000)
    assert groups.left("0::/\n") == GIB


def test_the_least_of_all_groups_above_counts(groups: Groups) -> None:
    """Fails if only the root's or only the own group's limit is looked at, or if a path of the host that cannot be
    seen from inside ends the search."""
    groups.add(".", "max", 9 * GIB, 0)
    groups.add("pods", str(8 * GIB), 7 * GIB, GIB)
    groups.add("pods/one", str(4 * GIB), GIB, 0)
    assert groups.left("0::/pods/one\n") == 2 * GIB
    groups.add("pods/one", str(2 * GIB), GIB, 5)
    assert groups.left("0::/pods/one\n") == GIB + 5
    assert groups.left("0::/pods/one/deeper/../still\n") == GIB + 5
    assert groups.left("0::/pods\n") == 2 * GIB
    assert groups.left("0::/../elsewhere\n") == 64 * GIB


def test_control_groups_of_the_first_version(groups: Groups) -> None:
    """Fails if only version 2 is known: the limit was not seen at all, and the run was killed."""
    groups.add("memory", "9223372036854771712", 9 * GIB, 0, v1=True)
    groups.add("memory/docker/abc", str(4 * GIB), 3 * GIB, 2 * GIB, v1=True)
    assert groups.left("5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n") == 3 * GIB
    assert groups.left("4:hugetlb,memory:/docker/abc/not/here\n") == 3 * GIB
    assert groups.left("5:cpu:/docker/abc\n") == 64 * GIB


def test_where_nothing_was_asked_no_option_is_blamed(
    monkeypatch: pytest.MonkeyPatch, groups: Groups, dump: Path
) -> None:
    """Fails if --memory is named though nobody gave it, or if the budget does not ask the groups."""
    monkeypatch.delenv("HEATGRID_MEMORY", raising=False)
    groups.add(".", str(GIB), GIB - (20 << 20), 0)
    groups.own.write_text("0::/\n")
    cgroup._limited.cache_clear()
    try:
        with pytest.raises(LimitError, match="too little memory is free") as caught:
            Memory()
        assert (caught.value.code, caught.value.exit_code) == ("HG4003", 5)
        assert "--memory" not in f"{caught.value.where} {caught.value.value} {caught.value.expected}"
        assert "21MB" in str(caught.value.value)
        groups.add(".", str(GIB), GIB - (20 << 20), 900 << 20)
        free = Memory(rows=10)
        assert free.asked is None
        free.hard = 1
        with pytest.raises(LimitError) as caught:
            free.check()
        assert "--memory" not in str(caught.value)
    finally:
        cgroup._limited.cache_clear()
    monkeypatch.setenv("HEATGRID_MEMORY", "20MB")
    with pytest.raises(LimitError) as caught:
        Memory()
    assert caught.value.where == "HEATGRID_MEMORY"


def test_an_answer_beyond_the_budget_is_one_error(dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = resident_bytes() + (1 << 30)
    calls: list[int] = []

    def held() -> int:
        calls.append(1)
        return budget + 1 if len(calls) > 2 else 100 << 20

    monkeypatch.setattr(memory_module, "resident_bytes", held)
    with pytest.raises(LimitError) as caught:
        hg.run(hg.read(dump), memory=budget)
    assert caught.value.code == "HG4004"


def test_parts_by_what_is_known() -> None:
    room = Room(rows=300 << 20)
    assert room.parts_for(1_000_000, 50) == 8
    assert room.parts_for(200_000_000, 50) == 300
    assert room.parts_for(None, 50) == 256
    assert Room(rows=1 << 20).parts_for(None, 50) == 16


def test_fewer_sessions_stay_open_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Memory(resident_bytes() + (1 << 30))
    assert asked.open_sessions(1 << 17, Plan()) < 1 << 17
    assert asked.open_sessions(2000, Plan()) == 2000
    seen = Plan(layout=[Area(name="f", x0=0, x1=9, y0=0, y1=9)], scroll=True)
    assert 2 * asked.open_sessions(1 << 17, seen) < asked.open_sessions(1 << 17, Plan())
    monkeypatch.setattr(memory_module, "resident_bytes", lambda: 1 << 40)
    assert asked.open_sessions(1 << 17, Plan()) == 1024


LINES = [Area(name=f"f{i}", x0=20 * i, x1=20 * i + 20, y0=60 * i, y1=60 * i + 40) for i in range(12)]
EVERY_WAY: list[dict[str, Any]] = [
    {}, {"by": ("device",)}, {"maps": ("clicks", "first_clicks")}, {"maps": ("clicks", "goal_clicks"), "goal": "input"},
    {"maps": ("clicks", "dwell")},
    {"transitions": ("pages", "features")}, {"friction": ("rage", "error", "quick_back")}, {"scroll": True},
    {"layout": LINES}, {"layout": LINES, "by": ("device",), "every": "day", "scroll": True},
]  # fmt: skip


@pytest.mark.parametrize("fields", EVERY_WAY)
def test_an_open_session_takes_what_the_model_says(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sessions that are all alike, so that the answer stays as it is. Tables double: the mean of several numbers."""
    held: list[int] = []
    finish = Fold.finish

    def looked(fold: Fold) -> State:
        fold.settle()
        held.append(_bytes_of(fold, {id(fold.encoder), *(id(one) for one in fold._ring)}))
        return finish(fold)

    monkeypatch.setattr(Fold, "finish", looked)
    numbers = (32, 3000, 4200, 6000)
    for many in numbers:
        run_plan(hg.read(alike(many)), Plan(frame="page", **fields), max_open=1 << 20, block_rows=4096)
    each = float(np.mean([(some - held[0]) / many for some, many in zip(held[1:], numbers[1:], strict=True)]))
    model = open_session_bytes(Plan(**fields))
    assert 0.45 * model < each <= model, "arrays alone, of what the process takes"


def alike(sessions: int) -> pa.Table:
    """Sessions of 50 rows in 5 views with clicks in 30 cells, all open at once."""
    row = np.repeat(np.arange(50), sessions)
    kinds = np.array(["pageview", "click", "click", "click", "move", "click", "scroll", "click", "move", "click"] * 5)
    return pa.table({
        "time": pa.array(1_790_000_000_000 + row * 1000, pa.timestamp("ms", "UTC")),
        "session": np.tile(np.arange(sessions), 50), "kind": pa.array(kinds[row]),
        "page": pa.array([f"/p{n // 10 % 3}" for n in range(50)]).dictionary_encode().take(pa.array(row)),
        "feature": pa.array([f"f{n * 7 % 12}" for n in range(50)]).dictionary_encode().take(pa.array(row)),
        "device": pa.array(["a", "b"]).dictionary_encode().take(pa.array(row % 2)),
        "x": row * 20.0, "y": row * 15.0, "viewport_w": np.full(len(row), 1200), "viewport_h": np.full(len(row), 800),
        "scroll_y": np.where(row % 10 > 5, 300.0, 0.0), "page_h": np.full(len(row), 3000),
    })  # fmt: skip


# ---- the scratch file


def test_the_scratch_file_has_no_name(tmp_path: Path) -> None:
    with Scratch(str(tmp_path)) as scratch:
        at = [scratch.put([np.arange(5), np.full(3, 7, np.uint8)]), scratch.put([np.arange(9)])]
        assert list(tmp_path.iterdir()) == []
        assert (scratch.get(at[1], 72).view(np.int64) == np.arange(9)).all()
        assert (scratch.get(40, 3) == 7).all()
        with pytest.raises(InputError, match="cut short"):
            scratch.get(0, 10_000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_knows_no_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", 0, raising=False)
    with Scratch(str(tmp_path)) as scratch:
        scratch.put([np.arange(5)])
        assert list(tmp_path.iterdir()) == []
        assert (scratch.get(0, 40).view(np.int64) == np.arange(5)).all()


def test_a_scratch_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run_plan(hg.read(mixed()), Plan(), room=TINY, scratch=str(tmp_path / "no"))
    assert (caught.value.code, caught.value.where) == ("HG2302", str(tmp_path / "no"))


def test_the_temporary_folder_unless_it_is_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch_module.tempfile, "tempdir", None)
    assert scratch_module.default_folder() == str(tmp_path)
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(scratch_module, "lies_in_memory", lambda folder: True)
    assert scratch_module.default_folder() == "/var/tmp"
    monkeypatch.undo()
    assert scratch_module.lies_in_memory("/dev/shm") == os.path.ismount("/dev/shm")
    assert not scratch_module.lies_in_memory("/")


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_row_26_a_full_scratch_disk_is_one_error(tmp_path: Path) -> None:
    """Fails if Scratch does not translate the errors of its file, or does not close it."""
    files = len(os.listdir("/proc/self/fd"))
    with file_size_limit(100_000), pytest.raises(LimitError) as caught:
        run_plan(hg.read(mixed()), Plan(), room=TINY, scratch=str(tmp_path))
    assert (caught.value.code, caught.value.where, caught.value.exit_code) == ("HG4302", str(tmp_path), 5)
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == files


def test_row_26_a_scratch_disk_that_is_too_small_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the room of the disk is looked at only when it is full."""
    facts = os.statvfs(tmp_path)
    few = os.statvfs_result((facts.f_bsize, 1, *facts[2:4], 100_000, *facts[5:]))
    monkeypatch.setattr(os, "statvfs", lambda folder: few)
    told: list[int] = []
    with pytest.raises(LimitError) as caught:
        run_plan(
            hg.read(mixed()), Plan(), order="any", room=TINY, scratch=str(tmp_path), block_rows=1000,
            progress=lambda rows, total: told.append(rows),
        )  # fmt: skip
    assert (caught.value.code, caught.value.where) == ("HG4303", str(tmp_path))
    assert max(told) < 5000


# ---- streams


def stream_of(table: pa.Table, rows: int = 500) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=rows))


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str)
@pytest.mark.parametrize("room", [1, 300_000, 1 << 30])
def test_a_stream_is_spooled_and_read_again(kind: pa.DataType, room: int, tmp_path: Path) -> None:
    """Fails if a chunk comes back in another place, without its counts, or with another batch's dictionary."""
    table = mixed()
    table = table.set_column(2, "page", table["page"].cast(kind))
    want = run_plan(hg.read(mixed()), Plan(), order="any").state
    got = run_plan(
        hg.read(stream_of(table), where="x < 80"), Plan(), scratch=str(tmp_path),
        room=Room(rows=room, leaf_rows=2000, batch_rows=1000),
    )  # fmt: skip
    assert got.lane == "P"
    assert got.state.ledger.read == want.ledger.read
    want = run_plan(hg.read(mixed(), where="x < 80"), Plan(), order="any").state
    assert to_bytes(got.state) == to_bytes(want)


def test_short_memory_is_not_a_damaged_file() -> None:
    from heatgrid.sources.faults import reading

    with pytest.raises(MemoryError), reading("a.parquet"):
        raise pa.ArrowMemoryError("malloc of size 9 failed")


# ---- however a run ends

SCRIPT = """
import sys, time
import numpy as np, pyarrow as pa
import heatgrid as hg
from heatgrid.cli.fault import guarded
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.memory import Room
from test_memory import TINY, mixed

def tell(rows, total, seen=[]):
    seen.append(rows)
    if rows < seen[-2:][0]:  # the second phase
        print("folding", flush=True)
        time.sleep(60)

def work():
    run_plan(hg.read(mixed()), hg.Plan(), room=TINY, scratch=sys.argv[1], progress=tell)
    return 0

sys.exit(guarded(work, []))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_rows_27_and_29_nothing_is_left_of_a_run_that_was_ended(tmp_path: Path, number: int, code: int) -> None:
    """Fails if the scratch file has a name while it is used."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        assert line == b"folding\n", child.stderr.read().decode()
        opened = [os.readlink(entry) for entry in Path(f"/proc/{child.pid}/fd").iterdir() if entry.exists() or True]
        assert any(str(tmp_path) in name for name in opened)
        sent = time.monotonic()
        child.send_signal(number)
        assert child.wait(timeout=10) == code
        assert time.monotonic() - sent < 2
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_in_the_second_phase_ends_its_threads(tmp_path: Path) -> None:
    import threading

    files, seen = len(os.listdir("/proc/self/fd")), []

    def tell(rows: int, total: int | None) -> None:
        seen.append(rows)
        if rows < seen[-2:][0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(hg.read(mixed()), Plan(), room=TINY, scratch=str(tmp_path), progress=tell, threads=3)
    assert len(os.listdir("/proc/self/fd")) == files
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heatgrid-part")]


@pytest.mark.parametrize("extra", [60, 500, 560, 1000])
def test_row_24_short_of_address_space_it_works_or_says_so(dump: Path, tmp_path: Path, extra: int) -> None:
    """Fails if an allocation that failed escapes as a traceback, is taken for a damaged file, or ends the process."""
    code = (
        "import resource, sys, numpy, pyarrow.parquet, numba\n"
        "from heatgrid import api, heat\nfrom heatgrid.cli import main\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + ({extra} << 20), -1))\n"
        f"sys.exit(main(['features', {str(dump)!r}, '--order', 'any', '--quiet', '-o', {str(tmp_path / 'f.csv')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 5), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 5:
        assert ("[HG4010]" if extra <= 500 else "[HG4") in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == ({"f.csv"} if done.returncode == 0 else set())
    if extra == 1000:
        assert done.returncode == 0


def test_row_30_a_second_run_into_one_output_is_refused_before_it_reads(dump: Path, tmp_path: Path) -> None:
    """Fails if the output is locked only when it is written."""
    target = tmp_path / "f.csv"
    command = [sys.executable, "-c", "import sys; from heatgrid.cli import main; sys.exit(main())", "features"]
    with subprocess.Popen(
        [*command, "-", "--format", "csv", "-o", str(target)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        try:
            child.stdin.write(b"time,session,page,kind\n2026-01-01T00:00:00,s,/a,click\n")
            child.stdin.flush()
            until = time.monotonic() + 20
            while not list(tmp_path.iterdir()) and time.monotonic() < until:
                time.sleep(0.05)
            second = subprocess.run(
                [*command, str(tmp_path / "missing.parquet"), "-o", str(target)], capture_output=True, check=False
            )
            assert second.returncode == 2
            assert b"HG1301" in second.stderr
            child.stdin.close()
            assert child.wait(timeout=30) == 0, child.stderr.read()
        finally:
            child.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


# ---- files that change


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow", "ndjson"])
@pytest.mark.parametrize("change", ["touched", "replaced", "appended"])
@pytest.mark.parametrize("moment", ["before", "while"])
def test_row_18_a_file_that_changes_is_an_error(tmp_path: Path, form: str, change: str, moment: str) -> None:
    """Fails if the file's inode, size or time is not compared, or only when the scan begins or only when it ends."""
    from heatgrid.outputs.tables import write_table

    path = tmp_path / f"a.{form}"
    table = mixed(3000)
    if form == "ndjson":
        path.write_text("".join(f'{{"time": {T0 + i}, "session": "s", "kind": "click"}}\n' for i in range(3000)))
    else:
        write_table(table, path)
    facts = path.stat()

    def alter() -> None:
        if change == "touched":
            os.utime(path, ns=(1, 1))
        elif change == "appended":
            with path.open("ab") as file:
                file.write(b"\n")
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        else:
            other = tmp_path / "other"
            other.write_bytes(path.read_bytes())
            os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            other.replace(path)

    events = hg.read(path)
    if moment == "before":
        alter()
    told: list[int] = []

    def tell(rows: int, total: int | None) -> None:
        if not told and moment == "while":
            alter()
        told.append(rows)

    with pytest.raises(InputError, match="changed while it was read") as caught:
        run_plan(events, Plan(maps=()), progress=tell, block_rows=100, threads=1)
    assert caught.value.code == "HG2206"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("disorder", "scans"), [(1500, 1), (19_000, 2)])
def test_what_breaks_the_order_soon_is_read_once(disorder: int, scans: int) -> None:
    """Fails if the first blocks are not kept, or are kept for longer than said."""
    table = mixed().sort_by("time")
    order = np.arange(table.num_rows)
    order[disorder : disorder + 500] = order[disorder : disorder + 500][::-1]
    source = hg.read(table.take(order))
    made: list[int] = []
    scan = source.scan

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return scan(*args, **kwargs)

    source.scan = counted  # type: ignore[method-assign]
    outcome = run_plan(source, Plan(lateness_ms=0), block_rows=1000)
    assert (outcome.lane, len(made)) == ("P", scans)
    want = run_plan(hg.read(table.take(order)), Plan(lateness_ms=0), order="any").state
    assert to_bytes(outcome.state) == to_bytes(want)
