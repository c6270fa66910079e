"""Kinds that stand in two columns: `$autocapture` leaves it to another column, a release has the word of its press."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.engine.names import as_text
from heatgrid.sources import numbers, values
from heatgrid.sources.layouts import over_values, utf8
from heatgrid.sources.mapping import Found, Sample, leaves
from heatgrid.words.events import kind_of
from heatgrid.words.synonyms import CAPTURED, CAPTURED_AS, RELEASE, RELEASED, plain


@dataclass(frozen=True)
class Refined:
    """``captured``: where the kind is one of CAPTURED it is what ``path`` says; ``released``: a click is none where
    ``path`` is false."""

    rule: str
    path: str

    def __str__(self) -> str:
        if self.rule == "captured":
            return f"{self.path}, where it is {' or '.join(sorted(CAPTURED))}"
        return f"{RELEASE}, no click, where {self.path} is false"

    def __call__(self, kind: pa.Array, beside: pa.Array | None) -> pa.Array:
        """Kinds with what the second column says of them; as they are where a file lacks it."""
        if beside is None:
            return kind
        words = as_text(kind, "kind")
        if self.rule == "captured":
            captured = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(words)), pa.array(sorted(CAPTURED), words.type))
            said = as_text(over_values(beside, lambda raw: utf8(raw)[0]), self.path).cast(words.type)
            return pc.if_else(pc.and_(captured, said.is_valid()), said, words)
        down = numbers.flag(beside, coerce=True, column=self.path, place=self.path)
        let_go = pc.fill_null(pc.invert(down.cast(pa.bool_())), False)
        clicks = [word for word in pc.unique(words).drop_null().to_pylist() if kind_of(word) == "click"]
        return pc.if_else(pc.and_(let_go, pc.is_in(words, pa.array(clicks, words.type))), RELEASE, words)


def refined(found: Found, schema: pa.Schema, sample: Sample) -> Refined | None:
    """The column that says more of the kind, if the kind's words leave it to one."""
    kind = found.columns.get("kind")
    if kind is None:
        return None
    others = {plain(path.rpartition(".")[2]): path for path, _, _ in reversed(list(leaves(schema))) if path != kind}
    if CAPTURED_AS not in others and RELEASED not in others:
        return None
    words = values.words_of(sample(kind))
    if CAPTURED_AS in others and any(word.strip().lower() in CAPTURED for word in words):
        return Refined("captured", others[CAPTURED_AS])
    if RELEASED in others and any(kind_of(word) == "click" for word in words):
        return Refined("released", others[RELEASED])
    return None
