"""The steps of a funnel in the codes of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heatgrid.engine.block import Array
from heatgrid.engine.names import NameCodes
from heatgrid.words.funnel import Step


def codes_of_steps(
    steps_of: Sequence[Step], kinds: NameCodes, pages: NameCodes, features: NameCodes
) -> tuple[Array, Array, Array, Array]:
    """For each kind, page and feature the steps (bits) that a row of it may be of; last, those that any other may be.

    A row is of the steps that all three allow: three look-ups for all steps at once.
    """
    found = []
    rest = []
    for field, code_of in (("kind", kinds.code_of_raw), ("page", pages.code_of_raw), ("feature", features.code)):
        wanted = [[code_of(value) for value in getattr(step, field)] for step in steps_of]
        free = sum(1 << e for e, codes in enumerate(wanted) if not codes)
        steps = np.full(max((c for codes in wanted for c in codes), default=-1) + 1, free, np.int64)
        for e, codes in enumerate(wanted):
            for code in set(codes):
                steps[code] |= 1 << e
        found.append(steps)
        rest.append(free)
    of_kind, of_page, of_feature = found
    return of_kind, of_page, of_feature, np.array(rest, np.int64)
