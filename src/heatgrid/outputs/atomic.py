"""Outputs that appear complete or not at all: a temporary name beside the target, fsync, then one rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from heatgrid.words.errors import HeatgridError, InputError, LimitError, UsageError

MARKER = ".heatgrid.json"
"""Names the files of a folder that we made: only such a folder, or an empty one, is ever replaced."""
FRESH = ".heatgrid-new"
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_CLOSED |= {errno.EBUSY, errno.ELOOP, errno.EIO, errno.ENXIO}
_NO_LOCKS = {errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL}
_EXCHANGE = 2
_HERE = -100


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A file to write into; it takes the place of ``path`` only when the block has ended well.

    On any failure, Ctrl-C included, the old file stays as it was and nothing is left behind. Text is UTF-8.
    A device or pipe (``/dev/stdout``) is written to directly.

    Raises
    ------
    LimitError : HG4301, the disk is full or a file too large.
    InputError : HG2301, the folder is missing or cannot be written.
    UsageError : HG1301, another run is writing the same output.
    """
    target = _real(path)
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else ""
    with _plain_errors(target):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, mode, encoding=encoding, newline=newline) as pipe:
                yield pipe
            return
        part = target.with_name(f".{target.name[-200:]}.heatgrid-part")
        fd = _locked(part, target)
        done = False
        try:
            os.ftruncate(fd, 0)
            file = os.fdopen(fd, mode, encoding=encoding, newline=newline, closefd=False)
            try:
                yield file
                file.flush()
            finally:
                with contextlib.suppress(OSError):  # a failed flush is reported once, by the line above
                    file.close()
            if target.exists():
                os.fchmod(fd, stat.S_IMODE(target.stat().st_mode))
            within = any(folder.name.endswith(FRESH) for folder in target.parents)
            if not within:
                os.fsync(fd)
            os.replace(part, target)
            done = True
            if not within:  # a new folder is pushed to the disk as a whole, before it gets its name
                _sync_folder(target.parent)
        finally:
            if not done:
                part.unlink(missing_ok=True)
            os.close(fd)


@contextlib.contextmanager
def atomic_dir(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of the folder ``path`` only when the block has ended well.

    At every moment ``path`` is the whole old folder or the whole new one. What an earlier run that was killed left
    beside it is removed. A folder with files that are not ours is never replaced.

    Raises as ``atomic`` does, and UsageError (HG1302) for a folder that holds other files.
    """
    target = _real(path)
    with _plain_errors(target), output_lock(target):
        fresh = target.with_name(f".{target.name[-200:]}{FRESH}")
        old = target.with_name(f".{target.name[-200:]}.heatgrid-old")
        if old.exists() and not target.exists():
            os.rename(old, target)
        _remove(fresh)
        _remove(old)
        _check_ours(target)
        try:
            fresh.mkdir()
            yield fresh
            names = sorted(str(f.relative_to(fresh)) for f in fresh.rglob("*") if not f.is_dir())
            (fresh / MARKER).write_text(json.dumps({"heatgrid": 1, "files": names}), encoding="utf-8")
            _sync_tree(fresh)
            _swap(fresh, target, old)
            _sync_folder(target.parent)
        finally:
            _remove(fresh)
            if target.exists():
                _remove(old)


@contextlib.contextmanager
def output_lock(path: str | os.PathLike[str], kind: str = "lock") -> Iterator[None]:
    """Hold the right to write ``path``; a second run is refused (UsageError HG1301), a killed one holds nothing.

    kind : locks of different kinds do not know each other: "run" is held by a whole run, "lock" while it is written.
    """
    target = _real(path)
    lock = target.with_name(f".{target.name[-200:]}.heatgrid-{kind}")
    with _plain_errors(target):
        fd = _locked(lock, target)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            os.close(fd)


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """A whole run's right to its output: a second run is refused before it has read anything.

    None, ``-``, a device or pipe need none; whether the folder can be written to at all is told by the writing.
    """
    text = "-" if path is None else os.fspath(path)
    special = os.path.exists(text) and not os.path.isfile(text) and not os.path.isdir(text)
    parent = os.path.dirname(os.path.realpath(text)) if text and "\0" not in text else ""
    if text == "-" or special or not os.access(parent, os.W_OK):
        yield
        return
    with output_lock(text, "run"):
        yield


def promised(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Raise at once what ``atomic`` (or ``atomic_dir``) would raise for this name at the end of a long run."""
    target = _real(path)
    with _plain_errors(target):
        if folder:
            _check_ours(target)
        elif os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        elif os.path.exists(path) and not os.path.isfile(path):
            return
        parent = target.parent
        if not parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(parent))
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _real(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UsageError("the output has no usable name", code="HG1303", where="output", value=text)
    return Path(os.path.realpath(text))


def _locked(path: Path, target: Path) -> int:
    """An open, locked descriptor of ``path`` itself, not of a file that had the name a moment ago."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise UsageError(
                "another run is writing this output", code="HG1301", where=str(target),
                hint="wait for it to end, or choose another name with -o",
            ) from None  # fmt: skip
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(fd)
                raise
            return fd
        try:
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass  # the holder of the name has just finished: open the name again
        os.close(fd)


@contextlib.contextmanager
def _plain_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        plain = _plain_error(error, target)
        if plain is None:
            raise
        raise plain from error


def _plain_error(error: OSError, target: Path) -> HeatgridError | None:
    """The error to show; None for one that is not about this output (a closed pipe, another file)."""
    beside = error.filename is None or str(error.filename).startswith(str(target.parent))
    if error.errno in _FULL:
        return LimitError(
            "the output could not be written whole: no space left, or the file is too large", code="HG4301",
            where=str(target), value=error.strerror, expected="room for the whole output",
            hint="free some space, or choose another disk with -o; the earlier output, if any, is untouched",
        )  # fmt: skip
    if error.errno not in _CLOSED or not beside:
        return None
    if not target.parent.is_dir():
        return InputError(
            "the folder of the output does not exist", code="HG2301", where=str(target.parent), value=error.strerror,
            expected="a folder that exists", hint=f"mkdir -p {target.parent}",
        )  # fmt: skip
    return InputError(
        "the output cannot be written here", code="HG2301", where=str(target), value=error.strerror,
        expected="a folder that can be written", hint="choose another place with -o",
    )  # fmt: skip


def _check_ours(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError("the output is a file, not a folder", code="HG1302", where=str(target), expected="a folder")
    found = {str(f.relative_to(target)) for f in target.rglob("*") if not f.is_dir()}
    try:
        ours = set(json.loads((target / MARKER).read_text(encoding="utf-8"))["files"]) | {MARKER}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        ours = set()
    foreign = sorted(found - ours)
    if foreign:
        raise UsageError(
            "the folder holds files that no report made, and a report replaces its folder", code="HG1302",
            where=str(target), value=", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else ""),
            expected="a new or empty folder, or one that a report made", hint=f"-o {target / 'report'}",
        )  # fmt: skip


def _swap(fresh: Path, target: Path, old: Path) -> None:
    """Exchange the two names in one step where the system can; else by two renames that the next run can mend."""
    if not target.exists():
        os.rename(fresh, target)
        return
    shutil.copymode(target, fresh)
    if _exchange(fresh, target):
        return
    os.rename(target, old)
    os.rename(fresh, target)


def _exchange(a: Path, b: Path) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call is not None and call(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0


def _sync_tree(folder: Path) -> None:
    for name in [*folder.rglob("*"), folder]:
        _sync_folder(name)


def _sync_folder(path: Path) -> None:
    """Push a file or folder to the disk by its name; some file systems cannot do it for folders."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
