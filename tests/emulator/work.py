"""Small launches of every kernel, as the launchers describe them, recorded with the memory before and after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from emulator.device import EmulatedDevice
from heatgrid.engine.gauss import outside, pairs_of, taps_of
from heatgrid.gpu import bin as bins
from heatgrid.gpu import sessions, smooth, sums
from heatgrid.gpu.axis import make_axis
from heatgrid.gpu.launch import Launch


def traced() -> dict[str, list[Any]]:
    """By source."""
    device = EmulatedDevice()
    device.traced = []
    kinds = _bins, _columns, _smooth, _recursive, _sessions, _sums, _scroll
    for launch in (launch for make in kinds for launch in make(device)):
        stream = device.stream()
        device.launch(launch, stream)
        stream.synchronize()
    out: dict[str, list[Any]] = {}
    for record in device.traced:
        out.setdefault(record[0].source, []).append(record)
    return out


def on(device: EmulatedDevice, values: Any) -> Any:
    array = device.empty(len(values), values.dtype)
    array[:] = values
    return array


def _bins(device: EmulatedDevice) -> Any:
    rng = np.random.default_rng(1)
    ax, ay = make_axis(0, 1, 9), make_axis(0, 1.1, 8)
    part = bins.Part(ax, ay, 2, 0, 144)
    for dtype in (np.float32, np.float64):
        x, y = (on(device, rng.normal(4, 3, 700).astype(dtype)) for _ in range(2))
        x[:150] = 2
        group = on(device, rng.integers(-1, 3, 700).astype(np.int32))
        bits = on(device, rng.integers(0, 256, 89).astype(np.uint8))
        weight = on(device, rng.integers(-1, 2**40, 700))
        points = bins.Points(x, y, group, None, bits, 3)
        counts, tally = device.zeros(144, np.uint32), device.zeros(2, np.uint64)
        yield replace(bins.direct(points, part, counts, tally, device.limits), blocks=3, threads=64)
        for layout in (bins.Layout(8, 1, 36), bins.Layout(16, 4, 73)):
            wide = device.zeros(144, np.int64)
            launch = bins.shared(points, part, layout, wide, tally, device.limits)
            yield replace(launch, blocks=2, threads=64)
        args = device.zeros(144, np.int64), device.zeros(2, np.uint64), tally
        yield replace(bins.weighted(replace(points, weight=weight), part, *args, device.limits), blocks=3, threads=64)


def _columns(device: EmulatedDevice) -> Any:
    rng = np.random.default_rng(2)
    out = on(device, np.full(13, 255, np.uint8))
    yield replace(
        bins.and_bits(on(device, rng.integers(0, 256, 14).astype(np.uint8)), 5, 100, out, device.limits), threads=32
    )
    yield replace(
        bins.and_bytes(on(device, (rng.random(100) < 0.5).view(np.uint8)), 100, out, device.limits), threads=32
    )
    whole = on(device, np.array([0, 5, -1, 2**53, 2**53 + 1]))
    yield bins.weigh(whole, None, device.zeros(5, np.int64), device.limits)
    scaled = on(device, np.array([0.5, 1.5, -0.0, -1, np.nan, np.inf, 2.0**53]))
    yield bins.weigh(scaled, 1.0, device.zeros(7, np.int64), device.limits)
    yield bins.widen(on(device, np.arange(70, dtype=np.uint32)), device.zeros(70, np.int64), device.limits)


def _smooth(device: EmulatedDevice) -> Any:
    rng = np.random.default_rng(3)
    for dtype, radius in ((np.float32, 3), (np.float32, 70), (np.float64, 55)):
        values = on(device, rng.random(33 * 66).astype(dtype))
        taps = on(device, taps_of(radius / 5, radius, 1 << 20, "reflect", dtype))
        for axis in ("down", "along"):
            out = device.zeros(33 * 66, dtype)
            yield replace(smooth.smooth(axis, values, out, taps, "reflect", (1, 33, 66), device.limits), blocks=2)


def _recursive(device: EmulatedDevice) -> Any:
    """Two groups of lines, tiles before the first and behind the last place; one that is not finite, done directly."""
    rng = np.random.default_rng(5)
    for dtype in (np.float32, np.float64):
        for axis, shape in (("down", (1, 70, 34)), ("along", (1, 34, 70))):
            values = on(device, rng.random(34 * 70).astype(dtype))
            values[3] = np.inf
            pairs = on(device, pairs_of(7, dtype).reshape(-1))
            out, wild = device.zeros(34 * 70, dtype), device.zeros(2, np.uint32)
            far = len(outside(70, 7, "reflect")[0])
            yield replace(
                smooth.recursive(axis, values, out, pairs, wild, "reflect", far, shape, device.limits), blocks=2
            )
            taps = on(device, taps_of(2, 10, 70, "reflect", dtype))
            yield replace(smooth.smooth(axis, values, out, taps, "reflect", shape, device.limits, wild), blocks=2)


def _sessions(device: EmulatedDevice) -> Any:
    rng = np.random.default_rng(4)
    n = 2100
    ids = on(device, rng.integers(-3, 700, n))
    for values in (ids, on(device, ids.astype(np.int32))):
        span = on(device, np.array([2**63 - 1, -(2**63)]))
        yield small(sessions.span(values, span, device.limits))
        yield small(sessions.codes(values, -3, device.empty(n, np.uint32), device.limits))
    time = on(device, np.sort(rng.integers(10**12, 10**12 + 10**7, n)))
    codes = on(device, (ids + 3).astype(np.uint32))
    plan = sessions.cut(n, device.limits)
    histogram = device.empty(256 * plan.blocks, np.uint32)
    yield small(sessions.time_keys(time, None, 10**12, 8, device.empty(n, np.uint32), device.limits))
    rows = on(device, np.argsort(codes & 255, kind="stable").astype(np.uint32))
    keys = on(device, codes[rows])
    yield sessions.count(keys, plan, 8, histogram)
    yield replace(sessions.scan(histogram), threads=128)
    yield sessions.move(keys, rows, plan, 8, histogram, device.empty(n, np.uint32), device.empty(n, np.uint32))
    order = on(device, np.argsort(codes, kind="stable").astype(np.uint32))
    features = on(device, rng.integers(-1, 40, n).astype(np.int32).view(np.uint32))
    yield small(sessions.gather(codes, order, device.empty(n, np.uint32), device.limits))
    yield small(sessions.gather(time, order, device.empty(n, np.int64), device.limits))
    for shared in (True, False):
        sums = sessions.Sums(*(device.zeros(40, np.int64) for _ in range(4)), device.zeros(1, np.uint64))
        rows_in_order = sessions.Rows(
            on(device, codes[order]), on(device, time[order]), on(device, features[order]), 1, 1000, 30_000
        )
        seen = device.zeros(703 * 2, np.uint32)
        yield small(sessions.visits(rows_in_order, 0, 703, seen, 40, sums, device.limits, shared))


def _sums(device: EmulatedDevice) -> Any:
    """Points of many maps; then runs that begin and end in every place of a warp, a tile and a block."""
    rng = np.random.default_rng(6)
    n = 2100
    ax, ay = make_axis(0, 1, 9), make_axis(0, 1.1, 8)
    x, y = (on(device, rng.normal(4, 3, n)) for _ in range(2))
    x[:7] = np.nan
    maps, who = (
        on(device, rng.integers(0, 40, n).astype(np.uint32)),
        on(device, rng.integers(0, 5, n).astype(np.uint32)),
    )
    widths = on(device, rng.integers(0, 2000, n).astype(np.uint32))
    for width in (widths, None):
        widest = None if width is None else device.zeros(40, np.uint32)
        points = sums.Points(maps, who, x, y, width)
        out = device.empty(n, np.int64), device.empty(n, np.uint32)
        tally = device.zeros(4, np.uint64)
        yield small(sums.place(points, ax, ay, 10, 40 * 72, *out, widest, tally, device.limits))
    plan = sessions.cut(n, device.limits)
    code = on(device, np.sort(np.minimum(rng.integers(0, 900, n), 700)))
    amount = on(device, rng.integers(-(2**40), 2**40, n))
    some = on(device, (np.arange(n) // 11 % 3).astype(np.uint32))
    for session, by in ((some, amount), (None, None)):
        changes = np.diff(np.asarray(code)) != 0
        if session is not None:
            changes |= np.diff(np.asarray(session).astype(int)) != 0
        edges = np.append(True, changes)
        starts = device.zeros(plan.blocks + 1, np.uint32)
        yield replace(sums.run_count(session, code, plan, starts), threads=64)
        first = [int(edges[: b * plan.span].sum()) for b in range(plan.blocks + 1)]
        scanned = on(device, np.array(first, np.uint32))
        runs = int(edges.sum())
        ends = device.empty(runs, np.uint32), device.empty(runs, np.int64), device.zeros(runs, np.int64)
        yield replace(sums.run_sums(session, code, by, plan, scanned, *ends), threads=64)


def _scroll(device: EmulatedDevice) -> Any:
    rng = np.random.default_rng(7)
    log = rng.integers(0, 3000, (300, sums.COUNTERS)).astype(np.float64)
    log[::5, 3] = 0
    log[::3, 7] = -1
    code, amount = (device.empty(300 * sums.COUNTERS, np.int64) for _ in range(2))
    yield small(sums.scroll(on(device, log.reshape(-1)), 300, 10.0, 1 << 60, code, amount, device.limits))


def small(launch: Launch) -> Launch:
    """Two blocks of two warps, for kernels that stride: real threads are dear under a sanitizer."""
    return replace(launch, blocks=2, threads=64)
