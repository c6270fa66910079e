"""The formats by name: our own, and those that installed packages declare as entry points ``heatgrid.sources``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from heatgrid.words.errors import HeatgridError, InputError, UsageError, nearest
from heatgrid.words.evidence import Evidence

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = "heatgrid.sources"
OWN = {
    "rrweb": "heatgrid.sources.adapters.rrweb:Rrweb",
    "snowplow": "heatgrid.sources.adapters.snowplow:Snowplow",
    "posthog": "heatgrid.sources.adapters.posthog:PostHog",
    "posthog-heatmaps": "heatgrid.sources.adapters.posthog:PostHogHeatmaps",
    "ga4": "heatgrid.sources.adapters.ga4:Ga4",
    "mixpanel": "heatgrid.sources.adapters.mixpanel:Mixpanel",
    "amplitude": "heatgrid.sources.adapters.amplitude:Amplitude",
    "amplitude-interactions": "heatgrid.sources.adapters.amplitude:AmplitudeInteractions",
    "clarity": "heatgrid.sources.adapters.clarity:Clarity",
    "segment": "heatgrid.sources.adapters.segment:Segment",
    "rudderstack": "heatgrid.sources.adapters.segment:RudderStack",
}
"""Name -> module:factory; loaded when asked for."""


UNREAD = {
    "matomo": "heatmap tables: no adapter; a join of two of them is read as it comes (docs/other_formats.md)",
    "openreplay": "events: no adapter; JSON lines by --map, percents of a page are not read (docs/other_formats.md)",
    "hotjar": "its export holds aggregates and pictures only, and no event; record with rrweb beside it",
    "crazyegg": "its export holds aggregates and pictures only, and no event; record with rrweb beside it",
}
"""What people ask for that no adapter reads -> why, and what to do."""


@dataclass
class Decoded:
    """A file or a batch as canonical columns: the rows, how many were none and where the first of them are."""

    batch: pa.RecordBatch
    rejected: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    """(line from 1, why) of some of them."""


class Adapter(Protocol):
    """What every format declares of itself. A factory makes it from its options (texts).

    Ours also say by ``tried`` what their reading was tried on; it begins with "no real" where no real file was at hand.
    """

    name: str
    about: str
    """One line for people."""
    evidence: Evidence
    schema: pa.Schema
    """Canonical columns that its rows have, and segments under names of their own."""
    lacks: Mapping[str, str]
    """What the source cannot give -> why, or what would."""
    suffixes: tuple[str, ...]


@runtime_checkable
class Recordings(Adapter, Protocol):
    """A format whose files are one session each, read whole."""

    def sniff(self, head: bytes) -> bool:
        """Whether a file that begins so is surely of this format."""
        ...

    def decode(self, data: bytes, session: str) -> Decoded:
        """The rows of a file. Errors: ValueError says what is wrong with it."""
        ...


@runtime_checkable
class Lines(Adapter, Protocol):
    """A format of JSON lines, whose records are found in the text itself."""

    def sniff(self, head: bytes) -> bool:
        """Whether a file that begins so is surely of this format."""
        ...

    def records(self, data: bytes) -> Decoded:
        """The rows of some whole lines."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A format of lines of which some files tell less than others."""

    def evidence_in(self, first: bytes) -> Evidence:
        """What a file can tell that begins with these whole lines."""
        ...


@runtime_checkable
class Tables(Adapter, Protocol):
    """A format whose files are tables: rows in, rows out."""

    needs: Sequence[str]
    """Columns that it looks at."""

    def knows(self, schema: pa.Schema) -> bool:
        """Whether a table of these columns is surely of this format."""
        ...

    def convert(self, batch: pa.RecordBatch) -> Decoded:
        """The rows of a batch; it has the columns of ``needs`` that there are."""
        ...


def names() -> list[str]:
    """Every format by name, those of other packages after ours."""
    return [*OWN, *sorted(set(_others()) - set(OWN))]


def load(asked: str) -> Any:
    """The adapter of ``name`` or ``name:option=value,option=value``.

    Errors: UsageError HG1201 for an unknown name, HG1207 for options that it does not have; InputError HG2220 for one
    of another package that cannot be loaded.
    """
    name, _, text = asked.partition(":")
    options = dict(_option(part, asked) for part in text.split(",") if part)
    factory = _factory(name)
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "these options of a format are not usable", code="HG1207", where=name, value=text or None,
            expected=str(error), hint="heatgrid formats lists what each takes",
        ) from error  # fmt: skip


def _option(part: str, asked: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise UsageError(
            "an option of a format has no value", code="HG1207", where=asked, value=part, expected="name:option=value"
        )
    return name.strip(), value.strip()


def _factory(name: str) -> Callable[..., Any]:
    if name in OWN:
        module, _, made = OWN[name].partition(":")
        found: Callable[..., Any] = getattr(import_module(module), made)
        return found
    entry = _others().get(name)
    if entry is None and name in UNREAD:
        raise UsageError("there is no adapter for this format", code="HG1201", value=name, hint=UNREAD[name])
    if entry is None:
        raise UsageError("there is no such input format", code="HG1201", value=name, hint=nearest(name, choices()))
    try:
        loaded: Callable[..., Any] = entry.load()
    except HeatgridError:
        raise
    except Exception as error:  # another's code: whatever it raises, its name must be said
        raise InputError(
            "the package that declares this format cannot be loaded", code="HG2220", where=f"{name} = {entry.value}",
            value=f"{type(error).__name__}: {error}",
        ) from error  # fmt: skip
    return loaded


def choices() -> list[str]:
    """What ``format=`` takes."""
    from heatgrid.sources.files import FORMATS

    return [*FORMATS, "arrow", *names()]


def _others() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}
