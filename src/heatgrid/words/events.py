"""Canonical columns and kinds, and the chunk that sources hand to the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.words.evidence import Evidence
    from heatgrid.words.plan import Plan

CANONICAL = (
    "time", "seq", "session", "user", "account", "tab", "view", "page", "kind", "x", "y", "frame", "fixed",
    "pointer", "viewport_w", "viewport_h", "page_w", "page_h", "scroll_x", "scroll_y", "feature",
    "box_x", "box_y", "box_w", "box_h", "value", "count", "event_id", "release", "replay_url",
)  # fmt: skip
"""Every other column of a source is a possible segment."""

NUMERIC = frozenset(
    (
        "seq", "x", "y", "viewport_w", "viewport_h", "page_w", "page_h", "scroll_x", "scroll_y",
        "box_x", "box_y", "box_w", "box_h", "value", "count",
    )
)  # fmt: skip

KINDS = (
    "pageview", "click", "move", "rest", "scroll", "resize", "input", "focus", "blur",
    "hidden", "visible", "error", "exposure", "custom",
)  # fmt: skip

RICH = frozenset(("move", "rest", "scroll", "input", "hidden", "visible", "focus", "blur"))
"""Kinds that tell of use between clicks; a log without them only has the time until the next event."""

WAKING = frozenset(("visible", "pageview", "click", "move", "scroll", "input"))
"""Kinds that end a `hidden` stretch."""

SYNONYMS = {
    "pageview": "pageview page_view page-view $pageview view pageload page_load screen screen_view",
    "click": "click press tap left_click leftclick mouseclick $mp_click",
    "move": "move mousemove mouse_move pointermove pointer_move",
    "rest": "rest",
    "scroll": "scroll wheel $mp_scroll",
    "resize": "resize viewport_resize",
    "input": "input change keypress keydown typing",
    "focus": "focus",
    "blur": "blur",
    "hidden": "hidden hide",
    "visible": "visible show",
    "error": "error exception $exception js_error",
    "exposure": "exposure expose impression",
    "custom": "custom",
}
_KIND_OF = {word: kind for kind, words in SYNONYMS.items() for word in words.split()}

NONE = "(none)"
"""The name of a missing page, feature or segment value."""
ALL = "(all)"
"""The one page of a source without pages; the total over segments."""


def kind_of(word: str) -> str:
    """The canonical kind of a tracker's word, case-blind; unknown words are kept under their own name."""
    return _KIND_OF.get(word.strip().lower(), word)


class Place(NamedTuple):
    """Where a scan stands: before a piece of a task of a part, and so many rows of that part have been read."""

    rank: int
    task: int
    piece: int
    row: int


@dataclass
class Chunk:
    """A piece of input as it leaves a source: canonical names, the where-filter already applied.

    ``read`` counts the source rows the chunk stands for, so that
    read = batch.num_rows + sum(rejected) + filtered.
    """

    batch: pa.RecordBatch
    rank: int
    row: int
    read: int
    rejected: dict[str, int] = field(default_factory=dict)
    after: Place | None = None
    """Where a scan of a source that can be read again goes on behind this chunk."""
    task: tuple[int, int] | None = None
    """(rank, task) that made it, of a source that can be read again: what ``only`` of a scan takes."""


class Source(Protocol):
    """What the engine needs of an input; ``scan`` yields chunks in the order (rank, row)."""

    replayable: bool
    rows_hint: int | None
    columns: dict[str, str]
    time_unit: str
    evidence: Evidence

    @property
    def one_dictionary(self) -> bool:
        """Whether sessions may well be indices into one dictionary for all rows."""
        ...

    @property
    def inputs(self) -> list[dict[str, object]]: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def others(self) -> list[str]: ...

    def fit(self, plan: Plan) -> tuple[Plan, dict[str, object], list[str]]:
        """The plan with what only the input can tell (its frame, words for kinds), how it is read, and why in words."""
        ...

    def scan(
        self, columns: Sequence[str], *, threads: int, workers: Any = None, start: Place | None = None,
        only: Set[tuple[int, int]] | None = None,
    ) -> Iterator[Chunk]:  # fmt: skip
        """workers : the run's (engine/workers.py), on which to decode ahead, `threads` of them at once.

        start : the ``after`` of a chunk of a scan that was alike, of which nothing comes again. only : tasks of such a
        scan; no other is done.
        """
        ...

    def told(self) -> dict[str, Any]:
        """What a scan has said so far (lines and files that are not readable), as JSON."""
        ...

    def retell(self, told: dict[str, Any]) -> None:
        """A scan that goes on has said this before."""
        ...
