"""A stack of grids, one a group, of which only the cells that were hit are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heatgrid.engine.pool import thread_count
from heatgrid.engine.room import available_bytes
from heatgrid.engine.stacks import Listed, Sparse, Unfolded
from heatgrid.outputs.grid import Grid
from heatgrid.words.errors import LimitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH = 1 << 18


class GroupedGrid(Grid):
    """What `bin_points` gives for so many groups that a dense stack would be mostly zeros: `sparse()` is at hand, and
    `values` is made on each asking.

    cells : the cells that are not zero, by key (group * ny + iy) * nx + ix.
    """

    def __init__(
        self,
        cells: Sparse,
        shape: tuple[int, int, int],
        extent: tuple[float, float, float, float],
        **ledger: Any,
    ) -> None:
        self.cells = cells
        self._shape = shape
        self.extent = extent
        self.used = int(ledger.get("used", 0))
        self.outside = int(ledger.get("outside", 0))
        self.invalid = int(ledger.get("invalid", 0))
        self.name = str(ledger.get("name", "counts"))
        self.unit = str(ledger.get("unit", "events"))
        self.meta = dict(ledger.get("meta", {}))

    def __repr__(self) -> str:
        groups, ny, nx = self._shape
        return f"GroupedGrid({groups:,} groups of {ny} x {nx} cells, {len(self.cells):,} not zero)"

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def values(self) -> npt.NDArray[np.int64]:  # type: ignore[override]
        """int64 (n_groups, ny, nx), made anew. Raises LimitError where it does not fit."""
        import numpy as np

        groups, ny, nx = self._shape
        needed = groups * ny * nx * 8
        free = available_bytes()
        if needed > free:
            raise LimitError(
                "the grids do not fit", code="HG4402", where="values",
                value=f"{groups:,} grids of {ny} x {nx} cells, {needed / 2**30:.1f} GiB",
                expected=f"{free / 2**30:.1f} GiB", hint="sparse() has the cells that are not zero",
            )  # fmt: skip
        out = np.zeros(groups * ny * nx, np.int64)
        for start in range(0, len(self.cells), BATCH):
            keys, counts = self.cells.rows(start, min(start + BATCH, len(self.cells)))
            out[keys] = counts
        return out.reshape(self._shape)

    def sparse(self) -> tuple[npt.NDArray[Any], ...]:
        """(group, iy, ix, count), in that order. The first three are int32 where no product of them passes 2^31."""
        import numpy as np

        groups, ny, nx = self._shape
        n = len(self.cells)
        dtype = np.int32 if groups * ny * nx < 2**31 else np.int64
        out = Unfolded(np.empty(n, dtype), np.empty(n, dtype), np.empty(n, dtype), np.empty(n, np.int64))
        self.cells.unfold(ny, nx, out, thread_count(None))
        return tuple(out)

    def _unfolded(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], ...]:
        import numpy as np

        _, ny, nx = self._shape
        out = Unfolded(*(np.empty(stop - start, np.int64) for _ in range(4)))
        Listed(*self.cells.rows(start, stop)).unfold(ny, nx, out, 1)
        return tuple(out)

    def to_arrow(self) -> Any:
        import pyarrow as pa

        return pa.Table.from_batches(self._batches(), schema=self._schema())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self._schema(), self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _schema(self) -> Any:
        import pyarrow as pa

        whole, real = pa.int64(), pa.float64()
        kinds = {"group": whole, "iy": whole, "ix": whole, "x": real, "y": real, "count": whole}
        return pa.schema(list(kinds.items()))

    def _batches(self) -> Iterator[Any]:
        """Some cells at a time: what a consumer does not keep is let go of."""
        import pyarrow as pa

        coords = self.coords
        for start in range(0, len(self.cells), BATCH):
            group, iy, ix, count = self._unfolded(start, min(start + BATCH, len(self.cells)))
            columns = [group, iy, ix, coords["x"][ix], coords["y"][iy], count]
            yield pa.record_batch(columns, schema=self._schema())
