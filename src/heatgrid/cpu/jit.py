"""The one decorator of all CPU leaves: compiled on first use, cached on disk, GIL released, no fast-math.

No `parallel=True` anywhere: under the workqueue layer it aborts the process when two Python threads call it.
NUMBA_BOUNDSCHECK=1 turns index checks on (the test gate does one such run).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def leaf(function: F) -> F:
    """Compile a bare loop; called with the GIL released."""
    return cast(F, numba.njit(nogil=True, cache=True)(function))


def inline(function: F) -> F:
    """A formula shared by leaves; compiled into each of them (LLVM inlines it)."""
    return cast(F, numba.njit(nogil=True, cache=True, inline="never")(function))
