"""Outputs are whole or not there: failures, full disks, closed folders, kill -9, two runs at once."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from heatgrid.outputs import atomic as module
from heatgrid.outputs.atomic import MARKER, atomic, atomic_dir, output_lock
from heatgrid.words.errors import HeatgridError, InputError, LimitError, UsageError

OLD, NEW = b"old" * 1000, b"new" * 40_000


def child(code: str, *args: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *args], **options)  # type: ignore[call-overload,no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(OLD)
    target.chmod(0o640)
    with atomic(target) as file:
        file.write(NEW)
        assert target.read_bytes() == OLD, "the old file is there until the block ends"
    assert target.read_bytes() == NEW
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(OLD)
    with pytest.raises(failure), atomic(target) as file:  # noqa: PT012
        file.write(NEW)
        raise failure
    assert target.read_bytes() == OLD
    assert names(tmp_path) == ["x.bin"]


def test_text_is_utf8_without_newline_changes(tmp_path: Path) -> None:
    with atomic(tmp_path / "x.txt", "w") as file:
        file.write("é\r\n\n")
    assert (tmp_path / "x.txt").read_bytes() == "é\r\n\n".encode()


def test_a_link_stays_a_link_to_the_new_content(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(OLD)
    (tmp_path / "link").symlink_to("real")
    with atomic(tmp_path / "link") as file:
        file.write(NEW)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == NEW


def test_a_full_device_is_a_limit_and_stays_a_device(tmp_path: Path) -> None:
    """/dev/full; for root, who could replace the machine's own, a node of the same kind."""
    device = "/dev/full"
    if os.access("/dev", os.W_OK):
        device = str(tmp_path / "full")
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
            os.close(os.open(device, os.O_WRONLY))
        except OSError:
            pytest.skip("/dev can be written and no device node can be made elsewhere")
    with pytest.raises(LimitError, match=device) as caught, atomic(device) as file:
        file.write(NEW)
    assert caught.value.code == "HG4301"
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic(tmp_path / "pipe") as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(OLD)
    code = """
        import sys
        from heatgrid.outputs.atomic import atomic
        from heatgrid.words.errors import LimitError
        try:
            with atomic(sys.argv[1]) as file:
                file.write(b"new" * 40_000)
        except LimitError as error:
            sys.exit(error.exit_code)
    """
    done = child(code, str(target), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)))
    assert done.wait(60) == LimitError.exit_code
    assert target.read_bytes() == OLD
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("make", [atomic, atomic_dir])
def test_a_missing_folder_is_named(tmp_path: Path, make: object) -> None:
    with pytest.raises(InputError, match="does not exist") as caught, make(tmp_path / "no" / "x"):  # type: ignore[operator]
        pytest.fail("the block must not start")
    assert caught.value.code == "HG2301"
    assert caught.value.where == str(tmp_path / "no")


def test_a_read_only_folder_is_an_input_error(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "x").write_bytes(OLD)
    folder.chmod(0o555)
    tmp_path.chmod(0o755)
    # pytest's own folders are closed to the other user that root becomes here
    for parent in (p for p in tmp_path.parents if "pytest" in str(p)):
        parent.chmod(parent.stat().st_mode | 0o011)
    code = """
        import os, sys
        from heatgrid.outputs.atomic import atomic, atomic_dir
        from heatgrid.words.errors import InputError
        if os.getuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for make in (atomic, atomic_dir):
            try:
                with make(sys.argv[1] if make is atomic else sys.argv[1] + "dir"):
                    sys.exit("the block must not start")
            except InputError as error:
                print(error.code)
    """
    done = child(code, str(folder / "x"), stdout=subprocess.PIPE)
    out, _ = done.communicate(timeout=60)
    assert out.split() == [b"HG2301", b"HG2301"]
    assert (folder / "x").read_bytes() == OLD
    assert names(folder) == ["x"]


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HG2301"), atomic(tmp_path):
        pytest.fail("the block must not start")


@pytest.mark.parametrize("bad", ["", "a\0b"])
def test_an_unusable_name_is_a_usage_error(bad: str) -> None:
    with pytest.raises(UsageError, match="HG1303"), atomic(bad):
        pytest.fail("the block must not start")


def test_errors_of_other_files_and_closed_pipes_pass_through(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), atomic(tmp_path / "x"):
        raise BrokenPipeError(errno.EPIPE, "closed")
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "x"):
        os.stat("/nonexistent-input-file")
    assert names(tmp_path) == []


def test_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(bytes(300_000))
    code = """
        import sys
        from heatgrid.outputs.atomic import atomic
        n = 1
        while True:
            with atomic(sys.argv[1]) as file:
                for _ in range(300):
                    file.write(bytes([n % 256]) * 1000)
            n += 1
    """
    seen = set()
    for i in range(6):
        run = child(code, str(target))
        time.sleep(0.35 + 0.013 * i)
        run.send_signal(signal.SIGKILL)
        run.wait()
        data = target.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1, "a mixture of two writes"
        seen.add(data[0])
    assert len(seen) > 1, "no write ever ended: the test would prove nothing"
    with atomic(target) as file:
        file.write(NEW)
    assert names(tmp_path) == ["x.bin"], "what the killed runs left is gone"


def test_two_writers_of_one_output_the_second_is_refused(tmp_path: Path) -> None:
    with atomic(tmp_path / "x") as file:
        file.write(NEW)
        with pytest.raises(UsageError, match="HG1301"), atomic(tmp_path / "x"):
            pytest.fail("the block must not start")
    with atomic_dir(tmp_path / "d"), pytest.raises(UsageError, match="HG1301"), atomic_dir(tmp_path / "d"):
        pytest.fail("the block must not start")
    with output_lock(tmp_path / "y"), pytest.raises(UsageError, match="HG1301"), output_lock(tmp_path / "y"):
        pytest.fail("the block must not start")
    assert (tmp_path / "x").read_bytes() == NEW
    assert names(tmp_path) == ["d", "x"]


def fill(folder: Path, mark: str) -> None:
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text(mark)
    (folder / "sub" / "b.txt").write_text(mark)


def marks(folder: Path) -> tuple[str, str]:
    return (folder / "a.txt").read_text(), (folder / "sub" / "b.txt").read_text()


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(module, "_exchange", lambda a, b: False)
    target = tmp_path / "report"
    for mark in ("one", "two", "three"):
        with atomic_dir(target) as folder:
            fill(folder, mark)
            if mark != "one":
                assert marks(target) != (mark, mark)
        assert marks(target) == (mark, mark)
        assert names(tmp_path) == ["report"]
    assert json.loads((target / MARKER).read_text())["files"] == ["a.txt", "sub/b.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_folder_leaves_the_old_one(tmp_path: Path, failure: type[BaseException]) -> None:
    with atomic_dir(tmp_path / "report") as folder:
        fill(folder, "one")
    with pytest.raises(failure), atomic_dir(tmp_path / "report") as folder:  # noqa: PT012
        fill(folder, "two")
        raise failure
    assert marks(tmp_path / "report") == ("one", "one")
    assert names(tmp_path) == ["report"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="HG1302") as caught, atomic_dir(target):
        pytest.fail("the block must not start")
    assert caught.value.value == "thesis.tex"
    assert (target / "thesis.tex").read_text() == "years of work"
    with atomic_dir(tmp_path / "report") as folder:
        fill(folder, "one")
    (tmp_path / "report" / "notes.md").write_text("added by hand")
    with pytest.raises(UsageError, match=r"notes\.md"), atomic_dir(tmp_path / "report"):
        pytest.fail("the block must not start")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="HG1302"), atomic_dir(tmp_path / "file"):
        pytest.fail("the block must not start")


def test_an_interrupted_swap_is_mended_by_the_next_run(tmp_path: Path) -> None:
    """Where two renames are needed, a kill between them leaves the old folder under its second name."""
    with atomic_dir(tmp_path / "report") as folder:
        fill(folder, "one")
    os.rename(tmp_path / "report", tmp_path / ".report.heatgrid-old")
    with pytest.raises(ValueError, match="stop"), atomic_dir(tmp_path / "report") as folder:
        raise ValueError("stop")
    assert marks(tmp_path / "report") == ("one", "one")


def test_kill_at_any_moment_leaves_the_old_or_the_new_folder(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with atomic_dir(target) as folder:
        fill(folder, "0")
    code = """
        import sys
        from heatgrid.outputs.atomic import atomic_dir
        n = 1
        while True:
            with atomic_dir(sys.argv[1]) as folder:
                (folder / "sub").mkdir()
                (folder / "a.txt").write_text(str(n))
                (folder / "sub" / "b.txt").write_text(str(n))
            n += 1
    """
    seen = set()
    for i in range(6):
        run = child(code, str(target))
        time.sleep(0.35 + 0.017 * i)
        run.send_signal(signal.SIGKILL)
        run.wait()
        a, b = marks(target)
        assert a == b, "a mixture of two reports"
        seen.add(a)
    assert len(seen) > 1, "no report ever ended: the test would prove nothing"
    with atomic_dir(target) as folder:
        fill(folder, "last")
    assert marks(target) == ("last", "last")
    assert names(tmp_path) == ["report"]


def test_every_refusal_carries_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(HeatgridError) as caught, atomic(tmp_path / "no" / "x"):
        pytest.fail("the block must not start")
    assert caught.value.hint
    assert str(tmp_path) in str(caught.value)
