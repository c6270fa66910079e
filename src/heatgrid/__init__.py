"""heatgrid: event dumps of any size into usage heatmaps.

Importing the package loads neither numba nor cupy nor pyarrow; each public name loads what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from heatgrid.api import load, merge, read, run
    from heatgrid.arrays import bin_points, smooth
    from heatgrid.dwelling import dwell
    from heatgrid.heat import Heat
    from heatgrid.outputs.grid import Grid
    from heatgrid.service import Engine
    from heatgrid.words.areas import Area
    from heatgrid.words.errors import HeatgridError
    from heatgrid.words.plan import Plan

_HOMES = {
    "Area": "heatgrid.words.areas",
    "Engine": "heatgrid.service",
    "Grid": "heatgrid.outputs.grid",
    "Heat": "heatgrid.heat",
    "HeatgridError": "heatgrid.words.errors",
    "Plan": "heatgrid.words.plan",
    "bin_points": "heatgrid.arrays",
    "dwell": "heatgrid.dwelling",
    "load": "heatgrid.api",
    "merge": "heatgrid.api",
    "read": "heatgrid.api",
    "run": "heatgrid.api",
    "smooth": "heatgrid.arrays",
}

__all__ = [
    "Area",
    "Engine",
    "Grid",
    "Heat",
    "HeatgridError",
    "Plan",
    "__version__",
    "bin_points",
    "dwell",
    "load",
    "merge",
    "read",
    "run",
    "smooth",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'heatgrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
