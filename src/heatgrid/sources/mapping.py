"""Which source column is which canonical column: what was asked for, exact names, then published synonyms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from heatgrid.words.errors import InputError, UsageError, nearest
from heatgrid.words.events import CANONICAL, NUMERIC

SYNONYMS: dict[str, tuple[str, ...]] = {
    "time": (
        "timestamp ts event_time event_timestamp datetime occurred_at client_time",
        "created_at date at derived_tstamp server_time",
    ),
    "seq": ("sequence seq_no sequence_number",),
    "session": ("session_id sid domain_sessionid session_key visit_id ga_session_id",),
    "user": ("user_id uid distinct_id domain_userid visitor_id", "user_pseudo_id anonymous_id"),
    "account": ("account_id account_name company company_id organization_id organisation_id org_id tenant tenant_id",),
    "tab": ("tab_id window_id",),
    "view": ("view_id pageview_id",),
    "page": ("page_url current_url url page_location page_path", "page_urlpath pathname path href screen_name"),
    "kind": ("event_type type", "event event_name action"),
    "x": ("page_x", "client_x pointer_x mouse_x pos_x px"),
    "y": ("page_y", "client_y pointer_y mouse_y pos_y py"),
    "fixed": ("target_fixed pointer_target_fixed is_fixed",),
    "pointer": ("pointer_type",),
    "viewport_w": ("viewport_width inner_width br_viewwidth window_width",),
    "viewport_h": ("viewport_height inner_height br_viewheight window_height",),
    "page_w": ("page_width doc_width document_width",),
    "page_h": ("page_height doc_height document_height scroll_height",),
    "scroll_x": ("scroll_left page_x_offset",),
    "scroll_y": ("scroll_top page_y_offset",),
    "feature": ("feature_name feature_id element_name",),
    "value": ("revenue amount weight",),
    "count": ("n_events event_count",),
    "event_id": ("insert_id message_id event_uuid",),
    "release": ("app_version release_version",),
}
"""Canonical name -> tiers of synonyms, compared without case, ``_``, ``-``, blanks and a leading ``$``.

Two columns of one tier: an error that names both. A stronger tier wins over a weaker one, with a note.
"""

_PLAIN = re.compile(r"[\s_\-.]+")


@dataclass
class Found:
    """The mapping and how it came about."""

    columns: dict[str, str]
    notes: list[str] = field(default_factory=list)


def plain(name: str) -> str:
    """``$Session_ID`` and ``sessionId`` are the same word."""
    return _PLAIN.sub("", name).lstrip("$").lower()


_TIERS = {
    plain(word): (canonical, tier)
    for canonical, tiers in SYNONYMS.items()
    for tier, words in enumerate(tiers)
    for word in words.split()
}
_CANONICAL = {plain(name): name for name in CANONICAL}


def find(schema: pa.Schema, asked: Mapping[str, str | None] | None, place: str) -> Found:
    """Canonical name -> source column (a dotted path inside structs)."""
    names = list(schema.names)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            "two columns have one name",
            code="HG2211",
            where=place,
            value=twice[0],
            expected="every column name once",
            hint="rename one of them",
        )
    found = Found({})
    given = _given(schema, asked or {}, place)
    taken = {path for path in given.values() if path is not None}
    for canonical in CANONICAL:
        if canonical in given:
            path = given[canonical]
            if path is not None:
                found.columns[canonical] = path
                if path != canonical:
                    found.notes.append(f"{canonical} = {path} (as asked)")
        elif canonical in names and canonical not in taken:
            found.columns[canonical] = canonical
    exact = set(found.columns) | set(given)
    used = taken | {path for path in found.columns.values() if path in names}
    tiers: dict[str, dict[int, list[str]]] = {}
    for entry in schema:
        if entry.name in used or pa.types.is_nested(entry.type):
            continue
        word = plain(entry.name)
        canonical, tier = (_CANONICAL[word], -1) if word in _CANONICAL else _TIERS.get(word, ("", 0))
        if canonical and canonical not in exact and _fits(canonical, entry.type):
            tiers.setdefault(canonical, {}).setdefault(tier, []).append(entry.name)
    for canonical, by_tier in tiers.items():
        best = by_tier[min(by_tier)]
        if len(best) > 1:
            raise InputError(
                f"two columns could be {canonical!r}",
                code="HG2214",
                where=place,
                value=" and ".join(repr(name) for name in best),
                hint=f"--map {canonical}={best[0]} (or an empty name: --map {canonical}= uses neither)",
            )
        found.columns[canonical] = best[0]
        others = [name for tier in sorted(by_tier) for name in by_tier[tier] if name != best[0]]
        note = f"{canonical} = {best[0]} (synonym)"
        found.notes.append(note + (f", not {', '.join(others)}" if others else ""))
    found.columns = {name: found.columns[name] for name in CANONICAL if name in found.columns}
    return found


def _given(schema: pa.Schema, asked: Mapping[str, str | None], place: str) -> dict[str, str | None]:
    given: dict[str, str | None] = {}
    for canonical, path in asked.items():
        if canonical not in CANONICAL:
            raise UsageError(
                "there is no such canonical column to map",
                code="HG1202",
                value=canonical,
                expected="--map canonical=column",
                hint=nearest(canonical, CANONICAL),
            )
        if path is not None and path != "" and type_of(schema, path) is None:
            raise missing(path, schema, place)
        given[canonical] = path or None
    return given


def _fits(canonical: str, kind: pa.DataType) -> bool:
    """A column whose type can never be this one is no candidate."""
    if canonical in NUMERIC:
        return not (pa.types.is_boolean(kind) or pa.types.is_temporal(kind))
    if canonical == "time":
        return not pa.types.is_boolean(kind)
    return True


def type_of(schema: pa.Schema, path: str) -> pa.DataType | None:
    """The type at a dotted path, or None; a column whose own name holds the dots comes first."""
    if path in schema.names:
        return schema.field(path).type
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        top = ".".join(parts[:length])
        if top in schema.names:
            kind = schema.field(top).type
            for name in parts[length:]:
                if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
                    return None
                kind = kind.field(name).type
            return kind
    return None


def split_path(names: list[str], path: str) -> tuple[str, list[str]]:
    """The top-level column of a path, and the names below it."""
    if path in names:
        return path, []
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        top = ".".join(parts[:length])
        if top in names:
            return top, parts[length:]
    return path, []


def paths_of(schema: pa.Schema) -> list[str]:
    """Every column and every field inside structs, for the nearest names of an error."""
    paths: list[str] = []

    def visit(prefix: str, kind: pa.DataType) -> None:
        paths.append(prefix)
        if pa.types.is_struct(kind):
            for index in range(kind.num_fields):
                visit(f"{prefix}.{kind.field(index).name}", kind.field(index).type)

    for entry in schema:
        visit(entry.name, entry.type)
    return paths


def sound(schema: pa.Schema) -> pa.Schema:
    """A file's schema without its metadata; names that are no UTF-8 raise ValueError here and not later."""
    paths_of(schema)
    return schema.remove_metadata()


def missing(path: str, schema: pa.Schema, place: str) -> InputError:
    return InputError(
        "there is no such column", code="HG2212", where=place, value=path, hint=nearest(path, paths_of(schema))
    )
