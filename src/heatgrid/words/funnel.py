"""The steps of a funnel: small predicates on kind, page and feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heatgrid.words.errors import UsageError, nearest

FIELDS = ("kind", "page", "feature")
MOST_STEPS = 32


@dataclass(frozen=True)
class Step:
    """A row is of the step if each field that is named holds one of its values; page by the URL rules."""

    kind: tuple[str, ...] = ()
    page: tuple[str, ...] = ()
    feature: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it can be written: ``pageview:/pricing``, or ``kind=click&feature=Sign up``."""
        fields = {name: ",".join(values) for name, values in vars(self).items() if values}
        if set(fields) == {"kind", "page"}:
            return f"{fields['kind']}:{fields['page']}"
        return fields["kind"] if set(fields) == {"kind"} else "&".join(f"{k}={v}" for k, v in fields.items())

    def as_dict(self) -> dict[str, list[str]]:
        return {name: list(values) for name, values in vars(self).items() if values}


def load_funnel(steps: Sequence[Any] | str) -> tuple[Step, ...]:
    """Steps out of texts, mappings or steps. Errors: UsageError HG1114 (a step), HG1115 (too many)."""
    made = tuple(step_of(step) for step in ([steps] if isinstance(steps, (str, Mapping, Step)) else steps))
    if len(made) > MOST_STEPS:
        raise UsageError(
            "too many steps for a funnel", code="HG1115", where="funnel", value=len(made),
            expected=f"at most {MOST_STEPS}",
        )  # fmt: skip
    return made


def step_of(step: object) -> Step:
    """``pageview:/pricing``, ``click``, ``/pricing``, ``kind=click&feature=Sign up``, or a mapping of the fields."""
    if isinstance(step, Step):
        return step
    fields = _parsed(step) if isinstance(step, str) else dict(step) if isinstance(step, Mapping) else {}
    made: dict[str, tuple[str, ...]] = {}
    for key, value in fields.items():
        if key not in FIELDS:
            raise _unusable(step, nearest(str(key), FIELDS))
        if value is None:
            continue
        values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
        if not values or not all(isinstance(v, str) and v for v in values):
            raise _unusable(step, f"{key} is a text or a list of texts")
        made[key] = tuple(sorted(set(values)))
    if not made:
        raise _unusable(step, "name a kind, a page or a feature")
    return Step(**made)


def _parsed(text: str) -> dict[str, object]:
    if text.partition("=")[0] in FIELDS:
        return dict(part.partition("=")[::2] for part in text.split("&"))
    if text.startswith(("/", "#", "http://", "https://")):
        return {"page": text}
    kind, colon, page = text.partition(":")
    return {"kind": kind, "page": page} if colon else {"kind": kind}


def _unusable(step: object, hint: str) -> UsageError:
    return UsageError(
        "not a step of a funnel", code="HG1114", where="funnel", value=step,
        expected="pageview:/pricing, click, /pricing, or kind=click&feature=Sign up", hint=hint,
    )  # fmt: skip
