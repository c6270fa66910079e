"""Points into grids on a device: which kernel, how much at a time, which part of a grid that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from heatgrid.engine.choose import MOST_DENSE
from heatgrid.engine.columns import KINDS, Column, Piece, Validity
from heatgrid.engine.feed import CHUNK_BYTES, SLOTS, Feed
from heatgrid.engine.room import available_bytes
from heatgrid.engine.spans import NARROW, SINGLE, Span, Target, bitmap, whole_weights
from heatgrid.engine.stacks import check_total
from heatgrid.gpu import bin as kernels
from heatgrid.gpu import foreign
from heatgrid.gpu.axis import make_axis
from heatgrid.gpu.device import Device, OutOfMemory, Stream
from heatgrid.words.errors import UsageError

ROW_BYTES = 32
"""Of a row at most: two float64, a weight, a code, bits."""
USABLE = 0.8
"""Of the free memory: the rest is the driver's, and other programs'."""


@dataclass(frozen=True)
class Bounds:
    """Set by tests to force every path; otherwise from the device."""

    points: int = kernels.MOST_POINTS
    """That 32-bit counters take before they are added to the 64-bit ones."""
    rows: int = CHUNK_BYTES // 8
    bytes: int | None = None
    """Of device memory."""
    shared: bool = True


class Counted(NamedTuple):
    values: Any
    """Flat int64: an array of the device, or, where it took several parts, of the host."""
    used: int
    outside: int
    invalid: int
    variant: str
    on_device: bool


@dataclass(frozen=True)
class Held:
    """Columns on the device: rows of one layout. Masks are (array, bit offset or -1 for bytes)."""

    device: Device
    x: Any
    y: Any
    group: Any = None
    weight: Any = None
    masks: tuple[tuple[Any, int], ...] = ()
    given: dict[str, Any] = field(default_factory=dict)
    """Every column's values by name, as they came."""

    def column(self, name: str, _data: object, kinds: str = "iuf") -> Column:
        """For the checks that columns in main memory go through."""
        values = self.given[name]
        if values.dtype.kind not in kinds:
            raise UsageError(
                f"{name} has values of the wrong type", code="HG1402", where=name, value=f"dtype {values.dtype}",
                expected=" or ".join(dict.fromkeys(KINDS[k] for k in kinds)) + " values", hint="cast it first",
            )  # fmt: skip
        return Column(name, (Piece(values),))

    @property
    def groups(self) -> int:
        """The largest code + 1."""
        codes = self.given["group"]
        return max(int(codes.max()) + 1, 1) if len(codes) else 1

    def span(self) -> Span:
        """The same rows in main memory, as they came."""
        here = {name: self.device.download(values) for name, values in self.given.items() if name != "valid"}
        return Span(**here, masks=tuple(Validity(self.device.download(m), at) for m, at in self.masks))


def adopt(device: Device, columns: dict[str, Any]) -> Held:
    """x, y, group, weight, valid as they lie on the device; all of them must. What has no kernel is cast there."""
    found = {name: foreign.column(name, data, device) for name, data in columns.items() if data is not None}
    masks = [(c.bits, c.offset) for c in found.values() if c.bits is not None]
    x, y = found["x"].values, found["y"].values
    kind = np.promote_types(_float(x.dtype), _float(y.dtype))
    held = Held(device, x.astype(kind, copy=False), y.astype(kind, copy=False))
    if "group" in found:
        codes = found["group"].values
        if codes.dtype.itemsize >= 4 and codes.dtype != np.int32:
            codes = codes.clip(-1 if codes.dtype.kind == "i" else 0, 2**31 - 1)
        held = replace(held, group=codes.astype(np.int32, copy=False))
    if "weight" in found:
        held = replace(held, weight=found["weight"].values)
    if "valid" in found:
        masks.append((found["valid"].values.view(np.uint8), -1))
    return replace(held, masks=tuple(masks), given={name: c.values for name, c in found.items()})


def _float(dtype: Any) -> Any:
    """The type that the kernels read coordinates in: float32 where it holds them exactly."""
    kind = np.dtype(dtype).str[1:]
    return np.float32 if NARROW.get(kind, kind) in SINGLE else np.float64


def count_points(
    device: Device, source: Sequence[Span] | Held, target: Target, bounds: Bounds | None = None
) -> Counted:
    """Count (or weigh) the points. Less and less at a time where the device runs out of memory; then OutOfMemory."""
    given = bounds or Bounds()
    while True:
        try:
            return _Count(device, source, target, given).run()
        except OutOfMemory:
            if given.rows < 1 << 16:
                raise
            room = (given.bytes or device.free_bytes()) // 4
            given = replace(given, rows=given.rows // 8, bytes=room)


class _Count:
    """One attempt."""

    def __init__(self, device: Device, source: Sequence[Span] | Held, target: Target, bounds: Bounds) -> None:
        self.device, self.source, self.target, self.bounds = device, source, target, bounds
        self.stream: Stream = device.stream()
        self.axes = [make_axis(float(a.origin), float(a.step), int(a.cells)) for a in (target.ax, target.ay)]
        self.weighted = (
            source.weight is not None if isinstance(source, Held) else any(s.weight is not None for s in source)
        )
        self.n = len(source.x) if isinstance(source, Held) else sum(len(s.x) for s in source)
        self.layout = kernels.layout(target.cells, device.limits) if bounds.shared and not self.weighted else None
        if self.n < target.cells:
            self.layout = None  # clearing and emptying the blocks' counters would be most of the work
        self.tally = device.zeros(2, np.uint64)
        self.total = device.zeros(2, np.uint64)

    def run(self) -> Counted:
        parts = self._parts()
        self.feed = None if isinstance(self.source, Held) else Feed(self.device, self.bounds.rows, self.stream)
        values: Any = np.zeros(self.target.cells, np.int64) if len(parts) > 1 else None
        for part in parts:
            counted = self._count(part, self.tally if part.first == 0 else None)
            if values is None:
                values = counted
            else:
                values[part.first : part.first + part.room] = self.device.download(counted)
        if self.feed is not None:
            self.feed.finish()
        self.stream.synchronize()
        outside, invalid = (int(v) for v in self.device.download(self.tally))
        low, high = (int(v) for v in self.device.download(self.total))
        check_total((high << 32) + low)
        kind = "weighted" if self.weighted else f"shared {self.layout.width}-bit" if self.layout else "global"
        variant = f"{kind}, {len(parts)} parts" if len(parts) > 1 else kind
        return Counted(values, self.n - outside - invalid, outside, invalid, variant, len(parts) == 1)

    def _parts(self) -> list[kernels.Part]:
        """The cells in as few launches over all points as memory allows."""
        if self.target.cells > MOST_DENSE:
            raise OutOfMemory(f"{self.target.cells:,} cells: a dense stack has at most {MOST_DENSE:,}")
        free = self.bounds.bytes if self.bounds.bytes is not None else int(self.device.free_bytes() * USABLE)
        if not isinstance(self.source, Held):
            free -= SLOTS * min(self.bounds.rows, max(self.n, 1)) * ROW_BYTES
        bytes_each = 8 if self.weighted or self.layout else 12
        room = min(max(free // bytes_each, 0), kernels.MOST_ROOM, self.target.cells)
        if room < min(self.target.cells, 1 << 16):
            raise OutOfMemory(f"{free:,} bytes free for {self.target.cells:,} cells")
        if room < self.target.cells and self.target.cells * 8 > available_bytes():
            raise OutOfMemory(f"{self.target.cells:,} cells fit neither there nor in main memory")
        firsts = range(0, self.target.cells, room)
        ax, ay = self.axes
        return [kernels.Part(ax, ay, self.target.groups, f, min(room, self.target.cells - f)) for f in firsts]

    def _count(self, part: kernels.Part, tally: Any) -> Any:
        device, limits = self.device, self.device.limits
        values = device.zeros(part.room, np.int64)
        narrow = None if self.weighted or self.layout else device.zeros(part.room, np.uint32)
        taken = 0
        for points in self._points():
            if narrow is not None and taken + points.rows > self.bounds.points:
                device.launch(kernels.widen(narrow, values, limits), self.stream)
                self.stream.synchronize()
                narrow = device.zeros(part.room, np.uint32)
                taken = 0
            taken += points.rows
            if self.weighted:
                launch = kernels.weighted(points, part, values, self.total, tally, limits)
            elif self.layout is not None:
                launch = kernels.shared(points, part, self.layout, values, tally, limits)
            else:
                launch = kernels.direct(points, part, narrow, tally, limits)
            device.launch(launch, self.stream)
        if narrow is not None:
            device.launch(kernels.widen(narrow, values, limits), self.stream)
        return values

    def _points(self) -> Iterator[kernels.Points]:
        if isinstance(self.source, Held):
            yield from self._held(self.source)
            return
        assert self.feed is not None
        for span in self.source:
            kind = np.promote_types(_float(span.x.dtype), _float(span.y.dtype))
            for columns in self.feed.chunks(len(span.x), partial(self._load, span, kind)):
                yield kernels.Points(**columns)

    def _held(self, held: Held) -> Iterator[kernels.Points]:
        """As it lies; validity of several columns becomes one bitmap, weights become integers, once."""
        if not self.n:
            return
        device, limits = self.device, self.device.limits
        weight = held.weight
        if held.weight is not None:
            kind = np.int64 if self.target.weight_scale is None else np.float64
            weight = device.empty(self.n, np.int64)
            given = held.weight.astype(kind, copy=False)
            device.launch(kernels.weigh(given, self.target.weight_scale, weight, limits), self.stream)
        bits, offset = None, 0
        if len(held.masks) == 1 and held.masks[0][1] >= 0:
            bits, offset = held.masks[0]
        elif held.masks:
            bits = device.empty((self.n + 7) // 8, np.uint8)
            ones = np.full(bits.shape[0], 255, np.uint8)
            device.upload(ones, bits, self.stream)
            for mask, start in held.masks:
                launch = (
                    kernels.and_bytes(mask, self.n, bits, limits)
                    if start < 0
                    else kernels.and_bits(mask, start, self.n, bits, limits)
                )
                device.launch(launch, self.stream)
            self.stream.synchronize()
        step = kernels.MOST_POINTS // 64 * 64
        for a in range(0, self.n, step):
            b = min(a + step, self.n)
            yield kernels.Points(
                held.x[a:b], held.y[a:b], None if held.group is None else held.group[a:b],
                None if weight is None else weight[a:b], bits, offset + a,
            )  # fmt: skip

    def _load(self, span: Span, kind: Any, start: int, stop: int) -> dict[str, Any]:
        """Rows as the kernels take them; only what they cannot read as it lies is converted, a chunk at a time."""
        chunk: dict[str, Any] = {
            "x": np.ascontiguousarray(span.x[start:stop], kind), "y": np.ascontiguousarray(span.y[start:stop], kind),
            "group": None, "weight": None, "bits": bitmap(span.masks, start, stop) if span.masks else None,
        }  # fmt: skip
        if span.group is not None:
            g = span.group[start:stop]
            chunk["group"] = np.where((g >= 0) & (g < self.target.groups), g, -1).astype(np.int32)
        if span.weight is not None:
            chunk["weight"] = whole_weights(span.weight[start:stop], self.target.weight_scale)
        return chunk
