"""JSON formats: MB/s to canonical rows, beside how fast msgspec, orjson, DuckDB and pyarrow read the same bytes.

python benchmarks/formats.py --megabytes 100 --rounds 5

Two inputs: PostHog's JSON lines (made up: 40 properties an event, 14 of them wanted), and recordings of rrweb (copies
of the real sample that HEATGRID_DATA names). The others only read: they make objects or columns, no rows of ours. Each
reads once in a turn; the answers (clicks) must be equal. Memory is that of processes of their own at 1 and 4 times the
size.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heatgrid.bench import race

HERE = Path(__file__).parent
SAMPLE = Path(os.environ.get("HEATGRID_DATA", "../shared/data")) / "rrweb_demo_session" / "events.js"
WANTED = (
    "$session_id", "$group_0", "$window_id", "$pageview_id", "$current_url", "$browser", "$os", "$device_type",
    "$geoip_country_code", "$raw_user_agent", "$event_type", "$el_text", "$elements_chain",
)  # fmt: skip
CHAIN = (
    'span.label:nth-child="1"text="Buy";button.btn.btn-big:attr__class="btn btn-big"attr__id="b%d"'
    'nth-child="2"text="Buy"'
)


def posthog_lines(megabytes: int) -> bytes:
    rng = random.Random(7)
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    lines, size = [], 0
    while size < megabytes << 20:
        k = len(lines)
        properties = {
            "$session_id": f"s{k // 50}", "$window_id": "w1", "$pageview_id": f"v{k // 9}", "$browser": "Chrome",
            "$current_url": f"https://app.example/project/{k % 977}/settings?tab={k % 5}", "$os": "Linux",
            "$device_type": "Desktop", "$geoip_country_code": rng.choice(["DE", "FR", "US"]),
            "$raw_user_agent": agent, "$event_type": "click", "$el_text": "Buy", "$viewport_width": 1440,
            "$viewport_height": 900, "$lib_version": "1.140.1", "$screen_height": 1080, "$screen_width": 1920,
            "$set": {"email": "q@r.example", "plan": "pro", "seats": 12},
            "$autocapture_disabled_server_side": False, "$active_feature_flags": [f"flag-{n}" for n in range(8)],
            **{f"$feature/flag-{n}": n % 2 == 0 for n in range(8)},
            **{f"custom_{n}": rng.random() * 1e4 for n in range(12)},
        }  # fmt: skip
        one = {
            "uuid": f"{rng.getrandbits(128):032x}", "distinct_id": f"d{k // 120}", "elements_chain": CHAIN % (k % 300),
            "event": rng.choice(["$autocapture", "$autocapture", "$pageview", "bought"]), "properties": properties,
            "timestamp": f"2024-06-{1 + k // 90_000 % 28:02}T{k // 3600 % 24:02}:{k // 60 % 60:02}:{k % 60:02}.123000Z",
        }  # fmt: skip
        lines.append(json.dumps(one, separators=(",", ":")).encode())
        size += len(lines[-1]) + 1
    return b"\n".join(lines) + b"\n"


def ours(source: Path, threads: int) -> int:
    import pyarrow.compute as pc

    import heatgrid as hg

    events = hg.read(source)
    clicks = 0
    for chunk in events.scan([*events.columns, *events.others], threads=threads):
        kind = chunk.batch.column("kind")
        clicks += pc.sum(pc.equal(kind, "click")).as_py() or 0
    return clicks


def struct_of() -> Any:
    import msgspec

    fields = [(re.sub(r"\W", "_", name), str | None, msgspec.field(name=name, default=None)) for name in WANTED]
    fields += [(f"w{n}", float | None, msgspec.field(name=name, default=None)) for n, name in
               enumerate(("$viewport_width", "$viewport_height"))]  # fmt: skip
    inner = msgspec.defstruct("Properties", fields)
    tops = [(name, str | None, None) for name in ("uuid", "distinct_id", "person_id", "elements_chain", "timestamp")]
    return msgspec.defstruct("Event", [("event", str), ("properties", inner), *tops])


def of_lines(path: Path, threads: int) -> dict[str, Callable[[], int]]:
    import duckdb
    import msgspec
    import orjson
    import pyarrow as pa
    import pyarrow.json as pajson

    decoder = msgspec.json.Decoder(struct_of())

    def typed() -> int:
        found = decoder.decode_lines(path.read_bytes())
        return sum(one.event == "$autocapture" and one.properties._event_type == "click" for one in found)

    def plain(loads: Callable[[bytes], Any]) -> Callable[[], int]:
        def read() -> int:
            clicks = 0
            with path.open("rb") as file:
                for line in file:
                    one = loads(line)
                    clicks += one["event"] == "$autocapture" and one["properties"]["$event_type"] == "click"
            return clicks

        return read

    inner = ", ".join(f'"{name}" VARCHAR' for name in WANTED) + ', "$viewport_width" DOUBLE, "$viewport_height" DOUBLE'
    tops = ", ".join(f"{name}: 'VARCHAR'" for name in ("uuid", "event", "distinct_id", "elements_chain", "timestamp"))
    columns = f"{{{tops}, properties: 'STRUCT({inner})'}}"
    query = f"SELECT * FROM read_json('{path}', format='newline_delimited', columns={columns})"

    def duck() -> int:
        with duckdb.connect(config={"threads": threads}) as connection:
            table = connection.sql(query).to_arrow_table()
        events = table["event"].to_pylist()
        return sum(event == "$autocapture" for event in events)

    def arrow() -> int:
        struct = pa.struct([(name, pa.string()) for name in WANTED])
        kinds = {name: pa.string() for name in ("uuid", "event", "distinct_id", "elements_chain", "timestamp")}
        table = pajson.read_json(
            path, pajson.ReadOptions(use_threads=threads > 1, block_size=8 << 20),
            pajson.ParseOptions(
                explicit_schema=pa.schema({**kinds, "properties": struct}), unexpected_field_behavior="ignore"
            ),
        )  # fmt: skip
        return sum(event == "$autocapture" for event in table["event"].to_pylist())

    return {
        f"heatgrid, {threads} threads": lambda: ours(path, threads), "heatgrid, 1 thread": lambda: ours(path, 1),
        "msgspec, typed": typed, "msgspec": plain(msgspec.json.decode), "orjson": plain(orjson.loads),
        f"DuckDB, {threads} threads": duck, f"pyarrow, {threads} threads": arrow,
    }  # fmt: skip


def of_recordings(folder: Path, threads: int) -> dict[str, Callable[[], int]]:
    import msgspec
    import orjson

    def is_click(one: Any) -> bool:
        data = one["data"]
        return one["type"] == 3 and data.get("source") == 2 and data.get("type") == 2

    def plain(loads: Callable[[bytes], Any]) -> Callable[[], int]:
        def read() -> int:
            clicks = 0
            for path in sorted(folder.iterdir()):
                clicks += sum(map(is_click, loads(path.read_bytes())))
            return clicks

        return read

    return {
        f"heatgrid, {threads} threads": lambda: ours(folder, threads), "heatgrid, 1 thread": lambda: ours(folder, 1),
        "msgspec": plain(msgspec.json.decode), "orjson": plain(orjson.loads),
    }  # fmt: skip


def timed(contenders: dict[str, Callable[[], int]], size: int, rounds: int) -> list[dict[str, Any]]:
    """Each once a round, in turn; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    answers = set()
    for number in range(rounds + 1):
        for name, call in contenders.items():
            start = time.perf_counter()
            answers.add(call())
            if number:
                seconds[name].append(time.perf_counter() - start)
    if len(answers) != 1:
        raise SystemExit(f"the answers differ: {answers}")
    return [
        {"name": name, "mb_s": size / statistics.median(took) / 1e6, "least": size / max(took) / 1e6,
         "most": size / min(took) / 1e6} for name, took in seconds.items()
    ]  # fmt: skip


def peak(path: Path, threads: int) -> float:
    """MB that a process of its own holds at most while it reads."""
    command = [sys.executable, __file__, "--child", str(path), "--threads", str(threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "formats.json")
    args = parser.parse_args()
    if args.child:
        ours(args.child, args.threads)
        status = Path("/proc/self/status").read_text()  # getrusage tells of the parent's peak too
        print(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1e3)
        return
    report: dict[str, Any] = {"benchmark": "formats", "machine": race.machine(), "rounds": args.rounds, "cases": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines, large = folder / "events.jsonl", folder / "four.jsonl"
        data = posthog_lines(args.megabytes)
        lines.write_bytes(data)
        large.write_bytes(data * 4)
        memory = {"1x": peak(lines, args.threads), "4x": peak(large, args.threads)}
        large.unlink()
        rows = timed(of_lines(lines, args.threads), len(data), args.rounds)
        report["cases"].append({"case": "posthog", "bytes": len(data), "results": rows, "peak_mb": memory})
        if SAMPLE.exists():
            text = SAMPLE.read_text(encoding="utf-8")
            one = json.dumps(json.JSONDecoder().raw_decode(text, text.index("["))[0], separators=(",", ":")).encode()
            for part, count in (("few", 1), ("many", 4)):
                (folder / part).mkdir()
                for n in range(count * args.megabytes * (1 << 20) // 4 // len(one)):
                    (folder / part / f"r{n:05}.json").write_bytes(one)
            size = len(one) * len(list((folder / "few").iterdir()))
            memory = {"1x": peak(folder / "few", args.threads), "4x": peak(folder / "many", args.threads)}
            rows = timed(of_recordings(folder / "few", args.threads), size, args.rounds)
            report["cases"].append({"case": "rrweb", "bytes": size, "results": rows, "peak_mb": memory})
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    for case in report["cases"]:
        print(case["case"], f"{case['bytes'] / 1e6:.0f} MB, peak", case["peak_mb"])
        for row in case["results"]:
            print(f"  {row['name']:<22}{row['mb_s']:8.0f} MB/s  ({row['least']:.0f} - {row['most']:.0f})")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
