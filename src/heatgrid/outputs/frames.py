"""Results as other libraries' frames; those are asked for by name where they are missing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from heatgrid.words.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


def library(name: str) -> Any:
    """The module; UsageError HG1340 names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{name} is not installed", code="HG1340", where=f"to_{name}", value=str(error),
            expected=f"the extra {name}", hint=f"pip install 'heatgrid[{name}]'",
        ) from error  # fmt: skip


def to_pandas(table: pa.Table) -> Any:
    """A pandas.DataFrame of a table."""
    library("pandas")
    return table.to_pandas()


def to_polars(table: pa.Table) -> Any:
    """A polars.DataFrame of a table, its columns not copied where polars can take them as they are."""
    return library("polars").from_arrow(table)
