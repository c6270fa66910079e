"""Results of databases by Arrow: a real PostgreSQL by ADBC, relations of DuckDB, streams with bytes for texts."""

from __future__ import annotations

import getpass
import os
import pwd
import random
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import heatgrid as hg
from heatgrid.words.errors import InputError

ROWS = 5000
COLUMNS = ("event_time", "session_id", "kind", "page_url", "button", "px", "py")


def made() -> list[tuple[object, ...]]:
    rng = random.Random(3)
    out = []
    for k in range(ROWS):
        kind = rng.choice(["pageview", "click", "click"])
        place = (rng.randrange(1200), rng.randrange(2000) / 2) if kind == "click" else (None, None)
        button = rng.choice(["buy", "save", None]) if kind == "click" else None
        out.append((1_717_200_000_000_000 + k * 700_001, f"s{rng.randrange(60)}", kind, f"/p/{k % 7}x", button, *place))
    return out


EVENTS = made()
CREATE = (
    "CREATE TABLE events (event_time timestamptz NOT NULL, session_id text, kind text, page_url text, button text, "
    "px integer, py double precision)"
)
QUERY = "SELECT * FROM events WHERE page_url <> '/p/6x' ORDER BY event_time"
RENAMED = {"feature": "button", "x": "px", "y": "py", "page": "page_url", "time": "event_time", "session": "session_id"}


def expected() -> tuple[dict[str, int], dict[str, int]]:
    """Clicks and dwell (ms) of each page, by hand: a step is at most 30 s and belongs to the page it starts on."""
    clicks: dict[str, int] = defaultdict(int)
    dwell: dict[str, int] = defaultdict(int)
    last: dict[str, tuple[int, str]] = {}
    for at, session, kind, page, *_ in EVENTS:
        if page == "/p/6x":
            continue
        clicks[page] += kind == "click"
        if session in last:
            before, where = last[session]
            dwell[where] += min(at // 1000 - before // 1000, 30_000)
        last[session] = (at, page)
    return dict(clicks), dict(dwell)


def check(heat: hg.Heat) -> None:
    clicks, dwell = expected()
    rows = heat.pages.to_pylist()
    assert {row["page"]: row["clicks"] for row in rows} == clicks
    assert {row["page"]: row["dwell_ms"] for row in rows} == dwell
    assert heat.summary["sessions"] == len({e[1] for e in EVENTS})
    assert int(heat.map("clicks", page="/p/0x").values.sum()) == clicks["/p/0x"]


def programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(p) for p in (shutil.which("initdb"),) if p
    ]
    return found[-1].resolve().parent if found else None


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a server of our own, on a socket in a folder of its own; it will not run as root."""
    pytest.importorskip("adbc_driver_postgresql", reason="no adbc-driver-postgresql (pip install it)")
    home = programs()
    if home is None:
        pytest.skip("no PostgreSQL server here (apt-get install postgresql)")
    owner = "nobody" if os.geteuid() == 0 else getpass.getuser()
    folder = Path(tempfile.mkdtemp(prefix="hg-pg-", dir="/tmp"))
    user = {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    server = None
    try:
        shutil.chown(folder, owner)
        data = folder / "data"
        subprocess.run(
            [home / "initdb", "-D", data, "-U", "hg", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, timeout=120, cwd=folder, **user,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [home / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
                stdout=log, stderr=log, cwd=folder, **user,
            )  # fmt: skip
        yield _ready(server, folder)
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
        shutil.rmtree(folder)


def _ready(server: subprocess.Popen[bytes], folder: Path) -> str:
    from adbc_driver_postgresql import dbapi

    address = f"postgresql://hg@/postgres?host={folder}"
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            with dbapi.connect(address) as connection, connection.cursor() as cursor:
                cursor.execute(CREATE)
                table = pa.table([list(c) for c in zip(*EVENTS, strict=True)], names=list(COLUMNS))
                table = table.set_column(0, "event_time", table["event_time"].cast(pa.timestamp("us", "UTC")))
                table = table.set_column(5, "px", table["px"].cast(pa.int32()))
                cursor.adbc_ingest("events", table, mode="append")
                connection.commit()
            return address
        except dbapi.OperationalError:
            time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


def test_a_query_of_postgresql_is_read_as_it_comes(postgres: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        events = hg.read(cursor.fetch_record_batch(), map=RENAMED)
        assert not events.replayable
        assert events.columns["feature"] == "button"
        check(hg.run(events, maps=("clicks",)))


def test_columns_of_postgresql_are_found_without_a_map(postgres: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(
            QUERY.replace("*", "event_time, session_id, kind, page_url, button AS feature, px AS x, py AS y")
        )
        check(hg.run(hg.read(cursor.fetch_arrow_table()), maps=("clicks",)))


def test_a_query_that_breaks_off_is_an_error_and_no_answer(postgres: str) -> None:
    """The database's own words, hint and all; a function says more than one line."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT *, 1 / (4000 - row_number() OVER (ORDER BY event_time)) AS n FROM ({QUERY}) AS e")
        with pytest.raises(InputError, match=r"ERROR: +division by zero \[HG2219\]"):
            hg.run(hg.read(cursor.fetch_record_batch(), map=RENAMED))
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pg_temp.fail() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'no such shop' "
            "USING HINT = 'ask for shop 7', DETAIL = 'shop 9 was closed'; END $$"
        )
        cursor.execute(f"SELECT *, pg_temp.fail() AS n FROM ({QUERY}) AS e")
        with pytest.raises(InputError, match=r"no such shop.*shop 9 was closed.*ask for shop 7"):
            hg.run(hg.read(cursor.fetch_record_batch(), map=RENAMED))


def test_a_relation_of_duckdb_is_read_again_and_again() -> None:
    connection = duckdb.connect()
    connection.execute(CREATE)
    table = pa.table([list(c) for c in zip(*EVENTS, strict=True)], names=list(COLUMNS))
    table = table.set_column(0, "event_time", table["event_time"].cast(pa.timestamp("us", "UTC")))
    connection.register("given", table)
    connection.execute("INSERT INTO events SELECT * FROM given")
    relation = connection.sql(QUERY)
    events = hg.read(relation, map=RENAMED)
    assert events.replayable
    for _ in range(2):
        check(hg.run(events, maps=("clicks",)))


def test_a_stream_with_bytes_for_texts_is_read_as_it_comes() -> None:
    """As ClickHouse gives Arrow, where output_format_arrow_string_as_string is off."""
    table = pa.table([list(c) for c in zip(*EVENTS, strict=True)], names=list(COLUMNS))
    table = table.set_column(0, "event_time", table["event_time"].cast(pa.timestamp("us", "UTC")))
    table = table.filter(pa.array([e[3] != "/p/6x" for e in EVENTS]))
    for place, name in ((1, "session_id"), (3, "page_url")):
        table = table.set_column(place, name, table[name].cast(pa.binary()))

    def stream() -> Iterator[pa.RecordBatch]:
        for part in (table.slice(k, 999) for k in range(0, table.num_rows, 999)):
            yield from part.to_batches()

    reader = pa.RecordBatchReader.from_batches(table.schema, stream())
    check(hg.run(hg.read(reader, map=RENAMED), maps=("clicks",)))
