"""The width of the window that each row was made in: what its tab told last."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight


@tight
def carry_widths(order: Any, ready: Any, slot: Any, run: Any, width: Any, told: Any, out: Any) -> None:
    """out[i] = width[i] of rows order[:ready] if it is finite and > 0, else told[run[i]], which it becomes."""
    for k in range(np.uint64(ready)):
        i = np.uint64(order[k])
        if slot[i] < 0:
            continue
        r = np.uint64(run[i])
        if 0.0 < width[i] < np.inf:
            told[r] = width[i]
        out[i] = told[r]
