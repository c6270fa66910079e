"""heatgrid bench: how fast this machine is, and its peers on it."""

# ruff: noqa: RUF009 (opt is a dataclass field)

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from heatgrid.cli import summary, text, values, with_pandas
from heatgrid.cli.options import Common, opt
from heatgrid.words.errors import UsageError

ROWS = 2_000_000


@dataclass(kw_only=True)
class Bench:
    rows: int = opt("--rows", "N", "Points, and rows of the dump [2000000].", ROWS)
    grid: list[str] = opt("--grid", "NYxNX,...", "Grids of the points, and images to be smoothed [1080x1920].", list)
    sigma: list[str] = opt("--sigma", "CELLS,...", "Widths of the Gaussians [2,8,32].", list)
    groups: int = opt("--groups", "N", "Maps of 270 x 480 that the points fall into [50].", 50)
    only: list[str] = opt("--only", "WORK,...", "points, maps, smooth, dwell, dump, device [all].", list)
    peers: bool = opt("--peers", "", "The best of the others too, as far as they are installed.", False)
    backend: list[str] = opt("--backend", "cpu,gpu", "With gpu or auto the GPU too, beside the CPU [cpu].", list)
    rounds: int = opt("--rounds", "N", "Turns of each [5].", 5)
    threads: int | None = opt("--threads", "N", "For all of them [all cores].")
    out: str | None = opt("--out -o", "FILE", "The figures as .json, or as a picture (.png).")
    verbose: bool = opt("--verbose -v", "", "Also what was chosen for the points, and why.", False)


def bench(*, bench: Bench, common: Common) -> None:
    """Points, smoothing, times and whole dumps against peers and the floor.

    All take turns in this process on made data; answers are checked; medians, and the least and most of the rounds.
    """
    from heatgrid.cli.plan import cores

    with_pandas()
    least = min(bench.rows, bench.groups, bench.rounds, 1 if bench.threads is None else bench.threads)
    if least < 1:
        raise UsageError(
            "nothing to measure", code="HG1028", where="--rows, --groups, --rounds, --threads", value=least,
            expected="at least one of each",
        )  # fmt: skip
    if bench.out is not None and not bench.out.endswith((".json", ".png")):
        raise UsageError(
            "unknown format",
            code="HG1029",
            where="--out",
            value=bench.out,
            expected="a name that ends in .json or .png",
        )
    from heatgrid.words.plan import BACKENDS

    backends = [values.one_of(name, "--backend", BACKENDS) for name in values.names(bench.backend)]
    threads = bench.threads or cores()
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    from heatgrid.bench import suite

    sections = values.names(bench.only) or suite.SECTIONS
    for name in sections:
        values.one_of(name, "--only", suite.SECTIONS)
    asked = suite.Asked(
        rows=bench.rows, grids=tuple(_grid(name) for name in values.names(bench.grid) or ("1080x1920",)),
        sigmas=tuple(_sigma(name) for name in values.names(bench.sigma) or ("2", "8", "32")), groups=bench.groups,
        rounds=bench.rounds, threads=threads, sections=sections, peers=bench.peers,
        gpu="gpu" in backends or "auto" in backends,
    )  # fmt: skip
    report = suite.run(asked, lambda case: None if common.quiet else text.say(f"measured: {case['label']}"))
    if bench.out is not None:
        _write(bench.out, report)
    if common.json:
        summary.emit("bench", **report)
        return
    for line in lines(report, bench.verbose):
        text.put(line)


def lines(report: dict[str, Any], verbose: bool) -> list[str]:
    """A table a case, what is missing, and what the figures mean."""
    found = []
    for case in report["cases"]:
        rows = []
        for name, ns in case["ns"].items():
            least, most = case["ns_least_most"][name]
            rows.append((name, ns, f"{least:g} - {most:g}", f"{case['times_heatgrid'][name]:.2f} x", _more(case, name)))
        names = ("", f"ns a {case['item']}", "least - most", "heatgrid = 1", "")
        found += ["", case["label"], *text.table(names, rows)]
        if verbose and "variant" in case:
            found.append(f"chosen: {case['variant']}; cells by {case['cells_by']}; {case['why']}")
    about = report["machine"]
    found += [
        "",
        f"{about['processor']}, {about['cores']} cores, {report['threads']} threads; medians of {report['rounds']}",
    ]
    if verbose:
        from heatgrid.engine import choose

        found.append(", ".join(f"{name}: {value}" for name, value in choose.machine().items()))
    if report["missing"]:
        found.append(f"not installed: {', '.join(report['missing'])} (pip install {' '.join(report['missing'])})")
    if report["no_gpu"]:
        found.append(f"no GPU was measured: {report['no_gpu']}")
    return found


def _more(case: dict[str, Any], name: str) -> str:
    if name in case.get("errors", {}):
        return f"error {case['errors'][name]:.0e}"
    if name in case.get("gb_s", {}):
        share = case.get("share_of_reading", {}).get(name)
        return f"{case['gb_s'][name]:.3g} GB/s" + ("" if share is None else f", {share:.0%} of reading once")
    cells = case.get("cells_that_differ", {}).get(name)
    return f"{cells:,} cells differ" if cells else ""


def _write(path: str, report: dict[str, Any]) -> None:
    import json

    from heatgrid.bench.picture import chart, line_of
    from heatgrid.outputs.atomic import atomic

    if path.endswith(".json"):
        data = (json.dumps(report, indent=1) + "\n").encode()
    else:
        about = report["machine"]
        note = (
            f"{about['processor']}, {report['threads']} threads, medians of {report['rounds']}; strokes: least to most"
        )
        drawn = [line_of(case["label"], case["item"], case) for case in report["cases"]]
        data = chart(drawn, title="Time against heatgrid's (right is slower)", notes=[note])
    with atomic(path) as file:
        file.write(data)


def _grid(name: str) -> tuple[int, int]:
    ny, nx = (int(v) for v in values.numbers(name.replace("x", ","), "--grid", (2,), "1080x1920") or ())
    if min(ny, nx) < 1:
        raise UsageError("not a grid", code="HG1012", where="--grid", value=name, expected="NYxNX, both at least 1")
    return ny, nx


def _sigma(name: str) -> float:
    (sigma,) = values.numbers(name, "--sigma", (1,), "2,8,32") or ()
    if not 0 < sigma < 1000:
        raise UsageError("not a width", code="HG1012", where="--sigma", value=name, expected="above 0, below 1000")
    return sigma
