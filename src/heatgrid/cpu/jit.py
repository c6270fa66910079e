"""The decorators of all CPU leaves: compiled on first use, cached on disk, GIL released, no fast-math.

No `parallel=True` anywhere: under the workqueue layer it aborts the process when two Python threads call it.
NUMBA_BOUNDSCHECK=1 turns index checks on (the test gate does one such run).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

F = TypeVar("F", bound=Callable[..., Any])
_njit: Any = numba.njit  # its stubs do not know `_nrt`


class _Kept(FunctionCache):
    """Numba's cache on disk, but a kernel that is found there is loaded without the compiler.

    Numba first gets all that it could compile with ready, 0.2 s of imports and registrations, a fifth of a short
    command. What is loaded needs its runtime alone; a kernel that is not found still gets the compiler ready itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)
        return None


def _kept(made: Any) -> Any:
    """What ``cache=True`` does, with our cache. (With NUMBA_DISABLE_JIT=1 there is nothing to keep.)"""
    if hasattr(made, "enable_caching"):
        made._cache = _Kept(made.py_func)
    return made


def leaf(function: F) -> F:
    """Compile a bare loop; called with the GIL released."""
    return cast(F, _kept(_njit(nogil=True)(function)))


def inline(function: F) -> F:
    """A formula shared by leaves; compiled into each of them (LLVM inlines it)."""
    return cast(F, _kept(_njit(nogil=True, inline="never")(function)))


def tight(function: F) -> F:
    """A leaf that hands many arrays to formulas in its loop and allocates none.

    Without Numba's runtime there is no reference counting: a scatter with four such calls held 500 atomic counts an
    iteration otherwise, and took 150 ns an event instead of 55.
    """
    return cast(F, _kept(_njit(nogil=True, error_model="numpy", _nrt=False)(function)))


def fused(function: F) -> F:
    """A formula for ``tight`` leaves, put into their code before LLVM sees it: calls with 17 arrays are not inlined."""
    return cast(F, _njit(nogil=True, error_model="numpy", _nrt=False, inline="always")(function))
