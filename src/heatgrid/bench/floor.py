"""The floor: what any contender has to do at least."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from heatgrid.bench.race import Contender
from heatgrid.cpu.jit import tight


@tight
def _read(words: Any) -> Any:
    total = np.uint64(0)
    for i in range(words.shape[0]):
        total ^= words[i]
    return total


def reading(columns: Sequence[Any], threads: int) -> Contender:
    """Reading the same bytes, with as many threads."""
    words = [c[: c.nbytes // 8 * 8 // c.itemsize].view(np.uint64) for c in columns]
    parts = [np.array_split(w, threads) for w in words]

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: [_read(p[k]) for p in parts], range(threads)))

    return run
