"""Periods of a named time zone: half-open hours, days, weeks (from Monday) and months."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import columns
from heatgrid.engine.names import NameCodes

DAY = 86_400
QUARTER = 900
"""Every offset from UTC in use is a multiple of a quarter of an hour: labels change nowhere else."""
LAST = 2**63 - 1
MOST_LABELS = 400


class Periods:
    """Codes of periods. Only the days that occur are laid out, in the ticks of the source."""

    def __init__(self, every: str, tz: str, ticks_per_second: int, names: NameCodes) -> None:
        self.every = every
        self.zone = ZoneInfo(tz)
        self.ticks = ticks_per_second
        self.names = names
        self._codes_of_day: dict[int, list[tuple[int, int]]] = {}
        self._starts = np.array([LAST], np.int64)
        self._codes = np.empty(0, np.int32)

    def encode(self, time: npt.NDArray[np.int64], ok: npt.NDArray[np.uint8], out: npt.NDArray[np.int32]) -> None:
        """out = code of the period of each time; rows that are not ok may have any time and get any code."""
        valid = time if ok.all() else time[ok.view(bool)]
        if not len(valid):
            out[:] = -1
            return
        day = DAY * self.ticks
        first, last = int(valid.min()) // day, int(valid.max()) // day
        days: Iterable[int] = range(first, last + 1) if last - first <= 62 else np.unique(valid // day).tolist()
        new = [d for d in days if d not in self._codes_of_day]
        if new:
            self._lay_out(new)
        columns.period_codes(time, self._starts, self._codes, out)

    def _lay_out(self, days: list[int]) -> None:
        for day in days:
            found: list[tuple[int, int]] = []
            for second in range(day * DAY, (day + 1) * DAY, QUARTER):
                code = self.names.code(self._label(second))
                if not found or found[-1][1] != code:
                    found.append((second * self.ticks, code))
            self._codes_of_day[day] = found
        both = [pair for _, found in sorted(self._codes_of_day.items()) for pair in found]
        self._starts = np.array([start for start, _ in both] + [LAST], np.int64)
        self._codes = np.array([code for _, code in both], np.int32)

    def _label(self, second: int) -> str:
        return label(self.every, self.zone, second)


def label(every: str, zone: ZoneInfo, second: int) -> str:
    """The name of the period that holds a second since 1970; names sort as their periods do."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(zone)
    if every == "hour":
        # the offset tells the two hours apart that a change of the clock gives the same name
        offset = "" if zone.key == "UTC" else local.strftime("%z")
        return f"{local.year:04d}-{local.month:02d}-{local.day:02d}T{local.hour:02d}{offset}"
    if every == "week":
        year, week, _ = local.isocalendar()
        return f"{year:04d}-W{week:02d}"
    day = "" if every == "month" else f"-{local.day:02d}"
    return f"{local.year:04d}-{local.month:02d}{day}"


def labels_between(every: str, tz: str, first: int, last: int) -> list[str]:
    """The names of all periods from the one of ``first`` to that of ``last`` (seconds since 1970), in order; of more
    than MOST_LABELS only the ends. So a week in which nothing happened is a column of 0, not a week left out."""
    zone = ZoneInfo(tz)
    step = QUARTER if every == "hour" else DAY // 4
    if (last - first) // step > MOST_LABELS * (4 if every == "hour" else 4 * {"day": 1, "week": 7, "month": 31}[every]):
        return [label(every, zone, first), label(every, zone, last)]
    seconds = [*range(first, last, step), last]
    return list(dict.fromkeys(label(every, zone, second) for second in seconds))
