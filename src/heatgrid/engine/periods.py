"""Periods of a named time zone: half-open hours, days, weeks (from Monday) and months, or from release to release."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import columns
from heatgrid.engine.names import NameCodes
from heatgrid.words.plan import RELEASE, Plan
from heatgrid.words.releases import Release

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


class Releases:
    """Codes of the periods between releases; those of one moment begin one period together."""

    def __init__(self, releases: Sequence[Release], tz: str, ticks_per_second: int, names: NameCodes) -> None:
        cuts = stretches(releases, tz)
        # the first tick that is not before the moment: a source of whole seconds has none in between
        starts = [-(-at_ms * ticks_per_second // 1000) for at_ms, _ in cuts[1:]]
        self._starts = np.array([-LAST - 1, *starts, LAST], np.int64)
        self._codes = np.array([names.code(name) for _, name in cuts], np.int32)

    def encode(self, time: npt.NDArray[np.int64], ok: npt.NDArray[np.uint8], out: npt.NDArray[np.int32]) -> None:
        """As ``Periods.encode``."""
        columns.period_codes(time, self._starts, self._codes, out)


def stretches(releases: Sequence[Release], tz: str) -> list[tuple[int, str]]:
    """(its first ms, its name) of each period that releases cut; the first of them is what was before all.

    A name begins with the moment in ``tz``, so that names sort as their periods do.
    """
    zone = ZoneInfo(tz)
    out = [(-LAST - 1, f"(before {releases[0].name})")]
    for at_ms, group in groupby(releases, key=lambda release: release.at_ms):
        same = list(group)
        local = same[0].moment.astimezone(zone)
        unit = "milliseconds" if at_ms % 1000 else "seconds" if at_ms % 60_000 else "minutes"
        moment = local.replace(tzinfo=None).isoformat(timespec=unit).removesuffix("T00:00")
        out.append((at_ms, f"{moment} {', '.join(release.name for release in same)}"))
    return out


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


def labels_of(plan: Plan, first_ms: int, last_ms: int) -> list[str]:
    """The names of all periods of a plan that lie between two times, in order."""
    assert plan.every is not None
    if plan.every != RELEASE:
        return labels_between(plan.every, plan.tz, first_ms // 1000, last_ms // 1000)
    cuts = stretches(plan.release_list, plan.tz)
    ends = [*(at_ms for at_ms, _ in cuts[1:]), LAST]
    return [name for (at, name), end in zip(cuts, ends, strict=True) if at <= last_ms and end > first_ms]


def label_at(plan: Plan, at_ms: int) -> str | None:
    """The name of the period of a plan that holds a time; None without periods."""
    return None if plan.every is None else labels_of(plan, at_ms, at_ms)[0]
