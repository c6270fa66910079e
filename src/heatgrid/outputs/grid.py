"""A grid of counts: values with their extent, so that a cell can be found again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass
class Grid:
    """Counts by cell.

    values : int64 (ny, nx), or (n_groups, ny, nx); y grows downwards, as on a page.
    extent : (x0, x1, y0, y1) in the units of x and y; cell (iy, ix) is half-open [x0 + ix*w, x0 + (ix+1)*w).
    used, outside, invalid : the points' ledger (used + outside + invalid = points given).
    """

    values: npt.NDArray[np.int64]
    extent: tuple[float, float, float, float]
    used: int = 0
    outside: int = 0
    invalid: int = 0
    name: str = "counts"
    unit: str = "events"
    meta: dict[str, object] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dims(self) -> tuple[str, ...]:
        return ("group", "y", "x") if len(self.shape) == 3 else ("y", "x")

    @property
    def cell(self) -> tuple[float, float]:
        """(width, height) of a cell."""
        x0, x1, y0, y1 = self.extent
        ny, nx = self.shape[-2:]
        return (x1 - x0) / nx, (y1 - y0) / ny

    @property
    def coords(self) -> dict[str, npt.NDArray[Any]]:
        """Centres of the cells, and the group numbers."""
        import numpy as np

        ny, nx = self.shape[-2:]
        width, height = self.cell
        coords: dict[str, npt.NDArray[Any]] = {
            "y": self.extent[2] + (np.arange(ny) + 0.5) * height,
            "x": self.extent[0] + (np.arange(nx) + 0.5) * width,
        }
        if len(self.shape) == 3:
            coords["group"] = np.arange(self.shape[0])
        return coords

    def sparse(self) -> tuple[npt.NDArray[np.int64], ...]:
        """(group, iy, ix, count) of the cells that are not zero, in that order; group is 0 for a single grid."""
        import numpy as np

        stack = self.values if self.values.ndim == 3 else self.values[None]
        group, iy, ix = np.nonzero(stack)
        return group, iy, ix, stack[group, iy, ix]

    def to_arrow(self) -> Any:
        """The sparse cells as a table: group, iy, ix, x, y (centres), count."""
        import pyarrow as pa

        group, iy, ix, count = self.sparse()
        coords = self.coords
        columns = {"iy": iy, "ix": ix, "x": coords["x"][ix], "y": coords["y"][iy], "count": count}
        return pa.table({"group": group, **columns} if self.values.ndim == 3 else columns)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        import numpy as np

        return np.array(self.values, dtype=dtype, copy=copy)

    def to_xarray(self) -> Any:
        """An xarray.DataArray with cell centres as coordinates. UsageError HG1340 without the extra ``xarray``."""
        from heatgrid.outputs.frames import library

        attrs = {"unit": self.unit, "used": self.used, "outside": self.outside, "invalid": self.invalid}
        return library("xarray").DataArray(
            self.values, coords=self.coords, dims=self.dims, name=self.name, attrs=attrs
        )  # fmt: skip

    def to_pandas(self) -> Any:
        """The sparse cells of ``to_arrow`` as a pandas.DataFrame. UsageError HG1340 without the extra ``pandas``."""
        from heatgrid.outputs.frames import to_pandas

        return to_pandas(self.to_arrow())

    def to_polars(self) -> Any:
        """The same as a polars.DataFrame. UsageError HG1340 without the extra ``polars``."""
        from heatgrid.outputs.frames import to_polars

        return to_polars(self.to_arrow())

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the map with its n and legend; of a stack of grids nothing."""
        if len(self.shape) != 2:
            return None
        from heatgrid.outputs.drawing import encode
        from heatgrid.outputs.pictures import map_image

        return encode(map_image(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as .npz (dense), .parquet .arrow .csv (sparse) or .json, complete or not at all."""
        from heatgrid.outputs.tables import write_grid

        write_grid(self, path)
