"""A run that is stopped at any moment and started again gives the bytes of one that was not."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import heatgrid as hg
from heatgrid.api import _kept
from heatgrid.demo.generate import write
from heatgrid.engine import lanes
from heatgrid.engine.frozen import freeze, thaw
from heatgrid.engine.lanes import run_plan
from heatgrid.engine.measures import pace
from heatgrid.engine.memory import Room
from heatgrid.outputs import checkpoint
from heatgrid.outputs.checkpoint import NAME, ROWS, Checkpoint, held
from heatgrid.sources import streams
from heatgrid.states.store import to_bytes
from heatgrid.words.areas import Area
from heatgrid.words.errors import Cancelled, InputError, UsageError

AREAS = [Area(name, x0, x1, y0, y1) for name, x0, x1, y0, y1 in (("top", 0, 2e3, 0, 200), ("rest", 0, 900, 200, 9e3))]
EVERYTHING = hg.Plan(
    maps=("clicks", "moves", "first_clicks", "goal_clicks"), by=("device", "country"), every="day", distinct=("users",),
    transitions=("pages", "features"), paths=("pages",), funnel=("pageview:/", "pageview:/projects", "click"),
    retention="day", friction=("rage", "error", "quick_back", "thrash", "dead:posthog"), scroll=True,
    posthog_cells=True, layout=AREAS, goal="pageview:/checkout",
)  # fmt: skip
PLAIN = hg.Plan(maps=("clicks",), tables=("pages",))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "events.parquet"
    write(path, 11_700, seed=11)
    whole = pq.read_table(path)
    links = pa.array([f"https://r.example/{name}" for name in whole["session"].to_pylist()])
    return whole.append_column("seq", pa.array(np.arange(whole.num_rows))).append_column("replay_url", links)


def files(table, folder, kind):
    """Inputs of a kind, each of many tasks."""
    folder.mkdir(exist_ok=True)
    if kind == "shuffled":
        table = table.take(np.random.default_rng(2).permutation(table.num_rows))
    if kind == "csv":
        broken = b"this,line,is,broken\n" * 3
        path = folder / "events.csv"
        pacsv.write_csv(table, path)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(lines[:5_000]) + b"\n" + broken + b"\n".join(lines[5_000:]))
        return [str(path)]
    names = [str(folder / f"{n}.parquet") for n in range(3)]
    for n, name in enumerate(names):
        pq.write_table(table.slice(n * 4000, 4000), name, row_group_size=250)
    return names


class Stopped(BaseException):
    """As sudden as a kill, but for what the process would have lost."""


class Stopping(Checkpoint):
    """Due at every block; ends the run at its n-th checkpoint, before or after it is written."""

    at, before = 0, False

    def save(self, header, arrays):
        self.at -= 1
        if self.at == 0 and self.before:
            raise Stopped
        super().save(header, arrays)
        if self.at == 0:
            raise Stopped


def in_pieces(paths, plan, folder, stops, monkeypatch, **how):
    """A run that is stopped at each of these checkpoints, counted from where it stood: its outcome, and how often."""
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    for n, at in enumerate(itertools.chain(stops, [0])):
        events = hg.read(paths)
        with _kept(folder, events, plan) as keep:
            keep.__class__ = Stopping
            keep._seconds, keep.at, keep.before = 0, at, n % 3 == 2
            try:
                outcome = run_plan(events, plan, keep=keep, block_rows=250, **how)
            except Stopped:
                continue
            return outcome, events, n
    raise AssertionError


@pytest.mark.parametrize(
    ("kind", "plan", "stops", "how"),
    [
        ("ordered", EVERYTHING, (3, 1, 4), {"threads": 2, "max_open": 40}),
        ("ordered", PLAIN, (4, 2, 2), {"threads": 1, "order": "time"}),
        ("shuffled", EVERYTHING, (3, 15, 1, 1), {"threads": 2, "room": Room(1 << 20, 2000, 4096, 9)}),
        ("shuffled", PLAIN, (18, 1, 1), {"order": "any", "threads": 1, "room": Room(1 << 30, 1000, 4096, 5)}),
        ("shuffled", PLAIN, (13, 3, 1), {"threads": 2, "room": Room(1, 500, 1000, 1)}),
        ("csv", PLAIN, (1, 1), {}),
    ],
)
def test_stopped_and_started_again(table, tmp_path, monkeypatch, kind, plan, stops, how):
    if kind == "csv":
        monkeypatch.setitem(streams.blocks.__kwdefaults__, "size", 1 << 16)
    paths = files(table, tmp_path / "in", kind)
    events = hg.read(paths)
    want = run_plan(events, plan, order=how.get("order", "auto"))
    got, again, stopped = in_pieces(paths, plan, tmp_path / "keep", stops, monkeypatch, **how)
    assert stopped == len(stops), "it ended before it could be stopped so often"
    assert to_bytes(got.state) == to_bytes(want.state)
    assert (again.bad_lines, again.notes) == (events.bad_lines, events.notes)
    assert got.lane == ("P" if kind == "shuffled" else "T")


@pytest.mark.parametrize(
    ("kind", "stops", "how"),
    [
        ("ordered", (4, 2, 2), {}),
        ("ordered", (3, 1), {"threads": 2, "order": "time"}),
        ("shuffled", (18, 1, 1), {"order": "any", "threads": 1, "room": Room(1 << 30, 1000, 4096, 5)}),
        ("csv", (1, 1), {}),
    ],
)
def test_bots_that_were_met_before_a_stop_are_taken_out_after_it(table, tmp_path, monkeypatch, kind, stops, how):
    """Fails if where their rows are is lost, or taken for kept when only the process that is gone had them."""
    monkeypatch.setattr(pace, "MOST", 24)
    if kind == "csv":
        monkeypatch.setitem(streams.blocks.__kwdefaults__, "size", 1 << 16)
    paths = files(table, tmp_path / "in", kind)
    events = hg.read(paths)
    plan = replace(PLAIN, links=False)  # a sample of links is no sum: they would be left out by reading again
    want = run_plan(events, plan, order=how.get("order", "auto"))
    got, again, stopped = in_pieces(paths, plan, tmp_path / "keep", stops, monkeypatch, **how)
    assert stopped == len(stops)
    assert any("and left out (--keep-bots)" in note for note in got.notes)
    assert to_bytes(got.state) == to_bytes(want.state)
    assert (again.bad_lines, again.notes) == (events.bad_lines, events.notes)


def test_what_is_frozen_is_whole_and_no_array_lies_in_another(table, tmp_path, monkeypatch):
    """Two arrays of one memory would be two after a thaw, and one would miss what the other is told."""
    seen = []

    def looked(thing, arrays):
        node = freeze(thing, arrays)
        ends = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays if a.nbytes)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(ends))
        json.dumps(node)
        seen.append(len(arrays))
        return node

    monkeypatch.setattr(lanes, "freeze", looked)
    in_pieces(files(table, tmp_path / "in", "ordered"), EVERYTHING, tmp_path / "keep", (3,), monkeypatch)
    assert min(seen) > 200


def test_objects_that_are_not_alike_are_refused():
    class Other:
        pass

    arrays: list = []
    counts = freeze(lanes.Ledger(read=3), arrays)
    with pytest.raises(ValueError, match="where Ledger was"):
        thaw(counts, arrays, Other())
    with pytest.raises(TypeError, match="not known"):
        freeze([object()], arrays)


KILLED = """
    import sys
    from heatgrid.outputs import checkpoint
    from heatgrid.cli import main
    checkpoint.SECONDS, checkpoint.SHARE = 0.02, 0
    raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["ordered", "shuffled"])
def test_kill_at_any_moment_and_go_on(table, tmp_path, kind):
    paths = files(table, tmp_path / "in", kind)
    words = ["--by", "device", "--maps", "clicks,moves", "--scroll", "--quiet", "--paths", "pages", "--threads", "2"]
    command = [sys.executable, "-c", "\n".join(line[4:] for line in KILLED.split("\n")), "build", *paths, *words]
    subprocess.run([*command, "-o", str(tmp_path / "whole.heat")], check=True)
    keep, out = tmp_path / "keep", tmp_path / "parts.heat"
    random.seed(7)
    seen = set()
    for _ in range(3):
        run = subprocess.Popen([*command, "-o", str(out), "--resume", str(keep)])
        before = stamp(keep)
        while run.poll() is None and stamp(keep) == before:
            time.sleep(0.002)
        time.sleep(random.random() * 0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        seen.add(stamp(keep))
        if out.exists():
            break
    assert len(seen) >= 2, "hardly a checkpoint was written: the test would prove nothing"
    subprocess.run([*command, "-o", str(out), "--resume", str(keep)], check=True)
    assert out.read_bytes() == (tmp_path / "whole.heat").read_bytes()
    assert [name for name in os.listdir(keep) if not name.endswith("-part")] == []


def stamp(folder):
    try:
        return (folder / NAME).stat().st_ino, (folder / NAME).stat().st_mtime_ns
    except FileNotFoundError:
        return None


@pytest.fixture
def stopped(table, tmp_path, monkeypatch):
    """Files, and a folder with the checkpoint of a run over them in no order."""
    paths = files(table, tmp_path / "in", "shuffled")
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    events = hg.read(paths)
    with _kept(tmp_path / "keep", events, PLAIN) as keep:
        keep.__class__ = Stopping
        keep._seconds, keep.at = 0, 8
        with pytest.raises(Stopped):
            run_plan(events, PLAIN, keep=keep, block_rows=250, order="any")
    return paths, tmp_path / "keep"


def refused(paths, keep, plan=PLAIN, **reading):
    with pytest.raises(InputError) as error:
        hg.run(hg.read(paths, **reading), plan, resume=keep)
    return error.value


def test_a_checkpoint_of_another_run_is_refused(stopped, monkeypatch):
    paths, keep = stopped
    error = refused(paths, keep, hg.Plan(maps=("clicks",), tables=("pages",), cell=16))
    assert error.code == "HG2413"
    assert "cell" in str(error.value)
    assert "16" in str(error.value)
    error = refused(paths, keep, where="device = 'mobile'")
    assert (error.code, "where" in str(error.value)) == ("HG2413", True)
    error = refused(paths[:2], keep)
    assert error.code == "HG2414"
    assert paths[2] in str(error.value)
    os.utime(paths[1], ns=(1, 1))
    assert refused(paths, keep).code == "HG2414"
    monkeypatch.setattr("heatgrid.api.version_stamp", lambda: "another")
    assert refused(paths, keep).code == "HG2412"


def test_every_flipped_bit_is_refused(stopped):
    paths, keep = stopped
    whole = (keep / NAME).read_bytes()
    for at in (0, 15, 40, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        (keep / NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert refused(paths, keep).code == ("HG2410" if at == 0 else "HG2411")
    (keep / NAME).write_bytes(whole[:-1])
    assert refused(paths, keep).code == "HG2411"
    (keep / NAME).write_bytes(whole)
    rows = (keep / ROWS).read_bytes()
    for damaged in (rows[:99] + bytes([rows[99] ^ 1]) + rows[100:], rows[:-1]):
        (keep / ROWS).write_bytes(damaged)
        assert refused(paths, keep).code == "HG2304"
    (keep / ROWS).write_bytes(rows + b"what came after the checkpoint")
    assert hg.run(paths, PLAIN, resume=keep).summary["rows"] == 11_700


def test_caps_may_change_and_a_result_may_be_had_again(stopped):
    paths, keep = stopped
    plan = hg.Plan(maps=("clicks",), tables=("pages",), max_pages=3)
    capped = hg.run(paths, plan, resume=keep)
    assert to_bytes(capped.state) == to_bytes(hg.run(paths, plan, order="any").state)
    assert capped.pages.num_rows == 4
    assert to_bytes(hg.run(paths, plan, resume=keep).state) == to_bytes(capped.state)


def test_a_second_run_there_is_refused(stopped):
    paths, keep = stopped
    with held(keep), pytest.raises(UsageError) as error:
        hg.run(paths, PLAIN, resume=keep)
    assert error.value.code == "HG1301"


def test_only_files_can_be_read_again(table, tmp_path):
    with pytest.raises(UsageError) as error:
        hg.run(table, PLAIN, resume=tmp_path)
    assert error.value.code == "HG1160"


def test_cancelled_runs_go_on_too(table, tmp_path, monkeypatch):
    paths = files(table, tmp_path / "in", "ordered")
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    monkeypatch.setattr(checkpoint, "SECONDS", 0)
    rows = []

    def stop(done, _):
        rows.append(done)
        return len(rows) != 12

    with pytest.raises(Cancelled):
        hg.run(paths, PLAIN, resume=tmp_path / "keep", progress=stop)
    again = hg.run(paths, PLAIN, resume=tmp_path / "keep", progress=lambda done, _: rows.append(done))
    assert rows[12] > rows[8], "it began anew"
    assert to_bytes(again.state) == to_bytes(hg.run(paths, PLAIN, order="time").state)
