"""One process compiles a kernel, the others that want it wait and load it.

A lock on one byte of a file in the folder of kept kernels, a byte for each kernel: nothing is left behind by a process
that is killed, and a forked one holds nothing of its parent's. Processes can't wait for each other in a circle: who
waits while it holds a byte waits for a kernel that its own one calls.
"""

from __future__ import annotations

import os
from contextlib import suppress
from zlib import crc32

NAME = "compiling.lock"
_open: dict[str, int] = {}
"""Folder -> descriptor. Never closed: that would let go of all that the process holds in the file."""


def begin(folder: str, kernel: str) -> bool:
    """Take a kernel's turn; True if another process had it until now, and may have kept what it compiled."""
    with suppress(OSError, ImportError):
        import fcntl

        file = _file(folder)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, crc32(kernel.encode()))
        except OSError:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, crc32(kernel.encode()))
            return True
    return False


def end(folder: str, kernel: str) -> None:
    """Let the others have it. Without a turn: nothing."""
    with suppress(OSError, ImportError):
        import fcntl

        fcntl.lockf(_file(folder), fcntl.LOCK_UN, 1, crc32(kernel.encode()))


def _file(folder: str) -> int:
    if folder not in _open:
        os.makedirs(folder, exist_ok=True)
        _open[folder] = os.open(os.path.join(folder, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _open[folder]
