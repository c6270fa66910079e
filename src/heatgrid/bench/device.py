"""What a GPU does, step by step: the copy there from memory of both kinds, the kernels, the way back, each apart.

Through the interface that the engine has to a device, so that all but the driver is tried without one. Rates are shares
of what the same run has measured: of copying for copies, and for kernels of reading each column once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from heatgrid.bench.race import Contender, race, summary
from heatgrid.cpu import scroll, tiles
from heatgrid.cpu.cell import make_axis as cpu_axis
from heatgrid.engine import backend, device_bins, device_dwell, device_sums
from heatgrid.engine.backend import Choice
from heatgrid.engine.device_sort import Sorter
from heatgrid.engine.device_sums import DeviceSums, Grid
from heatgrid.engine.spans import Target
from heatgrid.gpu import sessions
from heatgrid.gpu.device import Device
from heatgrid.gpu.sums import Points

OWN = "heatgrid, gpu: "
READ, COPY, KERNELS, FINISH = "floor: reading on the device", f"{OWN}copy", f"{OWN}kernels", f"{OWN}finish"
MEMORY = ("pageable", "pinned")
"""Of the host: as it comes, and such as a device reads without the driver's own buffer."""
PAGES, SESSIONS = 40, 1000
CELLS = 128
Columns = dict[str, Any]
Case = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """columns : of the host. kernels : of their copies on a device, to what the device leaves there; finish : of that,
    to the answer. cpu : to the same answer."""

    label: str
    columns: Columns
    kernels: Callable[[Device, Columns], Any]
    finish: Callable[[Device, Any], Any]
    cpu: Contender

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def bytes(self) -> int:
        return sum(int(column.nbytes) for column in self.columns.values())


def cases(rows: int, grids: tuple[tuple[int, int], ...], rounds: int) -> Iterator[Case]:
    """Raises AssertionError where the device answers otherwise than the CPU."""
    device = backend.open_device()
    for shape in grids:
        yield measured(device, _points(rows, shape), rounds)
    for make in (_usage, _plan_points, _plan_scroll):
        yield measured(device, make(rows), rounds)
    yield _run(rows, rounds)


def measured(device: Device, job: Job, rounds: int) -> Case:
    """Each step by itself, in turn, with all before it done."""
    stream = device.stream()
    there = {name: device.empty(column.size, column.dtype) for name, column in job.columns.items()}
    pinned = {name: device.staging(column.size, column.dtype) for name, column in job.columns.items()}
    for name, column in job.columns.items():
        pinned[name][:] = column.reshape(-1)
    span = device.empty(2, np.int64)
    whole = device.zeros(max(job.bytes // 8, 1), np.int64)

    def copy(columns: Columns) -> None:
        for name, column in columns.items():
            device.upload(column.reshape(-1), there[name], stream)
        stream.synchronize()

    def read() -> None:
        device.launch(sessions.span(whole, span, device.limits), stream)
        stream.synchronize()

    left: list[Any] = []

    def kernels() -> None:
        left[:] = [job.kernels(device, there)]

    def finish() -> Any:
        return job.finish(device, left[0])

    copies = dict(zip((f"{COPY}, {kind} memory" for kind in MEMORY), (job.columns, pinned), strict=True))
    works: dict[str, Contender] = {READ: read, "heatgrid": job.cpu}
    works |= {name: _bound(copy, columns) for name, columns in copies.items()}
    works |= {KERNELS: kernels, FINISH: finish}
    answers: list[Any] = []

    def check(name: str, answer: Any) -> None:
        answers.append(answer)
        if answer != answers[0]:
            raise AssertionError(f"{name} answers otherwise")

    found = summary(race(works, check, rounds), job.rows)
    rates = {name: job.bytes / job.rows / found["ns"][name] for name in (*copies, KERNELS, READ) if found["ns"][name]}
    found["gb_s"] = {name: round(rate, 3) for name, rate in rates.items()}
    if READ in rates and KERNELS in rates:
        found["share_of_reading"] = {KERNELS: round(rates[KERNELS] / rates[READ], 4)}
    return f"{job.label}, step by step", "row", found


def _bound(copy: Callable[[Columns], None], columns: Columns) -> Contender:
    return lambda: copy(columns)


def _points(rows: int, shape: tuple[int, int]) -> Job:
    import heatgrid as hg
    from heatgrid.bench.binning import made

    ny, nx = shape
    x, y = made("clustered", shape, rows)
    target = Target(cpu_axis(0, 1, nx), cpu_axis(0, 1, ny))

    def kernels(device: Device, there: Columns) -> Any:
        return device_bins.count_points(device, device_bins.Held(device, there["x"], there["y"]), target).values

    def finish(device: Device, values: Any) -> bytes:
        return bytes((device.download(values) if hasattr(values, "__cuda_array_interface__") else values).tobytes())

    def cpu() -> bytes:
        return bytes(hg.bin_points(x, y, shape=shape, backend="cpu").values.tobytes())

    return Job(f"points, clustered, {nx} x {ny}", {"x": x, "y": y}, kernels, finish, cpu)


def _usage(rows: int) -> Job:
    import heatgrid as hg

    rng = np.random.default_rng(4)
    n_sessions, n_features = max(rows // 50, 1), 200
    session, feature = rng.integers(0, n_sessions, rows, np.uint32), rng.integers(0, n_features, rows, np.uint32)
    session[-1], feature[-1] = n_sessions - 1, n_features - 1
    clock = np.arange(rows, dtype=np.int64) * 20 + 1_788_000_000_000

    def kernels(device: Device, there: Columns) -> Any:
        events = device_dwell.Events(there["session"], there["time"], there["feature"], n_sessions, n_features)
        return device_dwell.usage(device, events, 30_000)

    def cpu() -> list[int]:
        found = hg.dwell(session, clock, feature, backend="cpu").to_pydict()
        by_code = dict(zip(map(int, found["feature"]), found["dwell_ms"], strict=True))
        return [by_code[code] for code in sorted(by_code)]

    columns = {"session": session, "time": clock, "feature": feature}
    return Job(
        "time per feature", columns, kernels,
        lambda device, use: [int(v) for v, n in zip(use.dwell, use.events, strict=True) if n], cpu,
    )  # fmt: skip


def _plan_points(rows: int) -> Job:
    """What a plan of maps sends: clicks of sessions on many pages."""
    rng = np.random.default_rng(6)
    maps = PAGES * tiles.LAYERS * 2 * tiles.BUCKETS
    log: Columns = {
        "map": rng.integers(0, maps, rows, np.uint32), "who": rng.integers(0, SESSIONS, rows, np.uint32),
        "x": rng.normal(CELLS / 2, CELLS / 9, rows), "y": rng.normal(CELLS / 2, CELLS / 9, rows),
    }  # fmt: skip
    grid = Grid(0.0, 0.0, 1.0, 1.0, CELLS, CELLS, 2 * tiles.BUCKETS)
    rare = {"width": np.empty(0, np.uint32), "weight": np.empty(0, np.int64)}

    def cpu() -> bytes:
        found = device_sums.points_here(log | rare, grid, maps)
        both = np.column_stack([found.who.astype(np.int64), found.code])
        keys, counts = np.unique(both, axis=0, return_counts=True)
        return keys.tobytes() + counts.astype(np.int64).tobytes()

    def kernels(device: Device, there: Columns) -> Any:
        return device_sums.sum_points(
            Sorter(device, rows), [Points(**there)], None, grid, maps, SESSIONS, widths=False
        )  # fmt: skip

    def finish(_: Device, found: device_sums.Sums) -> bytes:
        return np.column_stack([found.who.astype(np.int64), found.code]).tobytes() + found.sums.tobytes()

    return Job(
        f"{rows:,} points of {maps:,} maps by session", log,
        kernels, finish, cpu,
    )  # fmt: skip


def _plan_scroll(rows: int) -> Job:
    """What scroll sends: stays, and one view in five."""
    rng = np.random.default_rng(7)
    rows = max(rows // 16, 1)
    log = rng.integers(0, 3000, (rows, scroll.LOG_FIELDS)).astype(np.float64)
    log[:, 0] = 2 * rng.integers(0, PAGES, rows) + (np.arange(rows) % 5 == 0)
    log[:, 2] += log[:, 1] + 1
    band = 16.0

    def cpu() -> list[tuple[int, int]]:
        table, keys = np.full(1 << 17, -1, np.int32), np.zeros(1 << 15, np.int64)
        used, near = np.zeros(1, np.int64), np.zeros((PAGES, scroll.NEAR), np.int32)
        counts = np.zeros((len(keys), scroll.TILE), np.int64)
        if scroll.replay(log, 0, rows, band, table, keys, used, counts, near) < rows:
            raise AssertionError("no room for the counters")
        row, at = np.nonzero(counts[: int(used[0])])
        return sorted(zip(((keys[row] << 6) + at).tolist(), counts[row, at].tolist(), strict=True))

    def finish(_: Device, found: device_sums.Sums) -> list[tuple[int, int]]:
        kept = found.sums != 0
        return list(zip(found.code[kept].tolist(), found.sums[kept].tolist(), strict=True))

    return Job(
        f"{rows:,} stays and views of {PAGES} pages", {"log": log},
        lambda device, there: device_sums.sum_scroll(Sorter(device, log.size), there["log"], band, PAGES), finish, cpu,
    )  # fmt: skip


def _run(rows: int, rounds: int) -> Case:
    """The whole run, from a file: what a device spares there."""
    import heatgrid as hg
    from heatgrid.demo.generate import write
    from heatgrid.engine.lanes import run_plan
    from heatgrid.states.store import to_bytes

    plan = hg.Plan(maps=("clicks", "moves"), scroll=True, tables=(), keep_bots=True)
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "events.parquet")
        write(Path(path), rows)

        def run(gpu: bool) -> bytes:
            sums = DeviceSums(Choice(backend.open_device(), "asked for", forced=True)) if gpu else None
            return to_bytes(run_plan(hg.read(path), plan, sums=sums).state)

        first: list[bytes] = []

        def check(name: str, answer: bytes) -> None:
            first.append(answer)
            if answer != first[0]:
                raise AssertionError(f"{name} answers otherwise")

        works: dict[str, Contender] = {"heatgrid": lambda: run(False), f"{OWN}the whole run": lambda: run(True)}
        return "Parquet to maps and scroll, the whole run", "row", summary(race(works, check, rounds), rows)
