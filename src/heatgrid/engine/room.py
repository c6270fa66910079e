"""How much memory an answer may take: asked before it is allocated, so that a limit is an error and not a kill."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 1 << 62


def available_bytes() -> int:
    """The least of: memory free or reclaimable, what the control group leaves, what RLIMIT_AS leaves."""
    return min(_machine(), _control_group(), _address_space())


def _machine() -> int:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        return UNKNOWN
    return UNKNOWN


def _control_group() -> int:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except OSError:
        return UNKNOWN
    return UNKNOWN if limit == "max" else max(int(limit) - used, 0)


def _address_space() -> int:
    try:
        import resource
    except ImportError:
        return UNKNOWN
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return UNKNOWN
    try:
        used = int(_STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return limit
    return max(limit - used, 0)
