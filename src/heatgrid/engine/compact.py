"""Columns of a block in few bytes: as offsets from a base, in the narrowest type that has held all values so far.

A row of a click map with dwell takes 49 bytes so, and 92 as a block has it. Hashes stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from heatgrid.engine.block import DTYPES, Array

HASHES = ("session_lo", "session_hi", "event", "tab", "view", "user_lo", "user_hi")
_NARROW = (np.uint8, np.uint16, np.uint32)
WHOLE = len(_NARROW)


class Form(NamedTuple):
    """How a column is kept: value = stored + base."""

    dtype: np.dtype[Any]
    base: int


class Layout:
    """The forms of all columns. They only widen, so that few blocks differ from the one before."""

    def __init__(self) -> None:
        self.forms: dict[str, Form] = {}
        self._level: dict[str, int] = {}

    def fit(self, columns: Mapping[str, Array]) -> bool:
        """Widen what does not hold these values; whether anything changed."""
        before = dict(self.forms)
        for name, values in columns.items():
            if name not in self.forms:
                self._level[name] = 0
                self.forms[name] = self._form(name, values)
            while not self._holds(name, values):
                self._level[name] += 1
                self.forms[name] = self._form(name, values)
        return self.forms != before

    def _form(self, name: str, values: Array) -> Form:
        full = np.dtype(DTYPES[name])
        level = self._level[name]
        if full.kind == "f":
            return Form(np.dtype(np.float32) if level == 0 else full, 0)
        if name in HASHES or full.itemsize == 1 or level == WHOLE or not len(values):
            return Form(full, 0)
        narrow = np.dtype(_NARROW[level])
        if narrow.itemsize >= full.itemsize:
            return Form(full, 0)
        # codes begin at -1; of numbers a wide type has the first block's in its middle
        low, high = (-1, -1) if full.itemsize == 4 else (int(values.min()), int(values.max()))
        middle = max((low + high) // 2 - (1 << 31), -(1 << 63))
        return Form(narrow, middle if level == WHOLE - 1 else low)

    def _holds(self, name: str, values: Array) -> bool:
        form = self.forms[name]
        if form.dtype == DTYPES[name] or not len(values):
            return True
        if form.dtype.kind == "f":
            with np.errstate(over="ignore"):
                other = values[values.astype(np.float32) != values]
            return bool(np.isnan(other).all())
        return form.base <= int(values.min()) and int(values.max()) <= form.base + int(np.iinfo(form.dtype).max)

    def narrow(self, name: str, values: Array) -> Array:
        form = self.forms[name]
        if form.base:
            values = values - DTYPES[name](form.base)
        return values.astype(form.dtype, copy=False)

    def widen(self, name: str, stored: Array, out: Array) -> None:
        form = self.forms[name]
        if form.base:
            np.add(stored, out.dtype.type(form.base), out=out, dtype=out.dtype, casting="unsafe")
        else:
            out[:] = stored

    def copy(self) -> Layout:
        other = Layout()
        other.forms, other._level = dict(self.forms), dict(self._level)
        return other

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {name: [form.dtype.str, form.base, self._level[name]] for name, form in self.forms.items()}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Layout:
        out = cls()
        out.forms = {name: Form(np.dtype(dtype), base) for name, (dtype, base, _) in told.items()}
        out._level = {name: level for name, (_, _, level) in told.items()}
        return out

    @property
    def row_bytes(self) -> int:
        return sum(form.dtype.itemsize for form in self.forms.values())

    @property
    def by_size(self) -> list[str]:
        """Names, the widest first: one after the other they all lie on multiples of their size."""
        return sorted(self.forms, key=lambda name: -self.forms[name].dtype.itemsize)


def full_bytes(names: Mapping[str, object]) -> int:
    """Bytes of a row as a block has it."""
    return sum(np.dtype(DTYPES[name]).itemsize for name in names)
