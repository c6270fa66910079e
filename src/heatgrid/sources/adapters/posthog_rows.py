"""What PostHog's events and heatmaps rows say, as canonical rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.adapters.columns import decoded, faults, numbers, over_words, readable, times, words
from heatgrid.sources.adapters.dom import Element, name_of
from heatgrid.sources.adapters.posthog import NUMBERS, own_columns
from heatgrid.sources.adapters.registry import Decoded
from heatgrid.sources.records import Paths, Records, lines_of, spans_of

KINDS = {
    "$pageview": "pageview", "$screen": "pageview", "$pageleave": "pageleave", "$rageclick": "rageclick",
    "$dead_click": "deadclick", "$exception": "error",
}  # fmt: skip
CAPTURED = {"click": "click", "touch": "click", "change": "input", "submit": "submit"}
"""Of $autocapture, by $event_type."""
_DEEP = {"id": "$prev_pageview_id", "path": "$prev_pageview_pathname"}
_DEPTHS = {"top": "$prev_pageview_max_scroll", "end": "$prev_pageview_max_content"}
_ELEMENT = re.compile(r'((?:[^;"]|"(?:[^"\\]|\\.)*")+)')
_ORIGIN = r"^(?P<origin>[a-z][a-z0-9+.-]*://[^/?#]*)"
_ATTRIBUTE = re.compile(r'([\w$:-]+?)="((?:[^"\\]|\\.)*)"')


class Reader:
    """The events of one run; used by several threads."""

    def __init__(self, schema: pa.Schema, extra: Sequence[str]) -> None:
        self.schema = schema
        wanted = own_columns(extra) | NUMBERS | {name: name for name in ("$event_type", "$el_text", "$elements_chain")}
        wanted |= {name: name for name in (*_DEEP.values(), *_DEPTHS.values())}
        told = [*((name, pa.string()) for name in _DEEP.values()), *((name, pa.float64()) for name in _DEPTHS.values())]
        self._wider = pa.schema([*schema, *(pa.field(*one) for one in told)])
        self._texts = own_columns(extra)
        self._named = [*wanted]
        self._flat = Paths([(prop,) for prop in wanted.values()])
        tops = ("uuid", "event", "distinct_id", "person_id", "elements_chain", "timestamp")
        self._tops = [*tops]
        self._nested = Paths([*(("properties", prop) for prop in wanted.values()), *((top,) for top in tops)])

    def lines(self, data: bytes) -> Decoded:
        """Rows of whole lines of JSON."""
        data, why = readable(data)
        found = Records(self._nested, *lines_of(data), [*self._named, *self._tops])
        tops = {name: found.text(name) for name in self._tops}
        columns = self._columns(found, tops)
        return self._deep(decoded(self._wider, columns, found.tape.roots != -2, faults(found) | why))

    def rows(self, batch: pa.RecordBatch) -> Decoded:
        """Rows of a table with the properties as JSON text."""
        found = Records(self._flat, *spans_of(batch.column("properties")), self._named)
        nothing = pa.nulls(batch.num_rows, pa.string())
        tops = {name: batch.column(name) if name in batch.schema.names else nothing for name in self._tops}
        columns = self._columns(found, tops)
        why = faults(found, "properties are not JSON")
        return self._deep(decoded(self._wider, columns, np.ones(batch.num_rows, bool), why))

    def _deep(self, made: Decoded) -> Decoded:
        """Before an event that tells how far down the view before it ever was, a row of kind scroll of that view."""
        wide = made.batch
        top, end, path = (wide.column(name) for name in (*_DEPTHS.values(), _DEEP["path"]))
        told = np.asarray(pc.fill_null(pc.and_(pc.greater_equal(top, 0.0), pc.is_valid(path)), False))
        batch = wide.select(self.schema.names)
        if told.any():
            origin = pc.struct_field(pc.extract_regex(wide.column("page"), _ORIGIN), 0)
            height = pc.subtract(end, top)
            window = pc.if_else(pc.greater(height, 0.0), height, wide.column("viewport_h"))
            changed = {
                "kind": pa.array(["scroll"] * len(told)), "view": wide.column(_DEEP["id"]), "scroll_y": top,
                "page": pc.binary_join_element_wise(pc.fill_null(origin, ""), path, ""),
                "viewport_h": pc.coalesce(window, wide.column("viewport_h")),
            }  # fmt: skip
            nothing = {name: pa.nulls(len(told), pa.string()) for name in ("event_id", "feature")}
            columns = {name: batch.column(name) for name in batch.schema.names} | changed | nothing
            extra = pa.RecordBatch.from_pydict(columns)
            # each told one twice: of the rows of both tables one after the other, its second row is that of its own
            both = pa.Table.from_batches([batch, extra.cast(batch.schema)]).combine_chunks()
            rows = np.repeat(np.arange(len(told)), 1 + told)
            rows[np.flatnonzero(told) + np.arange(int(told.sum()))] += len(told)
            batch = both.take(pa.array(rows)).combine_chunks().to_batches()[0]
        return Decoded(batch, made.rejected, made.bad)

    def _columns(self, found: Records, tops: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        event = words(tops["event"])
        kind, auto = kinds_of(event, found.text("$event_type"))
        chain = pc.coalesce(found.text("$elements_chain"), words(tops["elements_chain"]))
        feature = features_of(chain, found.text("$el_text"))
        named = pc.and_(pc.equal(kind, "custom"), pc.invert(auto))
        feature = pc.if_else(pc.fill_null(named, False), event, feature)
        made = {
            "time": times(tops["timestamp"]), "kind": kind, "event": event, "feature": feature,
            "user": pc.coalesce(words(tops["person_id"]), words(tops["distinct_id"])),
            "event_id": words(tops["uuid"]),
        }  # fmt: skip
        made |= {name: found.number(name) for name in (*NUMBERS, *_DEPTHS.values())}
        made["scroll_y"] = pa.nulls(len(event), pa.float64())
        return {n: made[n] if n in made else found.text(n) for n in self._wider.names}


def kinds_of(event: pa.Array, event_type: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(kind of each row, whether it is an $autocapture): words of its own begin with $, other names are custom."""

    def kind(word: str) -> str:
        return KINDS.get(word) or (word if word.startswith("$") else "custom")

    kinds = over_words(event, kind)
    auto = pc.fill_null(pc.equal(event, "$autocapture"), False)
    captured = pc.fill_null(over_words(event_type, lambda word: CAPTURED.get(word, word)), "autocapture")
    return pc.if_else(auto, captured, kinds), auto


def features_of(chain: pa.Array, told: pa.Array) -> pa.Array:
    """The element's name by its chain; by its text alone where there is no chain."""
    named = over_words(chain, feature_of)
    return pc.coalesce(named, over_words(told, lambda word: f'"{word[:40]}"' if word.strip() else None))


@lru_cache(100_000)
def feature_of(chain: str) -> str | None:
    """``button.btn:text="Buy"nth-child="1";div.card:...`` -> ``button "Buy"``."""
    elements: list[Element] = []
    for part in _ELEMENT.findall(chain)[:12]:
        head, _, rest = part.partition(":")
        tag = head.partition(".")[0].strip().lower()
        pairs = {key: value.replace('\\"', '"') for key, value in _ATTRIBUTE.findall(rest)}
        attributes = {key.removeprefix("attr__"): value for key, value in pairs.items()}
        if "attr_id" in attributes:
            attributes.setdefault("id", attributes["attr_id"])
        if tag:
            elements.append((tag, attributes, _given(pairs.get("text", ""))))
    return name_of(elements) if elements else None


def _given(words: str) -> Callable[[], str]:
    return lambda: words


def heatmap_rows(batch: pa.RecordBatch, schema: pa.Schema, kinds: Mapping[str, str]) -> pa.RecordBatch:
    """Rows of the heatmaps table: px are x * scale_factor, of the window too; a scrolldepth row has no point."""
    n = batch.num_rows

    def number(name: str) -> pa.Array:
        if name not in batch.schema.names:
            return pa.nulls(n, pa.float64())
        return numbers(batch.column(name))

    def told(name: str) -> pa.Array:
        return words(batch.column(name)) if name in batch.schema.names else pa.nulls(n, pa.string())

    scale = pc.fill_null(number("scale_factor"), 16.0)
    x, y = pc.multiply(number("x"), scale), pc.multiply(number("y"), scale)
    kind = over_words(told("type"), lambda word: kinds.get(word, word))
    depth = pc.fill_null(pc.equal(kind, "scroll"), False)
    none = pa.scalar(None, pa.float64())
    fixed = told("pointer_target_fixed")
    made = {
        "time": times(batch.column("timestamp")), "session": told("session_id"), "user": told("distinct_id"),
        "page": told("current_url"), "kind": kind, "x": pc.if_else(depth, none, x), "y": pc.if_else(depth, none, y),
        "fixed": pc.is_in(pc.utf8_lower(fixed), pa.array(["true", "1"])),
        "viewport_w": pc.multiply(number("viewport_width"), scale),
        "viewport_h": pc.multiply(number("viewport_height"), scale), "scroll_y": pc.if_else(depth, y, none),
    }  # fmt: skip
    return pa.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)
