"""Periods of a named time zone: half-open hours, days, weeks (from Monday) and months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from heatgrid.cpu import columns
from heatgrid.engine.names import NameCodes


class Periods:
    """Codes of periods: boundaries are made for the time that blocks cover, in the ticks of the source."""

    def __init__(self, every: str, tz: str, ticks_per_second: int, names: NameCodes) -> None:
        self.every = every
        self.zone = ZoneInfo(tz)
        self.ticks = ticks_per_second
        self.names = names
        self._starts = np.empty(0, np.int64)
        self._codes = np.empty(0, np.int32)

    def encode(self, time: npt.NDArray[np.int64], out: npt.NDArray[np.int32]) -> None:
        if not len(time):
            return
        first, last = int(time.min()), int(time.max())
        if not len(self._starts) or first < self._starts[0] or last >= self._starts[-1]:
            self._cover(first, last)
        columns.period_codes(time, self._starts, self._codes, out)

    def _cover(self, first: int, last: int) -> None:
        if len(self._starts):
            first, last = min(first, int(self._starts[0])), max(last, int(self._starts[-1]))
        starts, labels = [], []
        start = self._floor(datetime.fromtimestamp(first // self.ticks, UTC))
        end = datetime.fromtimestamp(last // self.ticks, UTC)
        while True:
            starts.append(round(start.timestamp()) * self.ticks)
            if start > end:
                break
            labels.append(self._label(start))
            start = self._next(start)
        self._starts = np.array(starts, np.int64)
        self._codes = np.array([self.names.code(label) for label in labels], np.int32)

    def _floor(self, moment: datetime) -> datetime:
        """The start of the period that holds a moment; UTC-aware for hours, local midnight otherwise."""
        if self.every == "hour":
            return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
        local = moment.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self.every == "week":
            local = (local.replace(tzinfo=None) - timedelta(days=local.weekday())).replace(tzinfo=self.zone)
        elif self.every == "month":
            local = local.replace(day=1)
        return local

    def _next(self, start: datetime) -> datetime:
        if self.every == "hour":
            # by quarters, each under the code of its local hour: offsets change by half an hour somewhere
            return start + timedelta(minutes=15)
        plain = start.replace(tzinfo=None)
        if self.every == "month":
            plain = (plain.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            plain += timedelta(days=7 if self.every == "week" else 1)
        return plain.replace(tzinfo=self.zone)

    def _label(self, start: datetime) -> str:
        local = start.astimezone(self.zone)
        if self.every == "hour":
            # the offset tells the two hours apart that a change of the clock gives the same name
            offset = "" if self.zone.key == "UTC" else local.strftime("%z")
            return local.strftime("%Y-%m-%dT%H") + offset
        if self.every == "week":
            year, week, _ = local.isocalendar()
            return f"{year}-W{week:02d}"
        return local.strftime("%Y-%m" if self.every == "month" else "%Y-%m-%d")
