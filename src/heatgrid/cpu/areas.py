"""The area that holds a point names the feature of a row that has none."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatgrid.cpu.jit import tight


@tight
def name_by_area(
    order: Any, ready: Any, slot: Any, feature: Any, page: Any, x: Any, y: Any, width: Any, box: Any, area_page: Any,
    area_feature: Any,
) -> None:  # fmt: skip
    """feature[i] = area_feature of the first area (sorted: smallest first) that holds (x, y) of a row without one.

    box : float64 (n, 6): x0, x1, y0, y1, least and most viewport width; area_page: -1 is every page.
    """
    for k in range(ready):
        i = order[k]
        if slot[i] < 0 or feature[i] >= 0 or not (abs(x[i]) < np.inf and abs(y[i]) < np.inf):
            continue
        for a in range(box.shape[0]):
            if area_page[a] >= 0 and (page.shape[0] == 0 or area_page[a] != page[i]):
                continue
            if not (box[a, 0] <= x[i] < box[a, 1] and box[a, 2] <= y[i] < box[a, 3]):
                continue
            if box[a, 4] > -np.inf or box[a, 5] < np.inf:
                w = width[i] if width.shape[0] else np.nan
                if not (w > 0.0 and box[a, 4] <= w < box[a, 5]):
                    continue
            feature[i] = area_feature[a]
            break
