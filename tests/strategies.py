"""Small hostile event lists, plans, and Arrow batches of them in every layout and chunking.

``event_files()`` draws an ``Input``: files of rows as the oracle reads them. ``shapes()`` draws how the same rows come
as Arrow: ``to_batches(given, file, shape)`` cuts one file into record batches with string layouts, dictionaries that
differ from batch to batch, nulls inside dictionaries, and slices that start inside larger arrays.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

T0 = 1_788_220_800  # 2026-09-01T00:00:00Z
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TEXT = ("session", "user", "account", "tab", "view", "page", "kind", "feature", "event_id", "pointer", "device", "plan")
LAYOUTS = ("string", "large_string", "string_view", "dict8", "dict32", "dict8_null", "ree")
KINDS = ("pageview", "click", "click", "click", "move", "scroll", "hidden", "visible", "focus", "input", "custom")
WORDS = ("Press", " tap ", "$pageview", "mousemove", "Checkout", "rest", "")
EDGES = (0.0, -0.0, -0.5, 7.999, 8.0, 15.999999999999998, 16.0, 599.0, 1023.9, 16_383.999, 16_384.0, 262_143.5,
         1e300, float("nan"), float("inf"), float("-inf"))  # fmt: skip
WIDTHS = (0, -5, 1, 599, 600, 1023, 1024, 1439, 1440, 3840)
STEPS_MS = (0, 0, 0, 1, 2, 63, 64, 100, 999, 1000, 5000, 29_999, 30_000, 30_001, 1_799_999, 1_800_000, 4_000_000)

SMALL = settings(
    deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate], suppress_health_check=list(HealthCheck)
)
"""The cases are small already; shrinking them takes minutes."""
BLOCKS = st.sampled_from((1, 2, 5, 16, 131_072))
LANES = {
    "order": st.sampled_from(("auto", "auto", "any")),
    "block_rows": BLOCKS,
    "threads": st.sampled_from((1, 2)),
    "max_open": st.sampled_from((1, 2, 262_144)),
}
"""How a run may go, without any effect on its answer: options of ``run_plan``."""


@dataclass
class Input:
    """Files of rows, all with the same columns."""

    files: list[list[dict]]
    columns: tuple[str, ...]
    unit: str = "us"
    coordinates: str = "double"
    widths: str = "int32"

    def __repr__(self) -> str:  # Hypothesis prints failing cases: only what is there
        shown = [[{k: v for k, v in row.items() if v is not None} for row in rows] for rows in self.files]
        return (
            f"Input({shown!r}, columns={self.columns!r}, unit={self.unit!r}, coordinates={self.coordinates!r}, "
            f"widths={self.widths!r})"
        )


@dataclass
class Shape:
    """How one input comes as Arrow."""

    seed: int = 0
    chunk: int = 1000
    layouts: dict[str, str] = field(default_factory=dict)
    offsets: bool = False


@st.composite
def event_files(draw, *, ids="session", synonyms=True, max_rows=40, drop=True, dirty=True) -> Input:
    """``ids``: session | user | both | none. ``drop``: leave whole columns out. ``dirty``: rows to be rejected."""
    unit = draw(st.sampled_from(("us", "us", "ms", "ns", "s")))
    columns = {"time", "kind", "page", "x", "y", "viewport_w", "feature"}
    columns |= {"session": {"session"}, "user": {"user"}, "both": {"session", "user"}, "none": set()}[ids]
    extras = ("tab", "view", "seq", "scroll_y", "fixed", "pointer", "event_id", "count", "device", "plan", "account")
    columns |= set(draw(st.lists(st.sampled_from(extras), unique=True, max_size=6)))
    if drop:
        columns -= set(draw(st.lists(st.sampled_from(("page", "viewport_w", "feature", "kind")), max_size=1)))
    ordered = tuple(sorted(columns))
    n = draw(st.integers(0, max_rows))
    rng = draw(st.randoms(use_true_random=False))
    pools = {
        "session": ("s1", "s2", "s3")[: rng.randint(1, 3)],
        "user": ("u1", "u2"),
        "account": ("acme", "zen"),
        "tab": ("t1", "t2"),
        "view": ("v1", "v2", "v3"),
        "page": ("/a", "/b", "/b/", "/b?q=1", "Plain page"),
        "feature": ("F", "G", "H"),
        "pointer": ("mouse", "touch", "pen"),
        "event_id": tuple(f"e{i}" for i in range(max(4, n // 2))),
        "device": ("phone", "desk"),
        "plan": ("free", "pro", ""),
        "fixed": (True, False, False),
        "seq": (0, 1, 2, -1),
        "count": (1, 1, 2, 7),
        "viewport_w": WIDTHS,
        "scroll_y": (0.0, 3.5, 100.0, 5000.0),
    }
    nulls = {name: draw(st.sampled_from((0.0, 0.1, 0.5))) for name in ordered}
    step = draw(st.sampled_from((STEPS_MS, (0, 0, 1), (0, 1, 10, 1000, 30_000), (0, 60_000, 1_800_000))))
    now_ms = (T0 + rng.choice((0, 1, -7200, 86_400 * 36))) * 1000
    rows = []
    for _ in range(n):
        now_ms += rng.choice(step)
        row = {name: _value(rng, name, pools, nulls[name], synonyms) for name in ordered}
        row["time"] = now_ms * TICKS[unit] // 1000 + rng.randrange(max(1, TICKS[unit] // 1000))
        rows.append(row)
    owner = {"session": "session", "both": "session", "user": "user"}.get(ids)
    if owner and not dirty:
        for row in rows:
            row[owner] = row[owner] or pools[owner][0]
    if dirty and rows:
        _spoil(rng, rows, columns, unit)
    shuffle = draw(st.sampled_from(("sorted", "late", "grouped", "random")))
    if shuffle == "late" and n > 1:
        for _ in range(2):
            rows.insert(rng.randrange(n), rows.pop(rng.randrange(n)))
    elif shuffle == "grouped":
        rows.sort(key=lambda row: str(row.get("session", row.get("user"))))
    elif shuffle == "random":
        rng.shuffle(rows)
    cuts = sorted(rng.randint(0, n) for _ in range(draw(st.integers(0, 2))))
    files = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    coordinates = draw(st.sampled_from(("double", "double", "float", "int32", "int64")))
    widths = draw(st.sampled_from(("int32", "uint16", "int64", "double", "float")))
    for row in rows:
        row["x"], row["y"] = _as(row["x"], coordinates), _as(row["y"], coordinates)
        if "viewport_w" in row:
            row["viewport_w"] = _as(row["viewport_w"], widths)
    return Input(files, ordered, unit, coordinates, widths)


def _as(value, kind):
    """The value as a column of that type holds it; null where it cannot."""
    if value is None or kind == "double":
        return value if value is None else float(value)
    if kind == "float":
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    low, high = (0, 2**16) if kind == "uint16" else (-(2**31), 2**31)
    return math.floor(value) if math.isfinite(value) and low <= value < high else None


def _value(rng, name, pools, nulls, synonyms):
    if rng.random() < nulls:
        return None
    if name == "kind":
        return rng.choice(WORDS) if synonyms and rng.random() < 0.1 else rng.choice(KINDS)
    if name in ("x", "y"):
        return rng.choice(EDGES) if rng.random() < 0.3 else float(rng.choice((1, 4, 9, 12, 50.25)))
    return rng.choice(pools[name]) if name in pools else None


def _spoil(rng, rows, columns, unit) -> None:
    for _ in range(rng.randint(0, 3)):
        rng.choice(rows)["time"] = rng.choice((None, 0, -1, (2**33) * TICKS[unit], 946_684_800 * TICKS[unit] - 1))
    if "count" in columns:
        for _ in range(rng.randint(0, 2)):
            rng.choice(rows)["count"] = rng.choice((0, -3))


AREAS = [
    {"name": "outer", "x0": 0, "x1": 100, "y0": 0, "y1": 100},
    {"name": "inner", "x0": 0, "x1": 10, "y0": 0, "y1": 10},
    {"name": "twin", "x0": 0, "x1": 10, "y0": 0, "y1": 10},
    {"name": "on b", "x0": 4, "x1": 9, "y0": 0, "y1": 9, "page": "/b"},
    {"name": "F", "x0": 8, "x1": 12, "y0": 8, "y1": 12, "max_width": 1024},
    {"name": "wide", "x0": 12, "x1": 13, "y0": 4, "y1": 60, "min_width": 1024, "max_width": 1440},
]


RELEASES = (
    (("2.1", "2026-09-01"), ("2.2", "2026-09-01T01:00:00.064Z"), ("web", "2026-09-01T00:00+00:00")),
    (("late", "2099-01-01"), ("a", "2026-09-01T00:00:01"), ("b", "2026-08-31T22:30:00.001Z")),
    (("early", "2001-05-05"), ("october", "2026-10-07T00:30:05+02:00"), ("1", "2026-10-07T00:00:30Z")),
)


GOALS = (
    ({"kind": ("input",)},),
    ({"kind": ("click",), "page": ("/b",)}, {"kind": ("error",)}),
    ({"page": ("/b",)},),
    ({"kind": ("click",)},),
)


@st.composite
def plans(draw, columns) -> dict:
    """A plan as plain fields (``areas`` as dicts) that the columns can serve."""
    by = [name for name in ("device", "plan") if name in columns]
    plan = {
        "maps": draw(
            st.sampled_from(
                (("clicks",), ("clicks", "moves", "first_clicks", "last_clicks"), ("moves",), ("last_clicks",))
            )
        ),
        "cell": draw(st.sampled_from((8, 10.0, 0.3, 7, (16, 3.3)))),
        "extent": draw(st.sampled_from((None, None, (0, 55, 0, 20), (-3.5, 16384, 0.1, 600)))),
        "frame": draw(st.sampled_from(("page", "viewport"))),
        "by": tuple(draw(st.lists(st.sampled_from(by), unique=True))) if by else (),
        "every": draw(st.sampled_from((None, "hour", "day", "week", "month", "release"))),
        "releases": draw(st.sampled_from(RELEASES)),
        "tz": draw(st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"))),
        "areas": draw(st.sampled_from((None, AREAS, AREAS[:2]))),
        "idle_ms": draw(st.sampled_from((30_000, 50, 0, 4_000_000))),
        "session_gap": draw(st.sampled_from((None, None, 1_800_000, 1000, 1))),
        "moves_sessions": draw(st.booleans()),
        "kinds": draw(st.sampled_from((None, {"click": ("Checkout", "focus")}))),
        "url_rules": draw(st.booleans()),
    }
    if draw(st.integers(0, 2)) == 0 and columns & {"session", "user"} and "kind" in columns:
        plan["maps"] = (*plan["maps"], "goal_clicks")
        plan["goal"] = draw(st.sampled_from(GOALS))
    if draw(st.integers(0, 2)) == 0 and columns & {"session", "user"} and "kind" in columns:
        plan["maps"] = (*plan["maps"], "dwell")
    if "user" in columns and draw(st.booleans()):
        plan["distinct"] = ("users",)
    if draw(st.integers(0, 9)) == 0 and columns & {"session", "user"}:
        plan["dedupe"] = "rows"
    return plan


@st.composite
def shapes(draw) -> Shape:
    layouts = {name: draw(st.sampled_from(LAYOUTS)) for name in TEXT}
    return Shape(
        seed=draw(st.integers(0, 2**16)),
        chunk=draw(st.sampled_from((1, 2, 3, 7, 1000))),
        layouts=layouts,
        offsets=draw(st.booleans()),
    )


# ---- rows as Arrow ------------------------------------------------------------------------------------------------


def to_batches(given, file=0, shape=None) -> list[pa.RecordBatch]:
    """One file of an Input as record batches; with ``offsets`` each is a slice out of a larger one."""
    rows, shape = given.files[file], shape or Shape()
    rng = random.Random(shape.seed)
    batches, start = [], 0
    while start < len(rows) or not batches:
        size = rng.randint(1, shape.chunk) if shape.chunk < 1000 else shape.chunk
        part = rows[start : start + size]
        start += size
        before, after = [], []
        if shape.offsets and rows:
            before = [rng.choice(rows) for _ in range(rng.randint(0, 9))]
            after = [rng.choice(rows) for _ in range(rng.randint(0, 2))]
        whole = before + part + after
        arrays = [_array(rng, name, [row.get(name) for row in whole], given, shape) for name in given.columns]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(given.columns))
        batches.append(batch.slice(len(before), len(part)))
    return batches


def to_table(given, file=0, shape=None) -> pa.Table:
    """The same as one table: its chunks are those batches."""
    return pa.Table.from_batches(to_batches(given, file, shape))


TYPES = {
    "double": pa.float64(), "float": pa.float32(), "int32": pa.int32(), "int64": pa.int64(), "uint16": pa.uint16(),
}  # fmt: skip


def _array(rng, name, values, given, shape) -> pa.Array:
    if name == "time":
        return pa.array(values, pa.timestamp(given.unit, "UTC"))
    if name in ("x", "y"):
        return pa.array(values, TYPES[given.coordinates])
    if name == "viewport_w":
        return pa.array(values, TYPES[given.widths])
    if name in ("scroll_y", "viewport_h", "page_h", "box_x", "box_y", "box_w", "box_h"):
        return pa.array(values, pa.float64())
    if name in ("seq", "count"):
        return pa.array(values, pa.int64())
    if name == "fixed":
        return pa.array(values, pa.bool_())
    return text_array(values, shape.layouts.get(name, "string"), rng)


def text_array(values, layout, rng=None) -> pa.Array:
    """Strings in one of LAYOUTS; dictionaries hold their words shuffled, with one that nothing uses."""
    rng = rng or random.Random(0)
    plain = {"string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view()}
    if layout in plain:
        return pa.array(values, plain[layout])
    if layout == "ree":
        runs, ends = [], []
        for i, value in enumerate(values):
            if runs and runs[-1] == value:
                ends[-1] = i + 1
            else:
                runs.append(value)
                ends.append(i + 1)
        return pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array(runs, pa.string()))
    words = list({v for v in values if v is not None} | {"unused word"})
    words.sort()
    rng.shuffle(words)
    holds_null = layout == "dict8_null"
    if holds_null:
        words.insert(rng.randint(0, len(words)), None)
    place = {word: i for i, word in enumerate(words)}
    if not holds_null:
        place[None] = None
    # where the dictionary holds a null, a null row is either an index to it or a null index
    indices = [place[v] if v is not None or rng.random() < 0.5 else None for v in values]
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32() if layout == "dict32" else pa.int8()), pa.array(words, pa.string())
    )


def in_order(given, promise) -> Input:
    """The same rows as one file in the order of time, or session by session, each in the order of its rows."""
    rows = [row for rows in given.files for row in rows]
    owner = next((name for name in ("session", "user") if name in given.columns), None)

    def place(row):
        seq = row.get("seq")
        return (row["time"] or 0, seq is not None, seq or 0)

    rows.sort(key=place)
    if promise == "session":
        tab = "tab" if owner == "user" and "tab" in given.columns else owner
        rows.sort(key=lambda row: (repr(row[owner]), repr(row[tab])))
    return replace(given, files=[rows])
