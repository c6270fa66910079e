"""The demo dump: every class is there, and counted as an independent reader of the file counts it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from heatgrid.demo import site
from heatgrid.demo.counts import Counts
from heatgrid.demo.generate import ROW_GROUP, SCHEMA, generate, write
from heatgrid.words.errors import UsageError
from heatgrid.words.events import KINDS
from heatgrid.words.pages import page_key

ROWS = 300_000
FAR = "253402300799000"
VALID = f"t > 0 and t < {FAR}"


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counts]:
    path = tmp_path_factory.mktemp("demo") / "events.parquet"
    return path, write(path, ROWS)


@pytest.fixture(scope="module")
def sql(dump: tuple[Path, Counts]) -> duckdb.DuckDBPyConnection:
    base = duckdb.connect()
    base.execute(
        "create table e as select *, file_row_number n, epoch_ms(time) t "
        f"from read_parquet('{dump[0]}', file_row_number=true)"
    )
    return base


def one(sql: duckdb.DuckDBPyConnection, query: str) -> int:
    found = sql.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def recount(sql: duckdb.DuckDBPyConnection) -> Counts:
    def sessions(condition: str, where: str = "true") -> int:
        return one(
            sql,
            f"""select count(*) from (select session from (select *,
                  t - lag(t) over (partition by session order by t, n) gap,
                  t - lag(t, 1000) over (partition by session order by t, n) thousand
                from e where session is not null and {where}) group by session having {condition})""",
        )

    dirty = {
        "null time": "t is null", "time 1970": "t = 0", "time 9999": f"t = {FAR}", "null session": "session is null",
        "null point": "kind in ('click', 'move') and x is null", "nan x": "isnan(x)", "inf y": "isinf(y)",
        "negative x": "x <= -1", "x -0.5": "x = -0.5", "huge y": "y > 1e29 and not isinf(y)",
    }  # fmt: skip
    return Counts(
        rows=one(sql, "select count(*) from e"),
        sessions=one(sql, "select count(distinct session) from e"),
        ties=one(
            sql,
            "select count(*) from (select t = lag(t) over (partition by session, tab order by n) tie from e "
            "where session is not null) where tie",
        ),
        returning=sessions("bool_or(gap between 3600000 and 72000000)", VALID),
        midnight=sessions("min(t // 86400000) <> max(t // 86400000)", VALID),
        two_tab=sessions("count(distinct tab) = 2"),
        resizes=one(sql, "select count(*) from e where kind = 'resize'"),
        late=one(
            sql,
            f"select count(*) from (select t, max(t) over (order by n) m from e where {VALID}) where t < m",
        ),
        duplicates=one(sql, "select count(*) - count(distinct event_id) from e"),
        bots=sessions("bool_or(thousand < 60000)", VALID),
        dirty={name: one(sql, f"select count(*) from e where {where}") for name, where in dirty.items()},
    )


def test_counts_equal_a_recount_of_the_file(dump: tuple[Path, Counts], sql: duckdb.DuckDBPyConnection) -> None:
    assert recount(sql) == dump[1]


@pytest.mark.parametrize("seed", [7, 0, 1])
def test_every_class_is_there_from_20_000_rows_on(seed: int) -> None:
    small = generate(20_000, seed=seed)
    assert sum(batch.num_rows for batch in small) == 20_000
    values = small.counts.as_dict()
    dirty = values.pop("dirty")
    assert isinstance(dirty, dict)
    assert all(values.values()), values
    assert all(dirty.values()), dirty


def test_shares(dump: tuple[Path, Counts], sql: duckdb.DuckDBPyConnection) -> None:
    counts = dump[1]
    assert 0.0008 < counts.late / ROWS < 0.0012
    assert 0.0008 < sum(counts.dirty.values()) / ROWS < 0.0012
    assert 0.0004 < counts.duplicates / ROWS < 0.0006
    share = dict(sql.execute("select kind, count(*) / sum(count(*)) over () from e group by kind").fetchall())
    wanted = {"click": 0.12, "move": 0.45, "scroll": 0.18, "pageview": 0.08}
    assert all(abs(share[kind] - s) < 0.03 for kind, s in wanted.items()), share
    assert set(share) == set(site.KINDS) <= set(KINDS)


def test_schema_and_row_groups(dump: tuple[Path, Counts]) -> None:
    file = pq.ParquetFile(dump[0])
    assert file.schema_arrow.names == SCHEMA.names
    assert file.schema_arrow.field("time").type == pa.timestamp("ms", "UTC")
    assert [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)] == [ROW_GROUP, ROWS - ROW_GROUP]
    for batch in generate(1_000):
        batch.validate(full=True)
        assert batch.schema == SCHEMA


def test_late_rows_are_1_to_30_s_late_and_all_others_in_order(sql: duckdb.DuckDBPyConnection) -> None:
    behind = sql.execute(
        f"select m - t from (select t, max(t) over (order by n) m from e where {VALID}) where t < m"
    ).fetchnumpy()
    (lag,) = behind.values()
    assert 1_000 <= lag.min() < 3_000
    assert 27_000 < lag.max() <= 30_000


def test_a_duplicate_repeats_the_row_before_it(sql: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f'"{name}"' for name in SCHEMA.names)
    pairs = f"select {columns}, count(*) c, max(n) - min(n) d from e group by all having c > 1"
    assert one(sql, f"select count(*) from ({pairs}) where c = 2 and d = 1") == one(
        sql, "select count(*) - count(distinct event_id) from e"
    )


def test_points_lie_on_their_page_and_in_their_feature(sql: duckdb.DuckDBPyConnection) -> None:
    clean = "isfinite(x) and isfinite(y) and x >= 0 and y < 1e29"
    assert one(sql, f"select count(*) from e where {clean} and (x >= viewport_w or y < 0 or y >= page_h)") == 0
    assert one(sql, "select count(*) from e where scroll_y < 0 or scroll_y + viewport_h > page_h") == 0
    assert one(sql, "select count(*) from e where x is not null and kind not in ('click', 'move')") == 0
    rows = sql.cursor().sql(f"select page, viewport_w w, x, y, feature from e where {clean}").to_arrow_table()
    paths = [page.path for page in site.pages()]
    page = np.array([paths.index(path) for path in rows["page"].to_pylist()])
    bucket = np.searchsorted((600, 1024, 1440), rows["w"].to_numpy(), side="right")
    box = site.boxes()[page, bucket]
    x, y = (rows[name].to_numpy()[:, None] for name in "xy")
    inside = (box[..., 0] <= x) & (x < box[..., 1]) & (box[..., 2] <= y) & (y < box[..., 3])
    names = np.array([*site.declared_features(), None], dtype=object)
    own = site.features_of()[page, inside.argmax(axis=1)]
    assert (names[np.where(inside.any(axis=1), own, -1)] == np.array(rows["feature"].to_pylist(), dtype=object)).all()


def test_the_site_is_sound() -> None:
    names = site.declared_features()
    assert len(names) == len(set(names)) == 150
    assert {site.DEAD_BUTTON, site.UNUSED_FEATURE} < set(names)
    boxes, heights = site.boxes(), site.heights()
    assert heights.min() >= 900
    assert heights.max() <= 6000
    assert (boxes[..., 3] <= heights[:, :, None]).all()
    assert (boxes[..., 1] <= np.array(site.BUCKET_WIDTHS)[:, None]).all()
    a, b = boxes[:, :, :, None], boxes[:, :, None, :]
    overlap = (
        (np.minimum(a[..., 1], b[..., 1]) > np.maximum(a[..., 0], b[..., 0]))
        & (np.minimum(a[..., 3], b[..., 3]) > np.maximum(a[..., 2], b[..., 2]))
        & ~np.eye(12, dtype=bool)
    )
    assert not overlap.any()
    assert all(page_key(page.path) == page.path for page in site.pages())


def test_the_unused_feature_is_never_clicked_and_the_dead_button_in_bursts(sql: duckdb.DuckDBPyConnection) -> None:
    clicked = {name for (name,) in sql.execute("select distinct feature from e where kind = 'click'").fetchall()}
    assert set(site.declared_features()) - clicked == {site.UNUSED_FEATURE}
    gap = (
        "select avg((quick)::int) from (select feature, kind = 'click' and lead(kind) over s = 'click' "
        "and lead(t) over s - t < 500 as quick from e where session is not null window s as "
        "(partition by session, tab order by n)) where feature {} '" + site.DEAD_BUTTON + "'"
    )
    dead, others = (sql.execute(gap.format(sign)).fetchone()[0] for sign in ("=", "<>"))  # type: ignore[index]
    assert dead > 10 * others


def test_a_stray_click_on_the_unused_feature_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = site.weights()
    monkeypatch.setattr(site, "weights", lambda: np.ones_like(weights))
    aimed = table(ROWS)
    on_it = aimed.filter(pc.equal(aimed["feature"].cast(pa.string()), site.UNUSED_FEATURE))
    assert set(on_it["kind"].to_pylist()) == {"move"}
    assert on_it.num_rows > 50


def test_a_release_changes_the_use_of_one_page(sql: duckdb.DuckDBPyConnection) -> None:
    def share(release: str) -> float:
        query = "select avg((feature = 'reports.insights')::int) from e where kind = 'click' and page = '/reports'"
        found = sql.execute(f"{query} and feature like 'reports.%' and release {release} '5'").fetchone()
        assert found is not None
        return float(found[0])

    assert share(">=") > 3 * share("<")


def test_features_belong_to_plans(sql: duckdb.DuckDBPyConnection) -> None:
    rates = dict(
        sql.execute(
            "select plan, avg((feature = 'reports.export')::int) from e "
            "where kind = 'click' and page = '/reports' group by 1"
        ).fetchall()
    )
    assert rates["business"] > 3 * max(rates["free"], rates["team"])


def test_devices_fit_their_windows(sql: duckdb.DuckDBPyConnection) -> None:
    found = sql.execute("select device, min(viewport_w), max(viewport_w) from e group by 1").fetchall()
    spans = {device: (low, high) for device, low, high in found}
    assert spans["phone"][1] < 600 <= spans["tablet"][0]
    assert spans["tablet"][1] < 1024 <= spans["desktop"][0]
    assert one(sql, "select count(*) from e where viewport_w is null and kind <> 'error'") == 0
    assert one(sql, "select count(*) from e where (pointer = 'mouse') <> (device = 'desktop')") == 0


def table(rows: int, **how: object) -> pa.Table:
    return pa.Table.from_batches(generate(rows, **how))  # type: ignore[arg-type]


def test_the_same_arguments_give_the_same_rows_file_or_stream(dump: tuple[Path, Counts]) -> None:
    streamed = table(ROWS)
    read = pq.read_table(dump[0])
    for name in SCHEMA.names:
        left, right = (
            t[name].cast(pa.string()) if pa.types.is_dictionary(t[name].type) else t[name] for t in (streamed, read)
        )
        if pa.types.is_floating(left.type):
            left, right = (np.nan_to_num(c.to_numpy(), nan=-7.0) for c in (left, right))
            assert (left == right).all(), name
        else:
            assert left.equals(right), name
    other = table(ROW_GROUP, seed=8)
    assert not other["x"].equals(streamed["x"].slice(0, ROW_GROUP))
    ids, other_ids = (set(t["session"].unique().to_pylist()) - {None} for t in (streamed, other))
    assert ids.isdisjoint(other_ids)


@pytest.mark.parametrize("sessions", [1, 7, 4_000, 30_000])
def test_as_many_sessions_as_asked_for_over_the_whole_period(sessions: int) -> None:
    made = table(30_000, sessions=sessions, days=10, start="2025-12-25")
    ids = made["session"].combine_chunks().cast(pa.string())
    assert len(ids.drop_null().unique()) == sessions
    assert made.num_rows == 30_000
    first = made["time"][0].as_py()
    assert str(first)[:4] in ("2025", "2026")
    if sessions >= 4_000:
        days = {str(day) for day in made["time"].cast(pa.date32()).unique().to_pylist()}
        assert {"2025-12-25", "2025-12-31", "2026-01-01", "2026-01-03"} <= days


def test_a_dump_is_made_in_pieces_whatever_its_length() -> None:
    endless = generate(2**35, sessions=2**28, days=3_000)
    open_at_start = len(endless._slots)
    sizes = [next(endless).num_rows for _ in range(4)]
    assert sizes == [ROW_GROUP] * 4
    assert len(endless._slots) <= 16 * open_at_start


def test_open_sessions_are_a_slice_of_all() -> None:
    many = generate(400_000, sessions=200_000)
    for _ in many:
        pass
    assert many.counts.sessions == 200_000
    assert len(many._slots) <= 16_384


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    write(path, 1_000)
    before = path.read_bytes()

    def full(_done: int, _rows: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write(path, 2_000, progress=full)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["events.parquet"]


@pytest.mark.parametrize(
    "how", [{"rows": 0}, {"rows": 10, "sessions": 11}, {"rows": 10, "days": 0}, {"rows": 10, "start": "soon"}]
)
def test_arguments_that_do_not_fit_are_refused(how: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="HG170"):
        generate(**how)  # type: ignore[arg-type]
