"""Perceptual colour tables of 256 entries, so that no plotting stack is needed at run time.

viridis, inferno and magma are the CC0 tables of their authors, kept as every fifth entry (the entries between are
interpolated, within one level of the original); cividis and turbo are our own, made from the anchors named here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from heatgrid.words.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ANCHORS = {
    "viridis": (
        "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31"
        "688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7"
        "793dbc7446c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
    ),
    "inferno": (
        "00000402020c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e78"
        "1c6d801f6c88226a902568982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed69"
        "25f1711ff47918f78212f98b0bfa9407fb9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4"
    ),
    "magma": (
        "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c8172"
        "1f81792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f160"
        "5df4695cf7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf"
    ),
    "cividis": "00224e1a386f434e6c6169707c7b788f8c78a59e75bbb06fd3c467fee838",
    "turbo": "30123b4145ab4675ed39a2fc1bcfd424eca661fc6ca4fc3cd1e834f3c63afe9b2df36315d93806b117007a0403",
}
COLORS = tuple(_ANCHORS)


@cache
def table(name: str) -> npt.NDArray[np.uint8]:
    """The (256, 3) sRGB table of a name of ``COLORS``; its first entry stands for the least value.

    Raises UsageError (HG1310) for an unknown name.
    """
    import numpy as np

    if name not in _ANCHORS:
        raise UsageError(
            "unknown colour table", code="HG1310", where="cmap", value=name, expected="one of " + ", ".join(COLORS),
            hint=nearest(name, COLORS),
        )  # fmt: skip
    anchors = np.frombuffer(bytes.fromhex(_ANCHORS[name]), np.uint8).reshape(-1, 3)
    at = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), at, anchors[:, c]) for c in range(3)]
    colors = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    colors.setflags(write=False)
    return colors


def luminance(rgb: tuple[int, int, int]) -> float:
    """Relative luminance (0..1) of an sRGB colour, as the contrast rules of web pages define it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
