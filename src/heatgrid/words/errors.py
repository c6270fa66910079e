"""Errors that say what, where, the value, what was expected and what to do next.

Every error carries a stable code (``HG1203``) and the exit code of the command line:
2 usage, 3 input, 4 quality, 5 limit, 6 device.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HeatgridError(Exception):
    """Base of all expected failures; anything else that escapes is a bug of ours (exit 1)."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        code: str,
        where: str | None = None,
        value: object = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.code = code
        self.where = where
        self.value = value
        self.expected = expected
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{self.what} [{self.code}]"]
        if self.where is not None:
            lines.append(f"  where:    {self.where}")
        if self.value is not None:
            lines.append(f"  value:    {shorten(self.value)}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None:
            lines.append(f"  try:      {self.hint}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        return {
            "code": self.code,
            "exit_code": self.exit_code,
            "what": self.what,
            "where": self.where,
            "value": None if self.value is None else shorten(self.value),
            "expected": self.expected,
            "hint": self.hint,
        }


class UsageError(HeatgridError):
    """The call itself is wrong: an argument, an option, a combination (exit 2, codes HG1xxx)."""

    exit_code = 2


class InputError(HeatgridError):
    """The input cannot be read or lacks what was asked for (exit 3, codes HG2xxx)."""

    exit_code = 3


class QualityError(HeatgridError):
    """Too many rows rejected, or too few left (exit 4, codes HG3xxx)."""

    exit_code = 4


class LimitError(HeatgridError):
    """A limit of memory, disk or cardinality (exit 5, codes HG4xxx)."""

    exit_code = 5


class DeviceError(HeatgridError):
    """A device was asked for by name and is not there (exit 6, codes HG5xxx)."""

    exit_code = 6


class Cancelled(HeatgridError):
    """The caller's progress callback asked to stop (exit 130, code HG9001)."""

    exit_code = 130


def shorten(value: object, width: int = 200) -> str:
    """A value as one printable line: control characters are shown escaped, never sent to a terminal."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def nearest(name: str, choices: Iterable[str], n: int = 3) -> str:
    """``did you mean 'x', 'y'?`` or the list of choices, for the hint of an error."""
    options = list(choices)
    folded = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), list(folded), n=n, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(folded[c]) for c in close) + "?"
    if not options:
        return "there is nothing to choose from"
    listed = ", ".join(repr(option) for option in options[:20])
    return f"choose one of {listed}" + (f" … ({len(options)} in all)" if len(options) > 20 else "")
