"""The text of a kernel with its own headers put in: what is compiled is all that a cache needs to know."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from heatgrid.gpu.locate import kernels

OPTIONS = ("--std=c++17", "--fmad=false")
"""No fusing: the cell of a point is rounded after each operation. Filters ask for their fused steps by name."""
_INCLUDE = re.compile(r'^#include "(?:include/)?(\w+\.cuh)"$', re.MULTILINE)


@cache
def text(name: str) -> str:
    """kernels/<name> with each header once, in place of its first `#include`."""
    return expand(kernels(), name)


def expand(folder: Path, name: str) -> str:
    seen: set[str] = set()

    def put(header: re.Match[str]) -> str:
        if header[1] in seen:
            return ""
        seen.add(header[1])
        inner = (folder / "include" / header[1]).read_text(encoding="utf-8").replace("#pragma once", "")
        return _INCLUDE.sub(put, inner)

    return _INCLUDE.sub(put, (folder / name).read_text(encoding="utf-8"))
