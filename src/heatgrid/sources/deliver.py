"""One decoded batch made canonical: paths taken out, times and numbers shaped, the where-filter applied, renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources import numbers
from heatgrid.sources.layouts import bare, is_bytes, is_text, over_values, storage, text, utf8
from heatgrid.sources.mapping import split_path
from heatgrid.sources.parts import Piece
from heatgrid.sources.refine import Refined
from heatgrid.sources.taken import Taken
from heatgrid.sources.times import Times
from heatgrid.sources.where import Where
from heatgrid.words.events import NUMERIC

_WHOLE = frozenset(("seq", "count"))


@dataclass(frozen=True)
class Deliver:
    """What a scan wants of every batch; called on the workers."""

    wanted: Mapping[str, str]
    """Delivered name -> source path."""
    time_path: str | None
    times: Times
    where: Where | None
    coerce: bool
    loose: bool = False
    """The source is text: a where may compare its texts with numbers."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Type of a delivered column in a file that lacks it."""
    refined: Refined | None = None
    """The second column that says what a kind is."""

    @property
    def paths(self) -> list[str]:
        """Source paths to read, each once."""
        paths = [*self.wanted.values(), *self.beside]
        if self.where is not None:
            paths += self.where.columns
        return list(dict.fromkeys(paths))

    @property
    def beside(self) -> list[str]:
        """Source paths that are read for what they say of a column that is delivered."""
        return [] if self.refined is None or "kind" not in self.wanted else [self.refined.path]

    def role(self, path: str) -> str:
        """How a text source must read a path: time, whole, number, flag or name."""
        if path == self.time_path:
            return "time"
        roles = {self._role_of(name) for name, source in self.wanted.items() if source == path}
        return next((r for r in ("whole", "number", "flag") if r in roles), "name")

    @staticmethod
    def _role_of(name: str) -> str:
        if name in _WHOLE:
            return "whole"
        if name in NUMERIC:
            return "number"
        return "flag" if name == "fixed" else "name"

    def tops(self, names: Sequence[str]) -> list[str]:
        """The top-level columns among ``names`` that the paths lie in."""
        known = list(names)
        tops = (split_path(known, path)[0] for path in self.paths)
        return [top for top in dict.fromkeys(tops) if top in known]

    def __call__(self, batch: pa.RecordBatch, place: str) -> Piece:
        rows = batch.num_rows
        raw: dict[str, pa.Array] = {}
        for path in self.paths:
            array = value_at(batch, path)
            if array is not None:
                raw[path] = array
        asked = [] if self.where is None else self.where.columns
        first = self.where is not None and self._plain(raw)
        if self.time_path in raw and (not first or self.time_path in asked):
            raw[self.time_path] = self.times(raw[self.time_path])
        mask = None
        left = rows
        if self.where is not None:
            mask = self.where.mask(raw, rows, loose=self.loose)
        if mask is not None and first:
            take = Taken(mask)
            left, mask = take.count, None
            raw = {path: take(array) for path, array in raw.items()}
            if self.time_path in raw and self.time_path not in asked:
                raw[self.time_path] = self.times(raw[self.time_path])
        columns, bad = self._columns(raw, left, place)
        delivered = _batch(columns, list(self.wanted), left)
        rejected = 0
        if bad is not None:
            wanted_rows = bad if mask is None else pc.and_(bad, pc.fill_null(mask, False))
            rejected = pc.sum(wanted_rows).as_py() or 0
            mask = pc.invert(bad) if mask is None else pc.and_(mask, pc.invert(bad))
        if mask is not None:
            kept = pc.sum(mask).as_py() or 0
            delivered = delivered.slice(0, 0) if kept == 0 else delivered if kept == left else _filter(delivered, mask)
        return Piece(delivered, rows, {"decode": rejected} if rejected else {})

    def _plain(self, raw: Mapping[str, pa.Array]) -> bool:
        """Whether rows can be chosen before columns are shaped: a text that is no number costs the whole run, wherever
        it stands."""
        return not any(
            path in raw and is_text(bare(raw[path].type)) and self.role(path) not in ("name", "time")
            for path in self.wanted.values()
        )

    def _columns(self, raw: Mapping[str, pa.Array], rows: int, place: str) -> tuple[list[pa.Array], pa.Array | None]:
        columns = []
        bad = None
        for name, path in self.wanted.items():
            array = raw.get(path)
            if array is None:
                columns.append(pa.nulls(rows, self.types.get(name, pa.null())))
                continue
            role = "time" if name == "time" else self._role_of(name)
            if role in ("number", "whole"):
                array = numbers.number(array, coerce=self.coerce, whole=role == "whole", column=path, place=place)
            elif role == "flag":
                array = numbers.flag(array, coerce=self.coerce, column=path, place=place)
            elif role == "name":
                array, broken = _name(array)
                if broken is not None:
                    bad = broken if bad is None else pc.or_(bad, broken)
                if name == "kind" and self.refined is not None:
                    array = self.refined(array, raw.get(self.refined.path))
            columns.append(array)
        return columns, bad

    def empty(self, schema: pa.Schema, place: str) -> pa.RecordBatch:
        """The batch of no rows that stands for rows skipped by statistics."""
        arrays = [pa.nulls(0, kind) for kind in schema.types]
        return self(pa.RecordBatch.from_arrays(arrays, schema=schema), place).batch


def value_at(batch: pa.RecordBatch, path: str) -> pa.Array | None:
    """The column at a dotted path of a batch, or None."""
    names = batch.schema.names
    top, below = split_path(names, path)
    if top not in names:
        return None
    array = batch.column(names.index(top))
    if not below:
        return array
    array = storage(array)
    for name in below:
        if not pa.types.is_struct(array.type) or array.type.get_field_index(name) < 0:
            return None
        array = pc.struct_field(array, name)
    return array


def _name(array: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """A name column; bytes become text, and rows whose bytes are no UTF-8 are marked."""
    array = storage(array)
    kind = bare(array.type)
    if not is_bytes(kind):
        return array, None
    if pa.types.is_dictionary(array.type):
        words, broken = utf8(storage(array.dictionary))
        marks = None if broken is None else pc.fill_null(broken.take(array.indices), False)
        return pa.DictionaryArray.from_arrays(array.indices, words, safe=False), marks
    return utf8(over_values(array, lambda values: values))


def _batch(columns: list[pa.Array], names: list[str], rows: int) -> pa.RecordBatch:
    if not columns:
        bare_rows = pa.StructArray.from_buffers(pa.struct([]), rows, [None])
        return pa.RecordBatch.from_struct_array(bare_rows)
    return pa.RecordBatch.from_arrays(columns, names=names)


def _filter(batch: pa.RecordBatch, mask: pa.Array) -> pa.RecordBatch:
    """Rows where the mask is true; null is false."""
    if batch.num_columns == 0:
        return batch.slice(0, pc.sum(mask).as_py())
    columns = [_take(column, mask) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _take(column: pa.Array, mask: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices.filter(mask), column.dictionary, safe=False)
    return over_values(column, text).filter(mask)
