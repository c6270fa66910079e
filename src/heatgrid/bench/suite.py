"""What `heatgrid bench` runs: points into grids and into many maps, smoothing, times, the whole way from a dump, and
where a GPU takes part what it does step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from heatgrid.bench import binning, blurs, points
from heatgrid.bench.floor import reading
from heatgrid.bench.race import FLOOR, Contender, machine, race, summary, versions

SECTIONS = ("points", "maps", "smooth", "dwell", "dump", "device")
PEERS = {
    "datashader": "datashader",
    "fast_histogram": "fast-histogram",
    "boost_histogram": "boost-histogram",
    "polars": "polars",
    "duckdb": "duckdb",
    "cv2": "opencv-python-headless",
    "scipy": "scipy",
}
"""Modules, and the packages that bring them."""
GPU = "heatgrid, gpu"


@dataclass(frozen=True)
class Asked:
    rows: int
    grids: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    groups: int
    rounds: int
    threads: int
    sections: tuple[str, ...] = SECTIONS
    peers: bool = False
    gpu: bool = False

    def has(self, module: str) -> bool:
        """Whether a peer takes part."""
        return self.peers and find_spec(module) is not None


Told = Callable[[dict[str, Any]], None]


def run(asked: Asked, tell: Told) -> dict[str, Any]:
    """Every case as it is measured goes to ``tell``. Raises AssertionError where two answers differ."""
    gpu, reason = asked.gpu, None
    if gpu:
        from heatgrid.gpu.availability import why_not

        reason = why_not() or None
    asked = replace(asked, gpu=gpu and reason is None)
    report: dict[str, Any] = {
        "rows": asked.rows, "rounds": asked.rounds, "threads": asked.threads, "machine": machine(),
        "versions": versions(("heatgrid", "numba", "numpy", "pyarrow", *(PEERS.values() if asked.peers else ()))),
        "missing": sorted(PEERS[m] for m in PEERS if asked.peers and not asked.has(m)),
        "no_gpu": reason, "cases": [],
    }  # fmt: skip
    for section in asked.sections:
        for label, item, found in _SECTIONS[section](asked):
            one = {"section": section, "label": label, "item": item, **found}
            report["cases"].append(one)
            tell(one)
    return report


Case = tuple[str, str, dict[str, Any]]


def _points(asked: Asked) -> Iterator[Case]:
    for shape in asked.grids:
        for spread in binning.SPREADS:
            work = points.Work(*binning.made(spread, shape, asked.rows), shape)
            yield _binned(asked, f"points, {spread}, {_size(shape)}", work, points.GRIDS)


def _maps(asked: Asked) -> Iterator[Case]:
    work = binning.stack(asked.rows, asked.groups)
    names = points.STACKS if asked.groups * 270 * 480 < 2**26 else tuple(set(points.STACKS) - {"boost_histogram"})
    yield _binned(asked, f"points into {asked.groups:,} maps of {_size(binning.STACK)}", work, names)


def _binned(asked: Asked, label: str, work: points.Work, names: tuple[str, ...]) -> Case:
    extra: dict[str, Contender] = {GPU: partial(points.heatgrid, work, asked.threads, "gpu")} if asked.gpu else {}
    there = tuple(name for name in names if asked.has(name))
    return label, "point", binning.case(label, work, there, asked.rounds, asked.threads, extra)


def _smooth(asked: Asked) -> Iterator[Case]:
    for shape in asked.grids:
        for sigma in asked.sigmas:
            works: dict[str, blurs.Blur] = {FLOOR: blurs.copy, "heatgrid": blurs.heatgrid}
            if asked.gpu:
                works[GPU] = partial(blurs.heatgrid, backend="gpu")
            works |= blurs.peers(sigma, asked.has)
            seconds, errors = blurs.measure(shape, sigma, works, asked.rounds, asked.threads)
            found = summary(seconds, shape[0] * shape[1]) | {"errors": errors}
            yield f"smooth, sigma {sigma:g}, {_size(shape)}", "pixel", found


def _dwell(asked: Asked) -> Iterator[Case]:
    import heatgrid as hg

    rng = np.random.default_rng(4)
    session = rng.integers(0, max(asked.rows // 50, 1), asked.rows, np.int32)
    feature = rng.integers(0, 200, asked.rows, np.int32)
    clock = np.arange(asked.rows, dtype=np.int64) * 20 + 1_788_000_000_000
    works: dict[str, Contender] = {FLOOR: reading([session, clock, feature], asked.threads)}
    for name, backend in (("heatgrid", "cpu"), *([(GPU, "gpu")] if asked.gpu else [])):
        works[name] = partial(hg.dwell, session, clock, feature, backend=backend)
    yield "time per feature, columns in memory", "row", _equal(works, asked)


def _dump(asked: Asked) -> Iterator[Case]:
    from heatgrid.bench import whole
    from heatgrid.demo.generate import write

    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "events.parquet")
        write(Path(path), asked.rows)
        works: dict[str, Contender] = {
            FLOOR: partial(whole.decode, path, asked.threads),
            "heatgrid": partial(whole.heatgrid, path, asked.threads),
        }
        if asked.has("duckdb"):
            works["duckdb"] = partial(whole.duckdb, path, asked.threads)
        if asked.has("polars"):
            works["polars"] = partial(whole.polars, path, windows=True)
        yield "Parquet to click map and time per feature", "row", _equal(works, asked)


def _device(asked: Asked) -> Iterator[Case]:
    if asked.gpu:
        from heatgrid.bench import device

        yield from device.cases(asked.rows, asked.grids, asked.rounds)


def _equal(works: dict[str, Contender], asked: Asked) -> dict[str, Any]:
    """Contenders whose answers must equal the first one's; the floor's is none."""
    first: list[Any] = []

    def check(name: str, answer: Any) -> None:
        if name != FLOOR:
            first.append(_plain(answer))
            if first[-1] != first[0]:
                raise AssertionError(f"{name} answers otherwise")

    return summary(race(works, check, asked.rounds), asked.rows)


def _plain(answer: Any) -> Any:
    return [table.to_pydict() for table in (answer if isinstance(answer, tuple) else (answer,))]


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]}"


_SECTIONS: dict[str, Callable[[Asked], Iterator[Case]]] = {
    "points": _points, "maps": _maps, "smooth": _smooth, "dwell": _dwell, "dump": _dump,
    "device": _device,
}  # fmt: skip
