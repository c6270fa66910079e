"""The time column as UTC timestamps of one unit, whatever a dump calls a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.cpu.columns import in_range
from heatgrid.engine.columns import writable
from heatgrid.engine.names import bitmap
from heatgrid.sources.layouts import bare, is_text, over_values, storage, text
from heatgrid.words.errors import InputError, UsageError

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNITS = tuple(PER_SECOND)
_SAMPLE_SHARE = 0.01
_FEW = 1 << 16
_DIGITS = r"^\s*[+-]?\d+\s*$"
_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_ISO = (
    r"^\s*(?P<y>\d{4})-(?P<mo>0[1-9]|1[0-2])-(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:[T ](?P<h>[01]\d|2[0-3]):(?P<mi>[0-5]\d)(?::(?P<s>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"\s*(?P<z>Z|z|UTC|GMT|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?\s*(?:UTC)?\s*$"
)


@dataclass(frozen=True)
class Times:
    """How the values of a time column become ``timestamp(unit, "UTC")``; out of range or unreadable is null."""

    unit: str = "us"
    tz: str = "UTC"
    number_unit: str | None = None
    low: int = 0
    """First second of the accepted range (UTC)."""
    high: int = 4_133_980_800
    """First second after the accepted range."""

    def __call__(self, array: pa.Array) -> pa.Array:
        kind = array.type
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            return over_values(array, self)
        array = storage(array)
        kind = array.type
        if pa.types.is_timestamp(kind):
            return self._bounded(zoned(array, self.tz))
        if pa.types.is_date(kind):
            return self._bounded(zoned(array.cast(pa.timestamp("ms")), self.tz))
        if pa.types.is_integer(kind):
            return self._integers(array)
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return self._floats(array.cast(pa.float64()))
        if is_text(kind):
            return self._texts(text(array))
        return pa.nulls(len(array), pa.timestamp(self.unit, "UTC"))

    def _integers(self, array: pa.Array) -> pa.Array:
        if pa.types.is_uint64(array.type):
            fits = pc.less_equal(array, pa.scalar(2**63 - 1, pa.uint64()))
            array = pc.if_else(fits, array, pa.scalar(None, pa.uint64()))
        unit = self.number_unit or self.unit
        return self._bounded(array.cast(pa.int64()).view(pa.timestamp(unit, "UTC")))

    def _floats(self, array: pa.Array) -> pa.Array:
        """Fractions are rounded half to even to the delivered unit."""
        factor = PER_SECOND[self.unit] / PER_SECOND[self.number_unit or "s"]
        scaled = pc.round(pc.multiply(array, factor), round_mode="half_to_even")
        inside = pc.and_(pc.greater_equal(scaled, -(2.0**62)), pc.less_equal(scaled, 2.0**62))
        whole = pc.if_else(inside, scaled, pa.scalar(None, pa.float64())).cast(pa.int64())
        return self._bounded(whole.view(pa.timestamp(self.unit, "UTC")))

    def _texts(self, array: pa.Array) -> pa.Array:
        if self.number_unit is not None:
            good = pc.match_substring_regex(array, _NUMBER)
            trimmed = pc.utf8_trim_whitespace(pc.if_else(good, array, pa.scalar(None, array.type)))
            whole = pc.match_substring_regex(trimmed, _DIGITS)
            if pc.all(whole, skip_nulls=True, min_count=0).as_py():
                try:
                    return self._integers(pc.replace_substring_regex(trimmed, r"^\+", "").cast(pa.int64()))
                except pa.ArrowInvalid:
                    pass  # a number of more than 64 bits is out of range as a float as well
            return self._floats(pc.replace_substring_regex(trimmed, r"^\+", "").cast(pa.float64()))
        return self._bounded(parse_iso(array, self.tz, self.unit))

    def _bounded(self, array: pa.Array) -> pa.Array:
        """Null where the time is outside the accepted range, then the delivered unit (which cannot overflow)."""
        per = PER_SECOND[array.type.unit]
        low, high = self.low * per, self.high * per
        if not len(array):
            return array.cast(pa.timestamp(self.unit, "UTC"), safe=False)
        ticks = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array)]
        # not Arrow's kernels: with their scalars this took a fifth of the time of decoding eight columns
        if len(ticks) < _FEW and low <= int(ticks.min()) and int(ticks.max()) < high:
            return self._delivered(array)  # nothing is compiled for a small input
        inside = np.zeros((len(ticks) + 7) // 8, np.uint8)
        bits, offset = bitmap(array)
        left = in_range(writable(ticks), writable(bits), offset, max(low, -(2**63)), min(high, 2**63 - 1), inside)
        if left < len(array) - array.null_count:
            buffers = [pa.py_buffer(inside), array.buffers()[1].slice(8 * array.offset, 8 * len(array))]
            array = pa.Array.from_buffers(array.type, len(array), buffers, len(array) - int(left))
        return self._delivered(array)

    def _delivered(self, array: pa.Array) -> pa.Array:
        if array.type.unit != self.unit:
            array = array.cast(pa.timestamp(self.unit, "UTC"), safe=False)
        return array


def zoned(array: pa.Array, tz: str) -> pa.Array:
    """Timestamps in UTC: zoned ones keep their instant, naive ones are clock times of ``tz``."""
    kind = array.type
    target = pa.timestamp(kind.unit, "UTC")
    if kind.tz is not None or tz == "UTC":
        return array if kind == target else array.view(pa.int64()).view(target)
    try:
        local = pc.assume_timezone(array, tz, ambiguous="earliest", nonexistent="latest")
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UsageError(
            "times cannot be read in this time zone",
            code="HG1203",
            value=tz,
            expected="a name such as Europe/Berlin or UTC",
            hint=str(error).split("\n", maxsplit=1)[0],
        ) from error
    return local.view(pa.int64()).view(target)


def parse_iso(array: pa.Array, tz: str, unit: str = "us") -> pa.Array:
    """ISO 8601 texts, with or without an offset, as UTC; what cannot be read is null."""
    target = pa.timestamp(unit, "UTC")
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    try:
        return array.cast(target)
    except pa.ArrowInvalid:
        pass  # not all of them have an offset
    try:
        return zoned(array.cast(pa.timestamp(unit)), tz)
    except pa.ArrowInvalid:
        pass  # a mixture, or values that are no times
    return _parse_each(array, tz, unit)


def _parse_each(array: pa.Array, tz: str, unit: str) -> pa.Array:
    """The tolerant way: a pattern takes each text apart, the calendar is checked with numbers."""
    parts = pc.extract_regex(array, _ISO)
    good = parts.is_valid()
    column = {entry.name: parts.field(index) for index, entry in enumerate(parts.type)}

    year, month, day = (_digits(column[name], good) for name in ("y", "mo", "d"))
    start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = (start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")
    ok = np.asarray(good) & (day <= days.astype(np.int64))
    fraction = pc.utf8_rpad(pc.fill_null(column["f"], ""), 9, "0")
    nanos = np.asarray(pc.utf8_slice_codeunits(fraction, 0, 9).cast(pa.int64()))
    date = start.astype("datetime64[D]").astype(np.int64) + day - 1
    seconds = ((date * 24 + _digits(column["h"], good)) * 60 + _digits(column["mi"], good)) * 60 + _digits(
        column["s"], good
    )
    per = PER_SECOND[unit]
    ticks = np.where(ok, seconds * per + nanos // (PER_SECOND["ns"] // per), 0)
    local = pa.array(ticks, mask=~ok).view(pa.timestamp(unit))
    zone = pc.fill_null(column["z"], "")
    naive = np.asarray(pc.equal(zone, "")) & ok
    offset = pc.extract_regex(zone, r"^(?P<sign>[+-])(?P<h>\d\d):?(?P<m>\d\d)?$")
    has = offset.is_valid()
    hours, minutes = (_digits(offset.field(index), has) for index in (1, 2))
    sign = np.where(np.asarray(pc.fill_null(pc.equal(offset.field(0), "-"), False)), -1, 1)
    shift = sign * (hours * 3600 + minutes * 60) * per
    fixed = pa.array(ticks - shift, mask=~ok).view(pa.timestamp(unit, "UTC"))
    if naive.any():
        return pc.if_else(pa.array(naive), zoned(local, tz), fixed)
    return fixed


def _digits(words: pa.Array, good: pa.Array) -> np.ndarray:
    """A captured group as integers, 0 where it is not there."""
    there = pc.and_(good, pc.not_equal(words, ""))
    return np.asarray(pc.fill_null(pc.if_else(there, words, pa.scalar("0", words.type)), "0").cast(pa.int64()))


@dataclass
class Choice:
    """The rule for a time column, and the sentence that says why."""

    times: Times
    notes: list[str] = field(default_factory=list)


def bounds(years: tuple[int, int]) -> tuple[int, int]:
    """(first second of the first year, first second of the last one), in UTC."""
    ends = [int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) for year in years]  # noqa: UP017
    return ends[0], ends[1]


def choose(
    samples: Sequence[pa.Array],
    kinds: Sequence[pa.DataType],
    *,
    tz: str,
    time_unit: str | None,
    years: tuple[int, int],
    place: str,
) -> Choice:
    """The rule for time columns of these types, the unit of numbers guessed from the values where it is not given."""
    if time_unit is not None and time_unit not in UNITS:
        raise UsageError("there is no such time unit", code="HG1204", value=time_unit, expected="s, ms, us or ns")
    low, high = bounds(years)
    plain = [bare(kind) for kind in kinds]
    for kind in plain:
        if not (
            pa.types.is_timestamp(kind)
            or pa.types.is_date(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            or is_text(kind)
            or pa.types.is_null(kind)
        ):
            raise InputError(
                "the time column holds no times",
                code="HG2213",
                where=place,
                value=str(kind),
                expected="timestamps, numbers or ISO texts",
                hint="--map time=COLUMN",
            )
    units = [kind.unit for kind in plain if pa.types.is_timestamp(kind)]
    units += ["ms" for kind in plain if pa.types.is_date(kind)]
    numbers = [s for s in (_numbers(sample) for sample in samples) if s is not None]
    notes = []
    number_unit = None
    if numbers or any(pa.types.is_integer(k) or pa.types.is_floating(k) or pa.types.is_decimal(k) for k in plain):
        values = np.concatenate([n for n, _ in numbers]) if numbers else np.zeros(0)
        whole = all(flag for _, flag in numbers) if numbers else True
        number_unit = time_unit or guess_unit(values, low, high, place)
        if time_unit is None and number_unit is not None:
            notes.append(f"time is read in {number_unit} (its values then fall in {years[0]}-{years[1] - 1})")
        number_unit = number_unit or "us"
        units.append(number_unit if whole or number_unit == "ns" else ("ns" if number_unit == "us" else "us"))
    if any(is_text(k) for k in plain) and number_unit is None:
        units.append("us")
    unit = max(units, key=UNITS.index) if units else "us"
    if tz != "UTC":
        zoned(pa.array([0], pa.timestamp("s")), tz)
        if any(pa.types.is_timestamp(k) and k.tz is None for k in plain) or any(is_text(k) for k in plain):
            notes.append(f"times without a zone are read as clock times of {tz}")
    return Choice(Times(unit, tz, number_unit, low, high), notes)


def _numbers(sample: pa.Array) -> tuple[np.ndarray, bool] | None:
    """(the values as float64, are all of them whole) of a numeric sample or of texts that are mostly numbers."""
    array = storage(sample)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    kind = array.type
    whole = pa.types.is_integer(kind)
    if is_text(kind):
        array = text(array).drop_null()
        good = pc.match_substring_regex(array, _NUMBER)
        if len(array) == 0 or 2 * (pc.sum(good).as_py() or 0) <= len(array):
            return None
        array = pc.replace_substring_regex(pc.utf8_trim_whitespace(array.filter(good)), r"^\+", "")
        whole = bool(pc.all(pc.match_substring_regex(array, _DIGITS)).as_py())
    elif not (whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    values = np.asarray(array.cast(pa.float64(), safe=False).drop_null())
    values = values[np.isfinite(values)]
    return values, whole


def readable(sample: pa.Array | None, years: tuple[int, int] = (2000, 2101)) -> float:
    """The share of a sample, nulls aside, that are times of these years in one unit."""
    if sample is None or sample.null_count == len(sample):
        return 0.0
    low, high = bounds(years)
    numbers = _numbers(sample)
    if numbers is not None:
        values = numbers[0]
        inside = (np.count_nonzero((values >= low * per) & (values < high * per)) for per in PER_SECOND.values())
        return float(max(inside)) / max(1, len(values))
    kind = bare(sample.type)
    if not (is_text(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return 0.0
    times = Times(low=low, high=high)(sample)
    good = int(len(times) - times.null_count)
    return good / int(len(sample) - sample.null_count)


def guess_unit(values: np.ndarray, low: int, high: int, place: str) -> str | None:
    """The one unit in which the values are times of the accepted years; zeros and strays do not decide."""
    values = values[values != 0]
    if len(values) == 0:
        return None
    shares = {
        unit: float(np.count_nonzero((values >= low * per) & (values < high * per))) / len(values)
        for unit, per in PER_SECOND.items()
    }
    fitting = [unit for unit, share in shares.items() if share > _SAMPLE_SHARE]
    if len(fitting) == 1:
        return fitting[0]
    middle = float(np.median(values))
    raise InputError(
        "the unit of the time column is not clear" if not fitting else "the time column mixes units",
        code="HG2215",
        where=place,
        value=f"{middle:.17g} in the middle" + (", units " + " and ".join(fitting) if fitting else ""),
        expected="numbers that are seconds, ms, us or ns since 1970 in one unit",
        hint=f"--time-unit {_closest(middle, low, high)}",
    )


def _closest(value: float, low: int, high: int) -> str:
    if value <= 0:
        return "ms"
    centre = (low + high) / 2
    return min(PER_SECOND, key=lambda unit: abs(math.log(value / PER_SECOND[unit] / centre)))
