"""What a sample of a column's values says that its name does not: times, URLs, words for kinds, ids."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from heatgrid.sources.layouts import is_text
from heatgrid.words.events import KINDS, kind_of
from heatgrid.words.synonyms import CAPTURED, CLICKS_WITHOUT_CLICK, DOM_WORDS

_URL = r"^\s*([A-Za-z][A-Za-z0-9+.-]*://\S|/\S*\s*$|#/\S*\s*$)"
_LEAST, _FEW = 100, 512
"""Ids that are looked at."""
_MOST_KINDS = 200
"""Words of a sample beyond which a column holds no kinds."""


def words_of(values: pa.Array | None) -> Counter[str]:
    """The words of a column of texts and how often they stand in the sample; nothing for any other column."""
    if values is None or not is_text(values.type):
        return Counter()
    counts = pc.value_counts(values.drop_null())
    return Counter(dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)))


def is_kind(word: str) -> bool:
    """Whether a tracker's word says what was done."""
    low = word.strip().lower()
    return kind_of(word) in KINDS or low in CLICKS_WITHOUT_CLICK | DOM_WORDS | CAPTURED


def known_kinds(values: pa.Array | None) -> float:
    """The share of a sample that are words for kinds; 2 of a column that leaves some of them to another (CAPTURED)."""
    words = words_of(values)
    if any(word.strip().lower() in CAPTURED for word in words):
        return 2.0
    return sum(n for word, n in words.items() if is_kind(word)) / len(values) if words and values is not None else 0.0


def only_kinds(values: pa.Array | None) -> bool:
    """Whether nothing but words for kinds stands there, so that the column can be nothing else."""
    words = words_of(values)
    return 0 < len(words) <= _MOST_KINDS and all(map(is_kind, words)) and any(kind_of(w) != "custom" for w in words)


def url_share(values: pa.Array | None) -> float:
    """The share of the texts of a sample that are URLs or paths."""
    if values is None or not is_text(values.type):
        return 0.0
    texts = values.drop_null()
    return (pc.sum(pc.match_substring_regex(texts, _URL)).as_py() or 0) / len(texts) if len(texts) else 0.0


def distinct_share(values: pa.Array | None) -> float | None:
    """Distinct values by values, of some; None of too few to tell."""
    there = None if values is None else values.drop_null().slice(0, _FEW)
    if there is None or len(there) < _LEAST:
        return None
    return float(pc.count_distinct(there).as_py() / len(there))
