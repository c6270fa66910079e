"""How much memory an answer may take: asked before it is allocated, so that a limit is an error and not a kill.

And how much of it lies near: the caches, by which the kernels are chosen.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from heatgrid.engine.cgroup import left_of

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNKNOWN = 1 << 62


THREADS_ADDRESSES = 128 << 20
"""Of the address space for the allocator's share of each thread, 64 MiB on Linux, whatever is in it. LLVM, which loads
the compiled leaves, ends the process where it gets none."""


class Caches(NamedTuple):
    l2: int
    """Bytes of a core's own cache."""
    l3: int
    """Bytes of the cache that cores share, 0 if unknown. On a rented machine neighbours may fill most of it: where 32
    MiB were announced, 8 MiB already took DRAM's time. So nothing is chosen by it; it is only told."""
    origin: str


@cache
def caches() -> Caches:
    """As the system tells it, else 1 MiB of L2."""
    found: dict[int, int] = {}
    for index in sorted(_CACHES.glob("index*")):
        try:
            level = int((index / "level").read_text())
            size = (index / "size").read_text().strip()
            kind = (index / "type").read_text().strip()
        except (OSError, ValueError):
            continue
        if kind != "Instruction" and size[:-1].isdigit() and size[-1:] in "KM":
            found[level] = int(size[:-1]) << (10 if size[-1] == "K" else 20)
    if 2 not in found:
        return Caches(1 << 20, found.get(3, 0), "assumed")
    return Caches(found[2], found.get(3, 0), "the system")


def available_bytes() -> int:
    """The least of: memory free or reclaimable, what the control groups leave, what RLIMIT_AS leaves."""
    return left_of(min(_machine(), max(addresses_left() - THREADS_ADDRESSES, 0)))


def _machine() -> int:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        return UNKNOWN
    return UNKNOWN


def addresses_left() -> int:
    """Bytes of address space that RLIMIT_AS leaves to the process."""
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


def resident_bytes() -> int:
    """What the process holds in memory now; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
