"""The scratch file of a run: rows that memory has no room for, in a file without a name, so that nothing can be left.

The file is open and has no name from the start (O_TMPFILE), or loses it at once: the system frees it however the
process ends, `kill -9` included. So there is no folder to clean, and nothing stale to find in the next run. Only
a run that is to go on when it is started again has one with a name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from heatgrid.engine.block import Array
from heatgrid.words.errors import InputError, LimitError

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_NO_NAMELESS = {errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT}
_IN_MEMORY = ("tmpfs", "ramfs")
_ON_DISK = "/var/tmp"
_PIECE = 8 << 20


class Scratch:
    """One file, opened when something is first put; ``put`` and ``get`` may be called from several threads.

    folder : where it lies; None: the system's temporary folder, or /var/tmp where that one lies in memory.
    named : it has this name instead, and stays: a run that is started again reads on.
    """

    def __init__(self, folder: str | None = None, named: Path | None = None) -> None:
        self.folder = str(named.parent) if named is not None else default_folder() if folder is None else folder
        self.named = named
        self.bytes = 0
        self.crc = 0
        """Of a file with a name, as far as one thread put into it."""
        self._fd = -1
        self._lock = threading.Lock()

    def put(self, arrays: Sequence[Array]) -> int:
        """Append arrays one after the other; returns where they begin.

        Raises LimitError HG4302 where the disk is full, InputError HG2302 where the folder cannot be used.
        """
        with self._lock:
            if self._fd < 0:
                self._fd = self._open()
            start = at = self.bytes
            self.bytes += sum(array.nbytes for array in arrays)
        for array in arrays:
            view = array.view(np.uint8).data
            if self.named is not None:
                self.crc = crc32(view, self.crc)
            while view:
                with self._plain_errors():
                    done = os.pwrite(self._fd, view, at)
                at += done
                view = view[done:]
        return start

    def get(self, start: int, size: int) -> Array:
        """``size`` bytes from ``start``."""
        out = np.empty(size, np.uint8)
        view = out.data
        while view:
            with self._plain_errors():
                done = os.preadv(self._fd, [view], start)
            if done == 0:
                raise InputError("the scratch file was cut short", code="HG2303", where=self.folder)
            start += done
            view = view[done:]
        return out

    def sync(self) -> tuple[int, int]:
        """Push what was put to the disk; its size and checksum."""
        if self._fd >= 0:
            with self._plain_errors():
                os.fsync(self._fd)
        return self.bytes, self.crc

    def go_on(self, size: int, crc: int) -> None:
        """Take a file with a name up again as it was when it had so many bytes.

        Raises InputError HG2304 where it does not hold them.
        """
        if not size:
            return
        found = 0
        with self._plain_errors():
            self._fd = os.open(str(self.named), os.O_RDWR | os.O_CLOEXEC)
            whole = os.fstat(self._fd).st_size >= size
        for at in range(0, size if whole else 0, _PIECE):
            found = crc32(self.get(at, min(_PIECE, size - at)).data, found)
        if not whole or found != crc:
            raise InputError(
                "the rows beside the checkpoint are damaged: their checksum does not fit", code="HG2304",
                where=str(self.named), hint="remove the folder to begin anew",
            )  # fmt: skip
        self.bytes, self.crc = size, crc

    def expect(self, size: int) -> None:
        """Refuse at once (LimitError HG4303) what cannot end well: so many bytes in all where the disk has less."""
        with self._plain_errors():
            facts = os.statvfs(self.folder)
        left = facts.f_bavail * facts.f_frsize
        if size > self.bytes + left:
            raise LimitError(
                "the scratch disk has too little room for the rows", code="HG4303", where=self.folder,
                value=f"{left:,} bytes free", expected=f"about {size:,} bytes",
                hint="--scratch DIR on a larger disk, or a larger --memory",
            )  # fmt: skip

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> int:
        with self._plain_errors():
            if self.named is not None:
                return os.open(str(self.named), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            nameless = getattr(os, "O_TMPFILE", 0)
            if nameless:
                try:
                    return os.open(self.folder, nameless | os.O_RDWR | os.O_CLOEXEC, 0o600)
                except OSError as error:
                    if error.errno not in _NO_NAMELESS or not os.path.isdir(self.folder):
                        raise
            fd, name = tempfile.mkstemp(prefix="heatgrid-", dir=self.folder)  # 0600
            os.unlink(name)
            return fd

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise LimitError(
                    "the scratch disk is full", code="HG4302", where=self.folder, value=error.strerror,
                    expected=f"room for more than {self.bytes:,} bytes",
                    hint="--scratch DIR on a larger disk, or a larger --memory",
                ) from error  # fmt: skip
            raise InputError(
                "the scratch folder cannot be used", code="HG2302", where=self.folder, value=error.strerror,
                expected="a folder that can be written", hint="--scratch DIR",
            ) from error  # fmt: skip


def default_folder() -> str:
    """The system's temporary folder; where that is a piece of memory, a folder on the disk."""
    folder = tempfile.gettempdir()
    if "TMPDIR" not in os.environ and lies_in_memory(folder) and os.access(_ON_DISK, os.W_OK):
        return _ON_DISK
    return folder


def lies_in_memory(folder: str) -> bool:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            mounts = [line.split(" ") for line in file]
    except OSError:
        return False
    path = os.path.realpath(folder)
    over = [m for m in mounts if path == m[1] or path.startswith(m[1].rstrip("/") + "/")]
    return bool(over) and max(over, key=lambda m: len(m[1]))[2] in _IN_MEMORY
