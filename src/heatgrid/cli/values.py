"""What people write after an option, turned into values; each mistake named with what was expected."""

from __future__ import annotations

import re
from collections.abc import Sequence

from heatgrid.words.errors import UsageError, nearest
from heatgrid.words.events import CANONICAL, KINDS

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*$")


def duration(text: str | None, option: str) -> int | None:
    """``30s`` -> 30000 ms. A bare number is refused: seconds and milliseconds are too easily mixed up."""
    if text is None:
        return None
    match = _DURATION.match(text)
    ms = float(match[1]) * _UNITS[match[2]] if match else -1.0
    if not match or ms != int(ms):
        raise UsageError(
            "not a duration", code="HG1010", where=option, value=text,
            expected="a number and its unit: ms, s, min, h or d", hint=f"{option} 30s, {option} 30min, {option} 250ms",
        )  # fmt: skip
    return int(ms)


def share(text: str, option: str) -> float:
    """``1%`` or ``0.01`` -> 0.01."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(
            "not a share",
            code="HG1011",
            where=option,
            value=text,
            expected="0% to 100%, or 0 to 1",
            hint=f"{option} 5%",
        )
    return value


def numbers(text: str | None, option: str, counts: Sequence[int], example: str) -> tuple[float, ...] | None:
    """``0,1440,0,4000`` or ``8x16`` -> floats; as many as ``counts`` allows."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in re.split(r"[,x ]+", text.strip()))
    except ValueError:
        values = ()
    if len(values) not in counts:
        raise UsageError(
            "not the numbers that were expected", code="HG1012", where=option, value=text,
            expected=" or ".join(map(str, counts)) + " numbers", hint=f"{option} {example}",
        )  # fmt: skip
    return values


def names(texts: Sequence[str] | None) -> tuple[str, ...]:
    """``--by device --by country`` and ``--by device,country`` are the same; first come, first kept."""
    parts = (part.strip() for text in texts or () for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def pairs(texts: Sequence[str] | None, option: str, example: str) -> list[tuple[str, str]]:
    out = []
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                "not a NAME=VALUE pair", code="HG1013", where=option, value=text, expected="NAME=VALUE", hint=example
            )
        out.append((key.strip(), value.strip()))
    return out


def mapping(texts: Sequence[str] | None) -> dict[str, str | None] | None:
    """``--map x=px --map event_id=``: canonical name -> source column; an empty column leaves it out on purpose."""
    out: dict[str, str | None] = {}
    for key, value in pairs(texts, "--map", "--map x=pointer_x"):
        if key not in CANONICAL:
            raise UsageError(
                "no canonical column of this name", code="HG1014", where="--map", value=key,
                expected="CANONICAL=YOUR_COLUMN", hint=nearest(key, CANONICAL),
            )  # fmt: skip
        out[key] = value or None
    return out or None


def kinds(texts: Sequence[str] | None) -> dict[str, tuple[str, ...]] | None:
    """``--kind click=Click,press``: canonical kind -> the source's words for it."""
    out: dict[str, tuple[str, ...]] = {}
    for key, value in pairs(texts, "--kind", "--kind click=press,tap"):
        if key not in KINDS:
            raise UsageError(
                "no kind of this name", code="HG1015", where="--kind", value=key, expected="KIND=WORD,WORD",
                hint=nearest(key, KINDS),
            )  # fmt: skip
        out[key] = (*out.get(key, ()), *names([value]))
    return out or None


def page_rules(texts: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """``/p/*/**=/p/:id``: cut at the last ``=``, since a pattern may hold some."""
    for text in texts or ():
        if "=" not in text:
            raise UsageError(
                "not a PATTERN=PAGE pair", code="HG1013", where="--page-rule", value=text, expected="PATTERN=PAGE",
                hint="--page-rule '/p/:id/settings/**=/p/settings'",
            )  # fmt: skip
    pairs = (text.rpartition("=")[::2] for text in texts or ())
    return tuple((pattern.strip(), page.strip()) for pattern, page in pairs)


def one_of(text: str, option: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise UsageError(
            f"unknown value for {option}", code="HG1016", where=option, value=text,
            expected="one of " + ", ".join(choices), hint=nearest(text, choices),
        )  # fmt: skip
    return text
