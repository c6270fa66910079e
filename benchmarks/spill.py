"""Shuffled rows from Parquet against the same rows in order, and what the disk and other sorters do beside it.

Whole processes in turn, round after round; a child warms up on a small dump first, times the work alone and gives a
digest of its answer: all digests of one dump must be equal. The disk's own rate is measured with a file of the bytes
that were spilled, written and read back in pieces of 1 MB by nobody's code but the system's.

    python benchmarks/spill.py --rows 20000000 --memory 800MB
    python benchmarks/spill.py --rows 200000000 --sessions 1000000 --only any-spilled --memory 1GB --rounds 1
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from heatgrid.bench import race
from whole_way import dump, figures, ratios, read_once, warm_up

HERE = Path(__file__).parent
OURS = ("ordered", "shuffled", "shuffled-spilled", "any-spilled")
"""The last: rows in order, sent through lane P on purpose, for dumps that take too long to shuffle."""
SORTERS = ("duckdb-sort", "polars-sort", "own-sort")
CONTENDERS = (*OURS, "decode", "decode-shuffled", *SORTERS)
COLUMNS = ["time", "session", "tab", "page", "kind", "feature", "x", "y"]
WARM_ROWS = 100_000
PLAN = {"maps": ("clicks",), "tables": ("features",), "keep_bots": True}
PIECE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--sessions", type=int, help="default: one for 50 rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="800MB", help="of the spilled run and the sorters")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by comma")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()) / "heatgrid-bench")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child, threads=args.threads, memory=args.memory)
        return
    ordered = dump(args.dumps, args.rows, args.sessions)
    warm = dump(args.dumps, WARM_ROWS, None)
    names = args.only.split(",")
    mixed, warm_mixed = ordered, warm
    if any("shuffled" in name or name in SORTERS for name in names):
        mixed, warm_mixed = shuffled(ordered), shuffled(warm)
    runs: dict[str, list[dict]] = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names:
            straight = name in ("ordered", "decode", "any-spilled")
            paths = (ordered, warm) if straight else (mixed, warm_mixed)
            runs[name].append(measure(name, *paths, args))
            one = runs[name][-1]
            print(f"round {number + 1} {name:17} {one['seconds']:8.2f} s  {one['peak_mb']:7.0f} MB", flush=True)
    report = summary(args, mixed, runs)
    out = args.out or HERE / "results" / f"spill-{args.rows}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    print(f"wrote {out}")


def shuffled(path: Path) -> Path:
    """The needed columns of a dump, each row somewhere else: rows to random files, each of them shuffled, then joined.

    A column `seq` holds the place that a row had, so that rows of one time keep their order.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = path.with_name(path.stem + "-shuffled.parquet")
    if out.exists():
        return out
    print(f"making {out}", file=sys.stderr)
    source = pq.ParquetFile(path)
    rng = np.random.default_rng(1)
    n = max(1, source.metadata.num_rows // 1_000_000)
    kinds = {name: source.schema_arrow.field(name).type for name in COLUMNS}
    plain = {name: kind.value_type if pa.types.is_dictionary(kind) else kind for name, kind in kinds.items()}
    schema = pa.schema(plain | {"seq": pa.int64()})
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        heaps = [pa.OSFile(f"{folder}/{i}", "wb") for i in range(n)]
        writers = [pa.ipc.new_file(heap, schema) for heap in heaps]
        at = 0
        for batch in source.iter_batches(1 << 20, columns=COLUMNS):
            table = pa.Table.from_batches([batch]).append_column("seq", pa.array(np.arange(at, at + batch.num_rows)))
            at += batch.num_rows
            heap_of = rng.integers(0, n, batch.num_rows)
            order = np.argsort(heap_of, kind="stable")
            ends = np.cumsum(np.bincount(heap_of, minlength=n))
            table = table.cast(schema).take(pa.array(order)).combine_chunks()
            for i, (end, size) in enumerate(zip(ends, np.diff(ends, prepend=0), strict=True)):
                writers[i].write_table(table.slice(end - size, size))
        for writer, heap in zip(writers, heaps, strict=True):
            writer.close()
            heap.close()
        part = out.with_suffix(".part")
        with pq.ParquetWriter(part, schema) as sink:
            for i in range(n):
                with pa.OSFile(f"{folder}/{i}") as heap:
                    table = pa.ipc.open_file(heap).read_all()
                sink.write_table(table.take(pa.array(rng.permutation(table.num_rows))))
                os.unlink(f"{folder}/{i}")
    part.rename(out)
    return out


def measure(name: str, path: Path, warm: Path, args: argparse.Namespace) -> dict:
    command = [
        sys.executable, __file__, "--threads", str(args.threads), "--memory", args.memory, "--child", name, str(path),
        str(warm),
    ]  # fmt: skip
    read_once(path)
    env = os.environ | {"POLARS_MAX_THREADS": str(args.threads)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return {"seconds": float("nan"), "cpu": float("nan"), "peak_mb": float("nan"), "answer": None, "failed": True}
    return json.loads(done.stdout.splitlines()[-1])


def child(name: str, path: str, warm: str, threads: int, memory: str) -> None:
    work = {
        "ordered": lambda p: ours(p, threads, None),
        "shuffled": lambda p: ours(p, threads, None),
        "shuffled-spilled": lambda p: ours(p, threads, memory),
        "any-spilled": lambda p: ours(p, threads, memory, "any"),
        "decode": decode,
        "decode-shuffled": decode,
        "duckdb-sort": lambda p: duckdb_sort(p, threads, memory),
        "polars-sort": polars_sort,
        "own-sort": lambda p: own_sort(p, threads, memory),
    }[name]
    warm_up(work, warm)
    cpu, wall = time.process_time(), time.perf_counter()
    found = work(path)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if found.get("spilled"):
        found |= disk_rate(found["spilled"])
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds, "peak_mb": peak, "answer": None} | found))


def ours(path: str, threads: int, memory: str | None, order: str = "auto") -> dict:
    import hashlib

    import heatgrid as hg
    from heatgrid.states.store import to_bytes

    events = hg.read(path, map={"event_id": None, "viewport_w": None})
    heat = hg.run(events, hg.Plan(**PLAN), order=order, threads=threads, memory=memory)
    spilled = next((note for note in heat.notes if "on the disk" in note), None)
    heat.state.inputs, heat.state.has, heat.state.reading = [], (), {}  # the shuffled dump has fewer columns
    answer = hashlib.sha256(to_bytes(heat.state)).hexdigest()
    size = 0
    if spilled:
        number, unit = spilled.split(" ")[:2]
        size = int(float(number) * {"MB": 1e6, "GB": 1e9}[unit])
    return {"answer": answer, "lane": heat.lane, "spilled": size}


def disk_rate(size: int) -> dict:
    """MB/s of the disk for a file of this size: written in pieces and pushed out, then read in random order."""
    import random

    size = min(size, 4 << 30)
    piece = os.urandom(PIECE)
    with tempfile.TemporaryFile() as file:
        fd = file.fileno()
        pieces = max(1, size // PIECE)
        start = time.perf_counter()
        for at in range(pieces):
            os.pwrite(fd, piece, at * PIECE)
        cached = time.perf_counter() - start
        os.fsync(fd)
        written = time.perf_counter() - start
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        order = list(range(pieces))
        random.Random(0).shuffle(order)
        start = time.perf_counter()
        for at in order:
            os.pread(fd, PIECE, at * PIECE)
        read = time.perf_counter() - start
    megabytes = pieces * PIECE / 1e6
    return {
        "disk_write_mb_s": megabytes / written,
        "disk_write_cached_mb_s": megabytes / cached,
        "disk_read_mb_s": megabytes / read,
    }


def decode(path: str) -> dict:
    import pyarrow.parquet as pq

    # a dictionary of shuffled session ids takes three times their decoding
    names = ["tab", "page", "kind", "feature"] if "shuffled" in path else ["session", "tab", "page", "kind", "feature"]
    file = pq.ParquetFile(path, read_dictionary=names, pre_buffer=True)
    return {"rows": sum(batch.num_rows for batch in file.iter_batches(1 << 18, columns=COLUMNS, use_threads=True))}


def duckdb_sort(path: str, threads: int, memory: str) -> dict:
    """The rows by session and time as a stream of batches, which is what a lane S would then fold."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        con.execute(f"SET threads = {threads}; SET memory_limit = '{memory}'; SET temp_directory = '{folder}'")
        con.execute("SET preserve_insertion_order = false")
        names = ", ".join(COLUMNS)
        reader = con.execute(f"SELECT {names} FROM '{path}' ORDER BY session, time, seq").to_arrow_reader(1 << 17)
        return {"rows": sum(batch.num_rows for batch in reader)}


def polars_sort(path: str) -> dict:
    """The streaming engine's sort into a file; it takes no limit of memory."""
    import polars as pl

    with tempfile.TemporaryDirectory() as folder:
        pl.scan_parquet(path).select([*COLUMNS, "seq"]).sort("session", "time", "seq").sink_ipc(
            f"{folder}/sorted.arrow", engine="streaming"
        )
    return {}


def own_sort(path: str, threads: int, memory: str) -> dict:
    """What lane P does with the rows, without any measure: decoded, encoded, parted, read back, put in order."""
    import heatgrid as hg
    from heatgrid.engine import partitioned
    from heatgrid.engine.lanes import run_plan

    class Counter(partitioned.Fold):
        def push(self, block, *, last=False):
            return None

    events = hg.read(path, map={"event_id": None, "viewport_w": None})
    kept, partitioned.Fold = partitioned.Fold, Counter
    try:
        run_plan(events, hg.Plan(**PLAN), order="any", threads=threads, memory=memory)
    except AssertionError:
        pass  # nothing was counted, and the ledger says so
    finally:
        partitioned.Fold = kept
    return {}


def summary(args: argparse.Namespace, path: Path, runs: dict[str, list[dict]]) -> dict:
    for name in OURS:
        answers = {run["answer"] for run in runs.get(name, [])} - {None}
        if len(answers) > 1:
            raise SystemExit(f"the answers of {name} differ")
    answers = {run["answer"] for name in OURS for run in runs.get(name, [])} - {None}
    if len(answers) > 1:
        raise SystemExit(f"the answers differ: {answers}")
    more = ("lane", "spilled", "failed")
    contenders = {
        name: figures(each, args.rows) | {k: v for k, v in each[-1].items() if k.startswith("disk_") or k in more}
        for name, each in runs.items()
    }
    return {
        "benchmark": "spill", "rows": args.rows, "sessions": args.sessions or args.rows // 50, "rounds": args.rounds,
        "threads": args.threads, "memory": args.memory, "bytes": path.stat().st_size,
        "machine": race.machine(), "versions": race.versions(("numba", "numpy", "pyarrow", "duckdb", "polars")),
        "contenders": contenders, "times_ordered": ratios(runs, "ordered"),
    }  # fmt: skip


def show(report: dict) -> None:
    print(f"{report['rows']:,} rows, {report['sessions']:,} sessions, medians of {report['rounds']}")
    for name, one in report["contenders"].items():
        ratio = report["times_ordered"].get(name)
        times = f"{ratio:6.2f} x ordered" if ratio else ""
        print(f"{name:17} {one['ns_a_row']:8.1f} ns/row  {one['peak_mb']:7.0f} MB  {times}")


if __name__ == "__main__":
    main()
