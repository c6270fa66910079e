"""heatgrid doctor: what this machine has, which device is used and why; --warm compiles the kernels now."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import heatgrid
from heatgrid.cli import summary, text
from heatgrid.cli.options import Common, opt
from heatgrid.words.errors import DeviceError

PACKAGES = (
    "numba", "llvmlite", "numpy", "pyarrow", "pillow", "typer", "duckdb", "polars", "xarray", "cupy-cuda12x",
    "cupy-cuda13x",
)  # fmt: skip
_NVRTC = (("cupy", "cupy.cuda.nvrtc"), ("nvidia", "nvidia.cuda_nvrtc"), ("cuda", "cuda.bindings.nvrtc"))


@dataclass(kw_only=True)
class Warm:
    warm: bool = opt("--warm", "", "Compile or load every CPU kernel now.", False, rich_help_panel="Running")


def doctor(*, warm: Warm, common: Common) -> None:
    """Versions, caches, kernels and devices.

    What this machine has, which device is used and why the GPU is or is not.
    """
    found = facts()
    if warm.warm:
        from heatgrid.cli.warm import warmed

        found["warm"] = warmed(common.quiet)
    if common.json:
        summary.emit("doctor", **found)
        return
    for name, value in found.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        text.put(f"{name:<12}{text.clean(shown)}")


def facts() -> dict[str, Any]:
    from heatgrid.cli.plan import cores

    return {
        "version": heatgrid.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "cores": cores(),
        "memory": _memory(),
        "cache": _cache(),
        "sources": _kernels(),
        "nvrtc": "found" if _nvrtc() else "not installed",
        "gpu": _gpu(),
        "device": "cpu",
    }


def installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _memory() -> str:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    free = os.sysconf("SC_AVPHYS_PAGES") * page
    return f"{text.size(pages * page)} in all, {text.size(free)} free"


def cache_folder() -> Path:
    """Where Numba keeps the compiled kernels."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named) if named else Path(heatgrid.__file__).parent


def is_first() -> bool:
    """No kernel is compiled here yet."""
    return next(cache_folder().rglob("*.nbi"), None) is None


def say_if_first(quiet: bool) -> None:
    """The first run on a machine compiles; that wait is announced."""
    if not quiet and is_first():
        text.say("the first run compiles the kernels: some seconds, once (heatgrid doctor --warm does it ahead)")


def _cache() -> str:
    folder = cache_folder()
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    files = sum(1 for _ in folder.rglob("*.nbi"))
    state = f"{files} kernels compiled" if files else "empty: the first run compiles (heatgrid doctor --warm)"
    note = "" if os.access(there, os.W_OK) else "; not writable: every run compiles anew (set NUMBA_CACHE_DIR)"
    return f"{folder}: {state}{note}, {text.size(shutil.disk_usage(there).free)} free"


def _kernels() -> str:
    from heatgrid.gpu.locate import kernels

    try:
        folder = kernels()
    except DeviceError as error:
        return error.what
    return f"{folder}: " + (", ".join(sorted(path.name for path in folder.glob("*.cu"))) or "headers only")


def _nvrtc() -> bool:
    """CUDA's run-time compiler, which works without a driver."""
    return any(find_spec(top) is not None and find_spec(name) is not None for top, name in _NVRTC)


def _gpu() -> str:
    from heatgrid.engine.backend import LEAST_ROWS, MEASURES_ON_GPU, ON_GPU
    from heatgrid.gpu.availability import why_not

    reason = why_not()
    if reason:
        return f"not used: {reason}"
    dumps = f"of event dumps by {', '.join(MEASURES_ON_GPU)}, from {LEAST_ROWS:,} rows on or with --backend gpu"
    return f"used by {', '.join(ON_GPU)}; {dumps}"
