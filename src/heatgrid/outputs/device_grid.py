"""A grid whose counts lie on a device until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from heatgrid.outputs.grid import Grid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class DeviceGrid(Grid):
    """``on_device`` is the device's array, ``values`` its copy in main memory, made when first asked for."""

    def __init__(self, on_device: Any, download: Callable[[Any], npt.NDArray[Any]], *args: Any, **facts: Any) -> None:
        self.on_device = on_device
        self._download = download
        self._values: npt.NDArray[np.int64] | None = None
        super().__init__(on_device, *args, **facts)

    @property
    def values(self) -> npt.NDArray[np.int64]:
        if self._values is None:
            self._values = self._download(self.on_device)
        return self._values

    @values.setter
    def values(self, values: Any) -> None:
        """The field of the dataclass: the device's array is kept where it is."""
        if values is not self.on_device:
            self._values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.on_device.shape)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return dict(self.on_device.__cuda_array_interface__)
