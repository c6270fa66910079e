"""The decorators of all CPU leaves: compiled on first use, cached on disk, GIL released, no fast-math.

No `parallel=True` anywhere: under the workqueue layer it aborts the process when two Python threads call it.
NUMBA_BOUNDSCHECK=1 turns index checks on (the test gate does one such run).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from heatgrid.cpu.kept import keep

F = TypeVar("F", bound=Callable[..., Any])
_njit: Any = numba.njit  # its stubs do not know `_nrt`


def leaf(function: F) -> F:
    """Compile a bare loop; called with the GIL released."""
    return cast(F, keep(_njit(nogil=True)(function)))


def inline(function: F) -> F:
    """A formula shared by leaves; compiled into each of them (LLVM inlines it)."""
    return cast(F, keep(_njit(nogil=True, inline="never")(function)))


def tight(function: F) -> F:
    """A leaf that hands many arrays to formulas in its loop and allocates none.

    Without Numba's runtime there is no reference counting: a scatter with four such calls held 500 atomic counts an
    iteration otherwise, and took 150 ns an event instead of 55.
    """
    return cast(F, keep(_njit(nogil=True, error_model="numpy", _nrt=False)(function)))


def brief(function: F) -> F:
    """A ``tight`` leaf of some microseconds that keeps the GIL: to wait for it again would take longer."""
    return cast(F, _njit(cache=True, error_model="numpy", _nrt=False)(function))


def fused(function: F) -> F:
    """A formula for ``tight`` leaves, put into their code before LLVM sees it: calls with 17 arrays are not inlined."""
    return cast(F, _njit(nogil=True, error_model="numpy", _nrt=False, inline="always")(function))
