"""What control groups leave of the memory: containers, slices and services, of version 1 or 2, however deep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_OWN = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_NONE = 1 << 60
"""Version 1 has no word for no limit, but the greatest multiple of a page."""
SECONDS = 10


class _Names(NamedTuple):
    limit: str
    used: str
    cache: str
    """In memory.stat, that of the groups below included: what files filled and nobody has used again."""


_V2 = _Names("memory.max", "memory.current", "inactive_file")
_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def left_of(most: int) -> int:
    """Bytes that all groups of this process leave it; ``most`` where they leave as much or do not tell.

    A group's use counts the files that were read through it, which the kernel drops before it refuses a page: a
    service that had read a large dump looked full. memory.stat takes long, so it is read where it can matter only.
    """
    left = most
    for folder, names in _limited(time.monotonic() // SECONDS):
        limit, used = _number(folder / names.limit), _number(folder / names.used)
        if limit is None or used is None or limit - used >= left:
            continue
        left = min(left, max(limit - max(used - _cache(folder, names), 0), 0))
    return left


@lru_cache(maxsize=1)
def _limited(now: float) -> tuple[tuple[Path, _Names], ...]:
    """The folders of this process's groups that have a limit, from its own up to the root that is mounted here.

    Looked for anew from time to time: each call on small arrays would otherwise read files for 0.1 ms.
    """
    found: list[tuple[Path, _Names]] = []
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mounts, names = [_MOUNT, _MOUNT / "unified"], _V2
        elif "memory" in controllers.split(","):
            mounts, names = [_MOUNT / "memory", _MOUNT / controllers], _V1
        else:
            continue
        for mount in mounts:
            folders = _upwards(mount, path)
            found += [(folder, names) for folder in folders if (_number(folder / names.limit) or _NONE) < _NONE]
    return tuple(dict.fromkeys(found))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A container may see its group's path on the host below a mount that shows the group as the root."""
    inner = PurePosixPath(path.lstrip("/"))
    for level in (inner, *inner.parents):
        if ".." not in level.parts:
            yield mount / level


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cache(folder: Path, names: _Names) -> int:
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, size = line.partition(" ")
            if name == names.cache:
                return int(size)
    except (OSError, ValueError):
        return 0
    return 0
