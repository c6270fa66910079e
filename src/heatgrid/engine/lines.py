"""A known layout as sorted lines: for each page and window width the mid-heights of its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heatgrid.engine.block import Array
from heatgrid.words.areas import Area
from heatgrid.words.errors import LimitError
from heatgrid.words.events import ALL

MOST_LINES = 1 << 22


@dataclass(frozen=True)
class Lines:
    """Tables of lines (cpu/exposure.py): one for each width between edges and an unknown one, page by page.

    The features that a page has lines of are its group: their codes, ascending, in of_group[groups[q]:groups[q + 1]];
    locals are numbers in the group.
    """

    table_of_page: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    lines: npt.NDArray[np.float64]
    locals: npt.NDArray[np.int32]
    edges: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    of_group: npt.NDArray[np.int32]

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
        return self.table_of_page, self.starts, self.lines, self.locals, self.edges, self.groups, self.of_group


def lines_of(
    areas: Sequence[Area], page_code: Callable[[str], int], feature_code: Callable[[str], int], has_page: bool
) -> Lines:
    """Of several areas of one name that hold at a page and width the one counts that says the most: an area of the page
    before one of every page, then the narrower range of widths, then the first named.

    Errors: LimitError HG4106 for a layout of more than 4 M lines.
    """
    limits = {limit for area in areas for limit in (area.min_width, area.max_width) if limit is not None}
    edges = sorted(limit for limit in limits if math.isfinite(limit))
    if len(areas) * (len(edges) + 2) > MOST_LINES:
        raise LimitError(
            "the layout has too many areas and widths", code="HG4106", where="layout", value=f"{len(areas):,} areas",
            expected=f"areas times widths up to {MOST_LINES:,}", hint="fewer min_width and max_width",
        )  # fmt: skip
    own: dict[int, list[Area]] = {}
    everywhere = [area for area in areas if area.page is None or (not has_page and area.page == ALL)]
    for area in areas if has_page else ():
        if area.page is not None:
            own.setdefault(page_code(area.page), []).append(area)
    pages = sorted(own)
    table_of_page = np.zeros(max(pages, default=-1) + 2, np.int32)
    starts, lines, codes, groups, of_group = [0], [], [], [0], []
    for number, page in enumerate((None, *pages)):
        if page is not None:
            table_of_page[page] = number * (len(edges) + 2)
        mine = [] if page is None else own[page]
        group = sorted({feature_code(area.name) for area in (*mine, *everywhere)})
        local = {code: j for j, code in enumerate(group)}
        for low, high in [*zip([-math.inf, *edges], [*edges, math.inf], strict=True), (None, None)]:
            found: dict[int, tuple[bool, float, float]] = {}
            for at, area in enumerate((*mine, *everywhere)):
                least = -math.inf if area.min_width is None else area.min_width
                most = math.inf if area.max_width is None else area.max_width
                free = least == -math.inf and most == math.inf
                holds = free if low is None or high is None else least <= low and high <= most
                rank = (at >= len(mine), most - least)
                code = local[feature_code(area.name)]
                if holds and (code not in found or rank < found[code][:2]):
                    found[code] = (*rank, (area.y0 + area.y1) / 2)
            ordered = sorted((line, code) for code, (_, _, line) in found.items())
            lines += [line for line, _ in ordered]
            codes += [code for _, code in ordered]
            starts.append(len(lines))
        of_group += group
        groups.append(len(of_group))
    return Lines(
        table_of_page, np.array(starts, np.int64), np.array(lines, np.float64), np.array(codes, np.int32),
        np.array(edges, np.float64), np.array(groups, np.int64), np.array(of_group, np.int32),
    )  # fmt: skip
