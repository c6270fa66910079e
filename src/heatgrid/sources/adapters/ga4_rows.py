"""What GA4's exported events say, as canonical rows: from JSON text, and from nested columns."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.adapters.columns import (
    JsonLines,
    Values,
    filled,
    joined,
    only,
    over_words,
    plain,
    times,
    words,
)  # fmt: skip
from heatgrid.sources.adapters.dom import shown
from heatgrid.sources.adapters.ga4 import NESTED, PARAMS, TOPS
from heatgrid.sources.adapters.registry import Decoded
from heatgrid.sources.records import Records
from heatgrid.words.pages import page_key

KINDS = {
    "page_view": "pageview", "screen_view": "pageview", "scroll": "scroll", "click": "click", "form_start": "input",
    "form_submit": "submit", "app_exception": "error", "exception": "error",
}  # fmt: skip
_DERIVED = frozenset(("session_start", "first_visit", "first_open"))
"""Made of flags of another event, whose time they have: they come after it, or each would open a view of its own."""
_OWN = _DERIVED | {"user_engagement"}
"""Events that GA4 makes up by itself: kinds of their own names, features of none."""
_TYPES = ("string_value", "int_value", "float_value", "double_value")


class Reader:
    """The events of one run; used by several threads."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        paths = {name: (name,) for name in (*TOPS, "event_params")} | dict(NESTED)
        self.lines = JsonLines(schema, paths, self._of_records, more=("key", "value", *_TYPES, *PARAMS))

    def rows(self, batch: pa.RecordBatch) -> Decoded:
        """Rows of a table with the export's columns."""
        made = _made(_Columns(batch), _Params(batch.column("event_params")))
        return Decoded(pa.RecordBatch.from_arrays([made[n] for n in self._schema.names], schema=self._schema))

    @staticmethod
    def _of_records(found: Records) -> dict[str, pa.Array]:
        return _made(found, found.entries("event_params", PARAMS))


class _Columns:
    """Columns of a table by our names for them; those that are not there are null."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def _find(self, name: str) -> pa.Array:
        top, *below = NESTED.get(name, (name,))
        if top not in self._batch.schema.names:
            return pa.nulls(self._batch.num_rows, pa.string())
        column = self._batch.column(top)
        for inner in below:
            if not pa.types.is_struct(column.type) or column.type.get_field_index(inner) < 0:
                return pa.nulls(self._batch.num_rows, pa.string())
            column = pc.struct_field(column, inner)
        return column

    def text(self, name: str) -> pa.Array:
        return words(plain(self._find(name)))

    def number(self, name: str) -> pa.Array:
        return plain(self._find(name)).cast(pa.float64())


class _Params:
    """event_params of a table: lists of (key, value), a value a struct of types of which one is set."""

    def __init__(self, column: pa.Array) -> None:
        self._rows = len(column)
        column = _inner(column, "list")
        self._parents = np.asarray(pc.list_parent_indices(column))
        entries = pc.list_flatten(column)
        for wrapped in ("element", "item", "array_element"):
            entries = _inner(entries, wrapped)
        self._keys, self._values = plain(pc.struct_field(entries, "key")), pc.struct_field(entries, "value")

    def text(self, key: str) -> pa.Array:
        return self._of(key, pa.string())

    def number(self, key: str) -> pa.Array:
        return self._of(key, pa.float64())

    def _of(self, key: str, kind: pa.DataType) -> pa.Array:
        here = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(self._keys, key), False)))[::-1]
        values = self._values.take(pa.array(here))
        known = [name for name in _TYPES if values.type.get_field_index(name) >= 0]
        of_types = [plain(pc.struct_field(values, name)) for name in known]
        found = pc.coalesce(pa.nulls(len(here), kind), *(_as(column, kind) for column in of_types))
        places = np.full(self._rows, -1, np.int64)
        places[self._parents[here]] = np.arange(len(here))  # of equal keys the first, which comes last here
        return found.take(pa.array(places, mask=places < 0))


def _inner(column: pa.Array, name: str) -> pa.Array:
    """Without the one level that some writers of Parquet put around lists and their entries."""
    one = pa.types.is_struct(column.type) and column.type.num_fields == 1 and column.type.field(0).name == name
    return pc.struct_field(column, name) if one else column


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts or numbers; a text that is no number is null."""
    if kind == pa.float64() and pa.types.is_string(column.type):
        good = pc.match_substring_regex(column, r"^-?\d+(\.\d+)?$")
        column = only(column, good)
    return column.cast(kind)


def _made(tops: Values, params: Values) -> dict[str, pa.Array]:
    event, user = tops.text("event_name"), filled(tops.text("user_pseudo_id"))
    kind = over_words(event, lambda word: KINDS.get(word) or (word if word in _OWN else "custom"))
    order, index = (pc.fill_null(tops.number(name), 0.0) for name in ("batch_ordering_id", "batch_event_index"))
    derived = pc.multiply(pc.is_in(event, pa.array(sorted(_DERIVED))).cast(pa.float64()), 2.0**48)
    made = {
        "time": times(tops.text("event_timestamp"), "us"), "user": user, "login": filled(tops.text("user_id")),
        "session": joined(user, params.text("ga_session_id")), "kind": kind, "event": event,
        "page": pc.coalesce(*(params.text(n) for n in ("page_location", "firebase_screen", "firebase_screen_class"))),
        "feature": _feature(event, kind, params), "platform": tops.text("platform"),
        "seq": pc.add(pc.add(pc.multiply(order, 65536.0), index), derived).cast(pa.int64(), safe=False),
    }  # fmt: skip
    made |= {name: tops.text(name) for name in NESTED}
    return made | {name: params.number(name) for name in ("engagement_time_msec", "percent_scrolled")}


def _feature(event: pa.Array, kind: pa.Array, params: Values) -> pa.Array:
    """The link or form that an event names; for events of one's own their name."""
    link = over_words(params.text("link_url"), _link)
    named = pc.coalesce(
        over_words(params.text("link_id"), lambda word: f"a#{shown(word)}" if word else None),
        *(over_words(column, lambda word: f'a "{shown(word)}"' if word else None)
          for column in (params.text("link_text"), link)),
    )  # fmt: skip
    form = pc.coalesce(
        *(over_words(params.text(n), lambda word: f"form#{shown(word)}" if word else None)
          for n in ("form_id", "form_name")),
    )  # fmt: skip
    own = only(event, pc.equal(kind, "custom"))
    formed = pc.is_in(kind, pa.array(["input", "submit"]))
    return pc.coalesce(only(named, pc.equal(kind, "click")), only(form, formed), own)


def _link(address: str) -> str | None:
    """Where a link leads, by host: those that are told lead away."""
    host = re.match(r"[a-z][a-z0-9+.-]*://([^/?#@]*)", address, re.IGNORECASE)
    return (host[1] if host else "") + page_key(address) if address else None
