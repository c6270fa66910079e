"""What Snowplow's enriched events say, as canonical rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from heatgrid.sources.adapters.columns import filled, numbers, over_words, words
from heatgrid.sources.adapters.dom import shown
from heatgrid.sources.adapters.registry import Decoded
from heatgrid.sources.adapters.snowplow import PLACES, WIDTH
from heatgrid.sources.layouts import is_text, is_utf8, text
from heatgrid.sources.parts import BAD_LINES
from heatgrid.sources.records import Paths, Records, spans_of
from heatgrid.sources.times import Times
from heatgrid.words.pages import page_key

KINDS = {
    "page_view": "pageview", "screen_view": "pageview", "page_ping": "page_ping", "link_click": "click",
    "button_click": "click", "submit_form": "submit", "change_form": "input", "focus_form": "focus",
    "expose_element": "exposure", "obscure_element": "obscure", "application_error": "error",
}  # fmt: skip
"""By event_name; any other is custom, its feature its name."""
_FIELDS = {
    "id": ("elementId", "element_id", "id", "formId", "form_id"), "name": ("element_name", "elementName", "name"),
    "label": ("label", "elementContent", "element_content"), "target": ("targetUrl", "target_url"), "type": ("type",),
}  # fmt: skip
"""Members of a self-describing event that can name its element, by what they tell."""
_VIEW = (
    r'web_page/jsonschema/[^"]*"\s*,\s*"data"\s*:\s*\{\s*"id"\s*:\s*"(?P<id>[^"\\]+)"',
    r'"data"\s*:\s*\{\s*"id"\s*:\s*"(?P<id>[^"\\]+)"\s*\}\s*,\s*"schema"\s*:\s*"[^"]*/web_page/jsonschema/',
    r'^\s*\[?\s*\{[^{}]*"id"\s*:\s*"(?P<id>[^"\\]+)"',
)
"""The id of the web_page context: among all contexts, in either order; in the column of its own."""
_TIMES = Times("us", "UTC")
_MEMBERS = [name for names in _FIELDS.values() for name in names]
_INNER = Paths([(name,) for name in _MEMBERS])
_OUTER = Paths([("data", "data", name) for name in _MEMBERS])


def of_lines(data: bytes, schema: pa.Schema) -> Decoded:
    """Rows of whole lines of the TSV; a line of another number of fields, or no UTF-8, is none."""
    why: dict[int, str] = {}
    if not is_utf8(data):
        lines = data.split(b"\n")
        why = {number: "not UTF-8" for number, line in enumerate(lines, 1) if not is_utf8(line)}
        data = b"\n".join(b"" if number in why else line for number, line in enumerate(lines, 1))
    torn: dict[int, str] = {}

    def invalid(row: csv.InvalidRow) -> str:
        if row.text.strip(" \r\n"):
            torn[row.number] = f"{row.actual_columns} fields, not {WIDTH}"
        return "skip"

    names = [f"{place}" for place in range(WIDTH)]
    if not data.strip():
        nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([(n, pa.string()) for n in PLACES]))
        return Decoded(of_table(nothing, schema), len(why), sorted(why.items())[:BAD_LINES])
    table = csv.read_csv(
        pa.py_buffer(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False, invalid_row_handler=invalid),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), include_columns=[f"{place}" for place in PLACES.values()],
            null_values=[""], strings_can_be_null=True, check_utf8=False,
        ),
    ).rename_columns(list(PLACES)).combine_chunks()  # fmt: skip
    if torn:  # Arrow does not count the lines that are empty
        places = [number for number, line in enumerate(data.split(b"\n"), 1) if line.strip(b"\r")]
        why |= {places[number - 1]: told for number, told in torn.items()}
    batch = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)
    return Decoded(of_table(batch, schema), len(why), sorted(why.items())[:BAD_LINES])


def of_table(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a table with Snowplow's column names."""
    n = batch.num_rows

    def words(name: str) -> pa.Array:
        return _words(batch.column(name)) if name in batch.schema.names else pa.nulls(n, pa.string())

    def number(name: str) -> pa.Array:
        if name not in batch.schema.names:
            return pa.nulls(n, pa.float64())
        return numbers(batch.column(name))

    event = pc.coalesce(words("event_name"), words("event"))
    event = pc.if_else(
        pc.fill_null(pc.equal(words("event"), "struct"), False), pc.coalesce(words("se_action"), event), event
    )
    kind = over_words(event, lambda word: KINDS.get(word, "custom"))
    ping = pc.equal(kind, "page_ping")
    none = pa.scalar(None, pa.float64())
    made = {
        "time": pc.coalesce(*(_time(batch, name) for name in ("derived_tstamp", "collector_tstamp"))),
        "session": words("domain_sessionid"), "user": words("domain_userid"), "login": words("user_id"),
        "view": _view(batch), "page": pc.coalesce(words("page_url"), words("page_urlpath")), "kind": kind,
        "event": event, "feature": _feature(batch, event, kind), "event_id": words("event_id"),
        "app_id": words("app_id"), "platform": words("platform"), "country": words("geo_country"),
        "user_agent": words("useragent"), "viewport_w": number("br_viewwidth"), "viewport_h": number("br_viewheight"),
        "page_w": number("doc_width"), "page_h": number("doc_height"),
        # how far the page stood down since the ping before: the deepest of it
        "scroll_x": pc.if_else(ping, number("pp_xoffset_max"), none),
        "scroll_y": pc.if_else(ping, pc.max_element_wise(number("pp_yoffset_max"), 0.0, skip_nulls=False), none),
    }  # fmt: skip
    return pa.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)


def _words(column: pa.Array) -> pa.Array:
    """Any layout of texts as plain ones, the empty ones null."""
    column = column if pa.types.is_string(column.type) else column.cast(pa.string())
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _time(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.timestamp("us", "UTC"))
    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return _TIMES(text(column) if is_text(column.type) else column)


def _columns(batch: pa.RecordBatch, *begins: str) -> list[pa.Array]:
    found = [batch.column(name) for name in batch.schema.names if name.startswith(begins)]
    return [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in found]


def _view(batch: pa.RecordBatch) -> pa.Array:
    """The id of the web_page context."""
    found = [pa.nulls(batch.num_rows, pa.string())]
    own = _columns(batch, "contexts_com_snowplowanalytics_snowplow_web_page_")
    for column in own:
        inner = _first(column)
        if pa.types.is_struct(inner.type):
            if inner.type.get_field_index("id") >= 0:
                found.append(_words(pc.struct_field(inner, "id")))
        else:
            found.append(pc.struct_field(pc.extract_regex(_words(inner), _VIEW[2]), 0))
    if not own and "contexts" in batch.schema.names:
        whole = _words(batch.column("contexts"))
        found += [pc.struct_field(pc.extract_regex(whole, way), 0) for way in _VIEW[:2]]
    return pc.coalesce(*found)


def _first(column: pa.Array) -> pa.Array:
    """The first entry of each list; what is no list as it is."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return column
    some = pc.greater(pc.list_value_length(column), 0)
    values = pc.list_element(column.filter(pc.fill_null(some, False)), 0)
    places = pc.if_else(some, pc.subtract(pc.cumulative_sum(pc.fill_null(some, False).cast(pa.int64())), 1), None)
    return values.take(places)


def _feature(batch: pa.RecordBatch, event: pa.Array, kind: pa.Array) -> pa.Array:
    """The element that an event names; for events of one's own their name (of the shop's, the action)."""
    told = {what: pa.nulls(batch.num_rows, pa.string()) for what in _FIELDS}
    if "unstruct_event" in batch.schema.names:
        _tell(told, _members(_words(batch.column("unstruct_event")), _OUTER))
    for column in _columns(batch, "unstruct_event_"):
        if pa.types.is_struct(column.type):
            known = {column.type.field(i).name for i in range(column.type.num_fields)}
            _tell(told, {n: _words(pc.struct_field(column, n)) for n in _MEMBERS if n in known})
        elif is_text(column.type):
            _tell(told, _members(_words(column), _INNER))
    tags = over_words(
        event, lambda word: {"link_click": "a", "button_click": "button", "submit_form": "form"}.get(word, "")
    )
    link = over_words(told["target"], page_key)
    quoted = [over_words(column, lambda word: f' "{shown(word)}"') for column in (told["label"], link)]
    named = pc.coalesce(over_words(told["id"], lambda word: f"#{shown(word)}"), *quoted, told["name"])
    element = pc.binary_join_element_wise(tags, named, "")
    element = pc.utf8_trim_whitespace(pc.coalesce(element, pc.if_else(pc.equal(tags, ""), None, tags)))
    own = pc.coalesce(told["type"], event)
    acted = pc.is_in(kind, pa.array(["click", "submit", "input", "focus", "exposure", "obscure"]))
    return pc.if_else(acted, element, pc.if_else(pc.equal(kind, "custom"), own, pa.scalar(None, pa.string())))


def _members(column: pa.Array, paths: Paths) -> dict[str, pa.Array]:
    found = Records(paths, *spans_of(column), _MEMBERS)
    return {name: found.text(name) for name in _MEMBERS}


def _tell(told: dict[str, pa.Array], members: dict[str, Any]) -> None:
    for what, names in _FIELDS.items():
        # an element without an id is sent with an empty one
        told[what] = pc.coalesce(told[what], *(filled(words(members[name])) for name in names if name in members))
