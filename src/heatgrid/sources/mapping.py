"""Which source column is which canonical column: what was asked for, exact names, then the published synonyms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from heatgrid.sources.layouts import bare
from heatgrid.sources.values import known_kinds
from heatgrid.words.errors import InputError, UsageError, nearest
from heatgrid.words.events import CANONICAL, NUMERIC
from heatgrid.words.synonyms import FRAMES, TIERS, UNREAD, plain

_CANONICAL = {plain(name): name for name in CANONICAL}
_PAIRS = ("x", "y")
Sample = Callable[[str], pa.Array | None]
"""Some values of a column, as they are stored; None where there are none."""


@dataclass
class Found:
    """The mapping and how it came about."""

    columns: dict[str, str]
    notes: list[str] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    """Canonical name -> why it is this column."""
    passed: dict[str, list[str]] = field(default_factory=dict)
    """Canonical name -> columns that could be it too, and gave way."""

    def take(self, canonical: str, path: str, why: str, passed: list[str] | None = None) -> None:
        self.columns[canonical], self.why[canonical] = path, why
        if passed:
            self.passed[canonical] = passed


@dataclass(frozen=True)
class _Candidate:
    nested: bool
    tier: int
    path: str

    @property
    def rank(self) -> tuple[bool, int]:
        return self.nested, self.tier


def find(
    schema: pa.Schema,
    asked: Mapping[str, str | None] | None,
    place: str,
    sample: Sample | None = None,
    *,
    declared: bool = False,
) -> Found:
    """Canonical name -> source column (a dotted path inside structs).

    sample : is asked where several columns could be one: one without a value gives way, and of columns of kinds that
        wins which has the most known words.
    declared : what was asked for, and nothing else.
    Errors: InputError HG2211 (two columns of one name), HG2212 (no such column), HG2214 (two candidates), HG2230 (x and
    y measured from different places), UsageError HG1202 (no such canonical name).
    """
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
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
    for canonical, path in given.items():
        if path is not None:
            found.take(canonical, path, "as asked")
    for entry in () if declared else schema:
        name = entry.name
        if name in CANONICAL and name not in given and name not in taken and not _nested(entry.type):
            found.take(name, name, "its name")
    settled = set(CANONICAL) if declared else set(found.columns) | set(given)
    candidates = _candidates(schema, taken | set(found.columns.values()), settled)
    for canonical, several in candidates.items():
        _choose(found, canonical, several, place, sample)
    _one_frame(found, candidates, place)
    found.columns = {name: found.columns[name] for name in CANONICAL if name in found.columns}
    for name, path in found.columns.items():
        if found.why[name] != "its name" and path != name:
            others = found.passed.get(name)
            found.notes.append(
                f"{name} = {path} ({found.why[name]})" + (f", not {', '.join(others)}" if others else "")
            )
    return found


def _candidates(schema: pa.Schema, used: set[str], settled: set[str]) -> dict[str, list[_Candidate]]:
    """By canonical name, the strongest first; fields of structs only where the top level has none."""
    out: dict[str, list[_Candidate]] = {}
    for path, kind, nested in leaves(schema):
        if path in used:
            continue
        words = [plain(path.rpartition(".")[2]), plain(".".join(path.split(".")[-2:]))] if nested else [plain(path)]
        hits = [(_CANONICAL[word], -1) if word in _CANONICAL else TIERS[word]
                for word in words if word in _CANONICAL or word in TIERS]  # fmt: skip
        for canonical, tier in sorted(hits, key=lambda hit: hit[1])[:1]:
            if canonical not in settled and _fits(canonical, kind):
                out.setdefault(canonical, []).append(_Candidate(nested, tier + _days(canonical, kind), path))
    return {name: sorted(several, key=lambda one: one.rank) for name, several in out.items()}


def leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType, bool]]:
    """(path, type, nested) of every column and of every field inside structs that is no struct or list itself."""

    def visit(path: str, kind: pa.DataType, nested: bool) -> Iterator[tuple[str, pa.DataType, bool]]:
        if pa.types.is_struct(kind):
            for index in range(kind.num_fields):
                below = kind.field(index)
                yield from visit(f"{path}.{below.name}", below.type, True)
        elif not _nested(kind):
            yield path, kind, nested

    for entry in schema:
        yield from visit(entry.name, entry.type, False)


def _nested(kind: pa.DataType) -> bool:
    """Arrow counts runs of one value as nested."""
    return bool(pa.types.is_nested(bare(kind)))


def _choose(found: Found, canonical: str, several: list[_Candidate], place: str, sample: Sample | None) -> None:
    """Take the strongest; Errors: InputError HG2214 where two are."""
    why = "synonym"
    live = several
    if len(several) > 1 and sample is not None:
        filled = [one for one in several if _filled(sample(one.path))]
        if filled and filled[0] != several[0]:
            why = f"synonym; {several[0].path} is empty"
        live = filled or several
        if canonical == "kind" and len(live) > 1:
            shares = {one.path: known_kinds(sample(one.path)) for one in live}
            most = max(shares.values())
            if most > 0:
                live = [one for one in live if shares[one.path] == most]
                why = "synonym with the most known kinds"
    best = [one for one in live if one.rank == live[0].rank]
    if len(best) > 1:
        if canonical in UNREAD:
            names = " or ".join(one.path for one in best)
            found.notes.append(f"{canonical} is not read: {names}? (--map {canonical}=COLUMN)")
            return
        raise twofold(canonical, [one.path for one in best], place)
    found.take(canonical, best[0].path, why, [one.path for one in several if one != best[0]])


def twofold(canonical: str, paths: list[str], place: str, why: str = "") -> InputError:
    """Two columns could be one, and nothing says which."""
    return InputError(
        f"two columns could be {canonical!r}",
        code="HG2214",
        where=place,
        value=" and ".join(repr(path) for path in paths) + why,
        hint=f"--map {canonical}={paths[0]} (or an empty name: --map {canonical}= uses neither)",
    )


def _filled(values: pa.Array | None) -> bool:
    return values is not None and values.null_count < len(values)


def _one_frame(found: Found, candidates: Mapping[str, list[_Candidate]], place: str) -> None:
    """x and y must be measured from one place: pageX goes with pageY, never with clientY."""
    x, y = (found.columns.get(name) for name in _PAIRS)
    if x is None or y is None or frame_of_name(x) == frame_of_name(y):
        return
    for name, other in (_PAIRS, _PAIRS[::-1]):
        frame = frame_of_name(found.columns[other])
        fitting = [one.path for one in candidates.get(name, ()) if frame_of_name(one.path) == frame]
        if fitting:
            passed = [one.path for one in candidates[name] if one.path != fitting[0]]
            found.take(name, fitting[0], f"synonym that goes with {found.columns[other]}", passed)
            return
    raise InputError(
        "x and y are measured from different places", code="HG2230", where=place, value=f"{x!r} and {y!r}",
        expected="both px of the page, or both of the window", hint="--map x=COLUMN --map y=COLUMN",
    )  # fmt: skip


def frame_of_name(path: str) -> str | None:
    """``page`` or ``viewport`` where the name of a column of points says it."""
    parts = path.split(".")
    words = {plain(parts[-1]), plain(".".join(parts[-2:]))}
    return next((frame for frame, names in FRAMES.items() if words & names), None)


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


def _days(canonical: str, kind: pa.DataType) -> int:
    """A date has no time of day: any column that has one is the better time."""
    return 10 * (canonical == "time" and pa.types.is_date(kind))


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
