"""What the measures of a plan have written down, summed on a device: each comes back as few sums as it has counters.

Measures resolve rows on the CPU (session, view, width) and write down what is left to do; a chunk of that goes to the
device, and its sums come back into the counters that the CPU would have filled. So a state, its copy on the disk and
every merge are the same by any way, a chunk may be of any size, and a device that fails is left for the CPU between two
chunks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from heatgrid.cpu import scroll
from heatgrid.engine.backend import Choice, no_room
from heatgrid.engine.block import Array
from heatgrid.engine.device_sort import Sorter
from heatgrid.engine.feed import Feed
from heatgrid.gpu import sessions
from heatgrid.gpu import sums as kernels
from heatgrid.gpu.axis import make_axis
from heatgrid.gpu.device import Device, OutOfMemory

LOG_ROWS = 1 << 21
"""Of a measure: 75 MB at most. To sort and sum them is 0.6 GB of traffic on the device, 0.2 ms, about what the 40
launches take by themselves: computed, not measured."""
PIECE = 1 << 19
"""Rows copied while the ones before are placed."""
LEAST_ROWS = 1 << 12
"""Where so few find no room, none will."""
T = TypeVar("T")


class Grid(NamedTuple):
    x0: float
    y0: float
    width: float
    height: float
    nx: int
    ny: int
    of_layer: int
    """Maps of one layer that stand side by side."""


@dataclass
class Sums:
    """Sorted by (who, code) and each pair once, if the device has summed them."""

    who: Array
    """uint32: a session from 1 on, 0 for none."""
    code: Array
    sums: Array
    tally: Array
    """{outside, invalid} a layer."""
    widest: Array
    """uint32 by map; of length 0 if no width was given."""


class DeviceSums:
    """The device of a run, for one chunk at a time; or the CPU from where the device had no room."""

    def __init__(self, choice: Choice, rows: int = LOG_ROWS) -> None:
        assert choice.device is not None
        self.choice, self.rows = choice, rows
        self._device: Device = choice.device
        self._lock = threading.Lock()
        self.chunks = 0
        """That the device has summed."""

    @property
    def on_device(self) -> bool:
        return self.choice.device is not None

    def staging(self, rows: int, dtype: Any) -> Array:
        """Memory for a log, which copies without another copy."""
        return self._device.staging(rows, dtype)

    def points(self, log: dict[str, Array], n: int, grid: Grid, maps: int) -> Iterator[Sums]:
        """log: map, who, x, y, width, weight (the last two may have no rows). maps: more than any map's number."""
        yield from self._parts(
            n, lambda a, b: _points_on_device(self._device, _slice(log, a, b), grid, maps),
            lambda a, b: points_here(_slice(log, a, b), grid, maps),
        )  # fmt: skip

    def scroll(self, log: Array, n: int, band: float, keys: int) -> Iterator[Sums | tuple[int, int]]:
        """log: rows of 8 (cpu/scroll.py); keys: more than any key. A range of rows is what is left for the CPU."""
        yield from self._parts(
            n, lambda a, b: _scroll_on_device(self._device, log[a:b], band, keys), lambda a, b: (a, b)
        )  # fmt: skip

    def _parts(self, n: int, there: Callable[[int, int], Sums], here: Callable[[int, int], T]) -> Iterator[Sums | T]:
        """Less and less at a time where the device runs out of memory; then what follows from the backend asked for."""
        at, step = 0, n
        while at < n:
            stop = min(at + step, n)
            if not self.on_device:
                yield here(at, n)
                return
            try:
                with self._lock, self._device.current():
                    done = there(at, stop)
                    self.chunks += 1
            except OutOfMemory as error:
                step //= 4
                if step < min(LEAST_ROWS, n):
                    self.choice = no_room(self.choice, error)
                continue
            at = stop
            yield done


def _slice(log: dict[str, Array], start: int, stop: int) -> dict[str, Array]:
    return {name: column[start:stop] for name, column in log.items()}


def _points_on_device(device: Device, log: dict[str, Array], grid: Grid, maps: int) -> Sums:
    n = len(log["map"])
    sorter = Sorter(device, n)
    amount = device.empty(n, np.int64) if len(log["weight"]) else None
    if amount is not None:
        device.upload(log["weight"], amount, sorter.stream)
    feed = Feed(device, PIECE, sorter.stream)
    names = [name for name in ("map", "who", "x", "y", "width") if len(log[name])]
    pieces = feed.chunks(n, lambda a, b: {name: log[name][a:b] for name in names})
    placed = (kernels.Points(**piece) for piece in pieces)
    most = int(log["who"].max(initial=0))
    found = sum_points(sorter, placed, amount, grid, maps, most, widths=len(log["width"]) > 0)
    feed.finish()
    return found


def sum_points(
    sorter: Sorter, pieces: Iterable[kernels.Points], amount: Any, grid: Grid, maps: int, most: int, *, widths: bool
) -> Sums:
    """Points that lie on the device: as many as the sorter's rows, their amounts (None: 1), numbers at most `most`."""
    device, n = sorter.device, sorter.n
    axes = make_axis(grid.x0, grid.width, grid.nx), make_axis(grid.y0, grid.height, grid.ny)
    none = maps * grid.nx * grid.ny
    code, who = device.empty(n, np.int64), device.empty(n, np.uint32)
    tally = device.zeros(2 * kernels.LAYERS, np.uint64)
    widest = device.zeros(maps, np.uint32) if widths else None
    at = 0
    for points in pieces:
        stop = at + len(points.x)
        launch = kernels.place(
            points, *axes, grid.of_layer, none, code[at:stop], who[at:stop], widest, tally, device.limits
        )  # fmt: skip
        device.launch(launch, sorter.stream)
        at = stop
    found = summed(sorter, who if most else None, code, amount, none, most)
    found.tally = device.download(tally).astype(np.int64)
    if widest is not None:
        found.widest = device.download(widest)
    return found


def _scroll_on_device(device: Device, log: Array, band: float, keys: int) -> Sums:
    sorter = Sorter(device, len(log) * kernels.COUNTERS)
    held = device.empty(sorter.n, np.float64)
    device.upload(log.reshape(-1), held, sorter.stream)
    return sum_scroll(sorter, held, band, keys)


def sum_scroll(sorter: Sorter, log: Any, band: float, keys: int) -> Sums:
    """A log that lies on the device, of as many numbers as the sorter has rows."""
    device, n = sorter.device, sorter.n // kernels.COUNTERS
    code, amount = device.empty(sorter.n, np.int64), device.empty(sorter.n, np.int64)
    none = keys << (scroll.COUNTER_BITS + scroll.PLANE_BITS)
    device.launch(kernels.scroll(log, n, band, none, code, amount, device.limits), sorter.stream)
    return summed(sorter, None, code, amount, none, 0)


def summed(sorter: Sorter, who: Any, code: Any, amount: Any, none: int, most: int) -> Sums:
    """Sums of equal (who, code), without those of the code `none`; codes are below it, sessions at most `most`."""
    device, stream = sorter.device, sorter.stream
    rows = sorter.order(code, 0, max(none.bit_length(), 1))
    keys = None
    if who is not None:
        keys, rows = sorter.sort(sorter.gather(who, rows), rows, most.bit_length())
    code = sorter.gather(code, rows)
    amount = None if amount is None else sorter.gather(amount, rows)
    starts = device.zeros(sorter.cut.blocks + 1, np.uint32)
    device.launch(kernels.run_count(keys, code, sorter.cut, starts), stream)
    device.launch(sessions.scan(starts), stream)
    stream.synchronize()
    runs = int(device.download(starts[-1:])[0])
    codes, whose = device.empty(runs, np.int64), None if keys is None else device.empty(runs, np.uint32)
    sums = device.zeros(runs, np.int64)
    device.launch(kernels.run_sums(keys, code, amount, sorter.cut, starts, whose, codes, sums), stream)
    stream.synchronize()
    out = device.download(codes)
    kept = out != none
    sessions_of = np.zeros(runs, np.uint32) if whose is None else device.download(whose)
    nothing = np.zeros(0, np.uint32)
    return Sums(sessions_of[kept], out[kept], device.download(sums)[kept], nothing, nothing)


def points_here(log: dict[str, Array], grid: Grid, maps: int) -> Sums:
    """The same points one by one, for the CPU."""
    x, y, m = log["x"], log["y"], log["map"].astype(np.int64)
    with np.errstate(all="ignore"):
        fx, fy = (x - grid.x0) / grid.width, (y - grid.y0) / grid.height
    finite = np.isfinite(x) & np.isfinite(y)
    inside = finite & (fx >= 0) & (fx < grid.nx) & (fy >= 0) & (fy < grid.ny)
    layer = m // grid.of_layer % kernels.LAYERS
    tally = np.zeros((kernels.LAYERS, 2), np.int64)
    np.add.at(tally, (layer[~inside], np.where(finite, 0, 1)[~inside]), 1)
    kept = np.flatnonzero(inside)
    m = m[kept]
    code = m * (grid.nx * grid.ny) + fy[kept].astype(np.int64) * grid.nx + fx[kept].astype(np.int64)
    widest = np.zeros(maps if len(log["width"]) else 0, np.uint32)
    if len(widest):
        np.maximum.at(widest, m, log["width"][kept])
    weight = log["weight"][kept] if len(log["weight"]) else np.ones(len(kept), np.int64)
    return Sums(log["who"][kept], code, weight, tally.reshape(-1), widest)
