"""The report: what its page says, that nothing in it runs or loads, and that the folder is whole."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import heatgrid as hg
from heatgrid.engine.findings import as_table
from heatgrid.engine.finish_cells import SparseMap
from heatgrid.outputs.grid import Grid
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.report import busiest, write_report
from heatgrid.outputs.report_parts import percentile_text, share_text
from heatgrid.words.errors import LimitError, UsageError
from heatgrid.words.ledger import Ledger, Points
from heatgrid.words.plan import Plan

PAGES = ["/pricing", "/", "/docs/:id", "/settings"]
FEATURES = ["checkout button", "search box", "plan toggle", "export", "invite", "help"]
HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)", "</table></script>",
    "=cmd()|' /C calc'!A0", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "&lt;b&gt;", "javascript:alert(1)",
    "é日本" + "x" * 3000,
]  # fmt: skip


@dataclass
class Made:
    """A small result by hand, with planted hotspots and everything that a real one answers."""

    names: list[str] = field(default_factory=lambda: PAGES)
    feature_names: list[str] = field(default_factory=lambda: FEATURES)
    sessions: int | None = 1834
    plan: Plan = field(default_factory=lambda: Plan(maps=("clicks", "moves"), every="week"))

    @property
    def ledger(self) -> Ledger:
        clicks = Points(40_000, 39_000, 700, 300, 0)
        return Ledger(205_000, 203_000, 1_000, {"time": 900, "duplicate": 100}, {"clicks": clicks})

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "rows": 205_000, "sessions": self.sessions, "views": 5000, "users": None, "pages": len(self.names),
            "features": len(self.feature_names), "first": "2026-09-01 01:09:04", "last": "2026-10-01 09:15:05",
            "kinds": {"click": 40_000, "pageview": 5_000, "move": 150_000}, "frame": "page (assumed)", "lane": "T",
            "seconds": 1.0, "notes": ["x = pageX (synonym)", "scroll depth is off: no column for viewport_h"],
        }  # fmt: skip

    def _usage(self, name: str, names: list[str]) -> pa.Table:
        n = self.sessions
        scale = np.array([1.0 / (i + 1) for i in range(len(names))])
        counts = {
            "events": np.rint(20_000 * scale), "clicks": np.rint(8_000 * scale),
            "dwell_ms": np.rint(9e7 * scale), "visits": np.rint(3_000 * scale), "open_visits": np.rint(200 * scale),
            "p50_ms": np.rint(4_000 * scale), "p90_ms": np.rint(15_000 * scale), "p99_ms": np.rint(30_000 * scale),
        }  # fmt: skip
        columns: dict[str, Any] = {name: pa.array(names, pa.string())}
        columns |= {key: pa.array(value.astype(np.int64)) for key, value in counts.items()}
        columns["sessions"] = pa.array(
            [None if n is None else max(1, n // (i + 1)) for i in range(len(names))], pa.int64()
        )
        if name == "page":
            columns["views"] = pa.array(np.rint(2_500 * scale).astype(np.int64))
        return pa.table(columns)

    @property
    def features(self) -> pa.Table:
        return self._usage("feature", self.feature_names)

    @property
    def pages(self) -> pa.Table:
        return self._usage("page", self.names)

    @property
    def findings(self) -> pa.Table:
        return as_table([], "nothing passes the bar; about 1,200 more sessions needed")

    @property
    def links(self) -> pa.Table:
        names = ("page", "bucket", "fixed", "x0", "y0", "replay_url")
        return pa.table({name: pa.array([], pa.string()) for name in names})

    @property
    def releases(self) -> pa.Table:
        return pa.table({"release": pa.array([], pa.string()), "period": pa.array([], pa.string())})

    def layers(self) -> pa.Table:
        schema = [("layer", pa.string()), ("page", pa.string()), ("bucket", pa.string()), ("fixed", pa.bool_())]
        rows = [
            {"layer": layer, "page": page, "bucket": bucket, "fixed": False, "period": week, "events": k // (i + 1)}
            for layer, k in (("clicks", 10_000), ("moves", 150_000))
            for i, page in enumerate(self.names)
            for bucket in ("0-600", "1024-1440")
            for week in ("2026-W36", "2026-W37")
        ]
        return pa.Table.from_pylist(rows, pa.schema([*schema, ("period", pa.string()), ("events", pa.int64())]))

    def map(
        self, layer: str = "clicks", *, page: str | None = None, bucket: str | None = None, fixed: bool = False
    ) -> Grid:
        rng = np.random.default_rng(self.names.index(page or ""))
        wide, high, n = (390 if bucket == "0-600" else 1440), 2400, 6000
        spots = rng.uniform((0.1 * wide, 40), (0.9 * wide, 2200), (5, 2))
        points = np.concatenate([rng.normal(spot, (wide / 40, 12), (n // 6, 2)) for spot in spots])
        points = np.concatenate([points, rng.uniform((0, 0), (wide, high), (n // 6, 2))])
        values, _, _ = np.histogram2d(
            points[:, 1], points[:, 0], bins=(high // 8, -(-wide // 8)), range=((0, high), (0, -(-wide // 8) * 8))
        )
        grid = values.astype(np.int64)
        used = int(grid.sum())
        meta = {
            "layer": layer, "page": page, "bucket": bucket, "fixed": fixed, "period": None, "where": None,
            "events": used,
            "sessions": None if layer == "moves" else self.sessions, "viewport_w": wide, "frame": "page (assumed)",
            "min_sessions": 0, "withheld": 0,
        }  # fmt: skip
        extent = (0.0, float(grid.shape[1] * 8), 0.0, float(grid.shape[0] * 8))
        return Grid(grid, extent, used=used, name=layer, unit=layer, meta=meta)

    def sparse_maps(self, *, split: bool = False) -> Iterator[SparseMap]:
        for row in busiest(self.layers(), 200)[0] if not split else []:
            grid = self.map(row["layer"], page=row["page"], bucket=row["bucket"])
            iy, ix = np.nonzero(grid.values)
            counts, wide = grid.values[iy, ix], int(grid.meta["viewport_w"])
            yield SparseMap(
                row["layer"], row["page"], row["bucket"], False, {}, grid.used, None, wide, ix, iy, counts, None
            )

    def matrix(self, rows: str = "feature", columns: str = "period", values: str = "sessions") -> Matrix:
        names = self.feature_names if rows == "feature" else self.names
        weeks = [f"2026-W{w}" for w in range(36, 41)]
        entries = [
            (name, week, 900 // (i + 1) - 10 * j) for i, name in enumerate(names) for j, week in enumerate(weeks)
        ]
        return Matrix.build(
            [e[0] for e in entries], [e[1] for e in entries], [max(0, e[2]) for e in entries], value=values,
            row_name=rows,
            column_name=columns, declared=["never used"] if rows == "feature" else [], n=self.sessions,
            row_totals={name: 1800 // (i + 1) for i, name in enumerate(names)},
        )  # fmt: skip


class Page(HTMLParser):
    """Tags with attributes, text outside of style and script, and the contents of those two."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.code: dict[str, list[str]] = {"style": [], "script": [], "data": []}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.code:
            self._open.append(tag if not dict(attrs).get("type") else "data")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.code and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.code[self._open[-1]].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def made_page(folder: Path, heat: Made | None = None, **options: Any) -> tuple[Page, str]:
    html = write_report(heat or Made(), folder / "report", **options).read_text(encoding="utf-8")
    return Page(html), html


def test_the_folder_holds_what_it_should(tmp_path: Path) -> None:
    heat = Made()
    made_page(tmp_path, heat, maps=6)
    folder = tmp_path / "report"
    assert {p.name for p in folder.iterdir()} == {
        "index.html", "maps", "features.csv", "features.parquet", "pages.csv", "pages.parquet", "matrix.csv",
        "matrix-page-period.csv", "summary.json", ".heatgrid.json",
    }  # fmt: skip
    assert pq.read_table(folder / "features.parquet").equals(heat.features)
    with open(folder / "pages.csv", encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == PAGES
    facts = json.loads((folder / "summary.json").read_text())
    assert facts["heatgrid"] == 1
    assert facts["ledger"] == heat.ledger.as_dict()
    assert len(facts["maps"]) == 6
    for entry in facts["maps"]:
        with Image.open(folder / entry["file"]) as picture:
            picture.verify()


def test_the_first_screen_says_the_run_in_one_sentence(tmp_path: Path) -> None:
    page, _ = made_page(tmp_path)
    assert (
        "1,834 sessions made 203,000 events on 4 pages and 6 features from 1 Sep 2026 to 1 Oct 2026 (UTC). "
        "99.0 % of the 205,000 rows read were used, 0.5 % were filtered out, 0.5 % rejected (duplicate 100, time 900)."
    ) in page.text


def test_nothing_loads_and_only_our_own_code_runs(tmp_path: Path) -> None:
    page, html = made_page(tmp_path, Made(names=[*PAGES, *HOSTILE], feature_names=[*FEATURES, *HOSTILE]), maps=40)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("style", "script"):
        assert len(page.code[name]) == 1, f"exactly one {name}"
        digest = base64.b64encode(hashlib.sha256(page.code[name][0].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "video", "audio"}
        for name, value in attributes.items():
            assert not name.startswith("on"), f"an event handler on {tag}"
            assert name != "style"
            if name in {"src", "href", "action", "data"}:
                assert re.fullmatch(
                    r"data:image/png;base64,[A-Za-z0-9+/=]+|#[a-z0-9-]+|maps/[a-z0-9-]+\.png", value or ""
                )
    assert not re.search(r"https?://", html)


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    page, html = made_page(tmp_path, Made(names=[*HOSTILE], feature_names=[*HOSTILE]), maps=40, title=HOSTILE[0])
    for name in HOSTILE[:5]:
        assert page.text.count(" ".join(name.split())) >= 3, "in the matrix, a table and a map"
    assert "\\x1b[31mred" in page.text
    assert "\\u202egnp.exe" in page.text
    assert not any(c in html for c in "\x1b\u202e\x00")
    for table in ("features.csv", "matrix.csv"):
        text = (tmp_path / "report" / table).read_text(encoding="utf-8")
        assert "\x1b" not in text
        cells = [row[0] for row in csv.reader(io.StringIO(text))]
        assert "'=cmd()|' /C calc'!A0" in cells
        assert not any(cell.startswith("=") for cell in cells)
    files = [p.relative_to(tmp_path / "report") for p in (tmp_path / "report" / "maps").iterdir()]
    assert all(re.fullmatch(r"maps/\d\d-[a-z0-9-]+\.png", str(p)) for p in files), files


def test_every_map_has_its_n_its_scale_and_its_frame(tmp_path: Path) -> None:
    page, html = made_page(tmp_path)
    figures = re.findall(r"<figure>.*?</figure>", html, re.DOTALL)
    assert len(figures) == 1
    assert html.count('<li><a href="maps/') == 12
    for figure in figures:
        text = Page(figure).text
        assert re.search(r"n = [\d,]+ events", text)
        assert "frame: page (assumed)" in text
        assert re.search(r"(clicks|moves) in \d+ x \d+ px, log scale", text)
        assert 'alt="Heatmap: ' in figure
    assert "1,834 sessions" in page.text


def test_the_busiest_maps_are_chosen_over_all_periods() -> None:
    chosen, in_all = busiest(Made().layers(), 6)
    assert in_all == 16
    assert [row["layer"] for row in chosen] == ["clicks"] * 4 + ["moves"] * 2
    assert {row["page"] for row in chosen[:2]} == {"/pricing"}
    assert busiest(Made().layers(), 0) == ([], 16)
    split = pa.table(
        {
            "layer": ["clicks"] * 3, "page": ["/a", "/a", "/b"], "bucket": ["1440+"] * 3, "fixed": [False] * 3,
            "events": [6, 6, 10],
        }
    )  # fmt: skip
    assert busiest(split, 1)[0][0]["page"] == "/a", "12 events in two periods are more than 10 in one"
    only = Made().layers().filter(pa.compute.equal(Made().layers()["layer"], "moves"))
    assert len(busiest(only, 6)[0]) == 6


def test_numbers_of_the_page_are_those_of_the_tables(tmp_path: Path) -> None:
    heat = Made()
    _, html = made_page(tmp_path, heat)
    table = re.search(r'<table class="list" id="feature-table">.*?</table>', html, re.DOTALL)
    assert table
    rows = re.findall(r"<tr.*?</tr>", table[0], re.DOTALL)[1:]
    heads = re.findall(r"<button[^>]*>([^<]+)", table[0])
    for row, expected in zip(rows, heat.features.to_pylist(), strict=True):
        cells = dict(zip(heads[1:], re.findall(r'<td(?: data-v="([^"]*)")?', row), strict=True))
        for label, column in (
            ("clicks", "clicks"),
            ("events", "events"),
            ("sessions", "sessions"),
            ("time", "dwell_ms"),
        ):
            assert int(cells[label]) == expected[column]
    cells = re.findall(r'<td class="(?:h\d+|few|zero)" title="([\d,]+) sessions"', html)
    expected_cells = [int(v) for name in ("feature", "page") for v in heat.matrix(name).values.ravel()]
    assert [int(cell.replace(",", "")) for cell in cells] == expected_cells


@pytest.mark.parametrize(
    ("k", "n", "shown"),
    [(3, 29, "3/29"), (15, 30, "50.0 %"), (15, 99, "15.2 %"), (50, 100, "50.0 %"), (None, 100, "–"), (0, 0, "–")],
)
def test_small_numbers_are_counts_not_shares(k: int | None, n: int, shown: str) -> None:
    text, _ = share_text(k, n)
    assert text.startswith(shown)
    assert ("low" in text) == (30 <= n < 100)
    assert ("%" in text) == (k is not None and n >= 30)


def test_percentiles_need_closed_visits() -> None:
    assert "–" in percentile_text(5000, 40, 11)
    assert "5.0 s" in percentile_text(5000, 40, 10)
    assert "low" in percentile_text(5000, 40, 10)
    assert "low" not in percentile_text(5000, 100, 0).replace("class", "")
    assert "weak" in percentile_text(5000, 1000, 301)
    assert "–" in percentile_text(None, 1000, 0)


def test_few_sessions_are_said_first(tmp_path: Path) -> None:
    page, html = made_page(tmp_path, Made(sessions=12))
    assert "Only 12 sessions: counts are shown, but nothing here may be ranked" in page.text
    table = re.search(r'id="feature-table">.*?</table>', html, re.DOTALL)
    assert table
    assert " %" not in table[0]
    assert "12/12" in table[0]


def test_what_is_off_and_what_unlocks_it(tmp_path: Path) -> None:
    page, _ = made_page(tmp_path)
    off = page.text[page.text.index("What is off, and what unlocks it") :]
    for part in ("scroll depth is off: no column for viewport_h", "--distinct users", "--by COLUMN", "--areas FILE"):
        assert part in off
    assert "periods are off" not in off
    assert "x = pageX (synonym)" in page.text
    for line in Made().ledger.lines():
        assert line in page.text


def test_a_result_of_nothing_is_a_report_too(tmp_path: Path) -> None:
    class Empty(Made):
        @property
        def ledger(self) -> Ledger:
            return Ledger()

        @property
        def summary(self) -> dict[str, Any]:
            zeros = {
                "sessions": None,
                "views": None,
                "pages": 0,
                "features": 0,
                "first": None,
                "last": None,
                "kinds": {},
            }
            return super().summary | zeros

    page, _ = made_page(tmp_path, Empty(names=[], feature_names=[], sessions=None))
    assert "The input has no rows." in page.text
    assert "No map" in page.text


def test_sources_without_sessions_or_moves(tmp_path: Path) -> None:
    class ClickOnly(Made):
        @property
        def summary(self) -> dict[str, Any]:
            return super().summary | {"kinds": {"click": 5}, "sessions": None}

    page, _ = made_page(tmp_path, ClickOnly(sessions=None))
    assert "time until next event" in page.text, "dwell of a click-only log must not be called time spent"
    assert "sessions are not counted here" in page.text


def test_an_older_report_stays_when_the_next_one_fails(tmp_path: Path) -> None:
    class Failing(Made):
        def matrix(self, rows: str = "feature", columns: str = "period", values: str = "sessions") -> Matrix:
            raise LimitError("no room", code="HG4301")

    made_page(tmp_path)
    before = (tmp_path / "report" / "index.html").read_bytes()
    with pytest.raises(LimitError):
        write_report(Failing(), tmp_path / "report")
    assert (tmp_path / "report" / "index.html").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_reports_of_one_result_are_equal_bytes(tmp_path: Path) -> None:
    a = write_report(Made(), tmp_path / "a").parent
    b = write_report(Made(), tmp_path / "b").parent
    for path in sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file()):
        assert (a / path).read_bytes() == (b / path).read_bytes(), path


@pytest.mark.parametrize("maps", [-1, 1000, True])
def test_an_absurd_number_of_maps_is_refused(tmp_path: Path, maps: int) -> None:
    with pytest.raises(UsageError, match="HG1318"):
        write_report(Made(), tmp_path / "report", maps=maps)


def test_five_thousand_features_stay_small(tmp_path: Path) -> None:
    names = [f"feature number {i}" for i in range(5000)]
    page, html = made_page(tmp_path, Made(feature_names=names))
    assert len(html) < 15_000_000
    assert "3,000 more rows are in features.csv" in page.text


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine: the report was not shown in a browser")
    return found


def test_tables_sort_and_filter_in_a_browser(tmp_path: Path, chromium: str) -> None:
    """The page's own script, driven by a second one (which its policy would refuse, so the policy is taken out)."""
    _, html = made_page(tmp_path, Made(feature_names=[*FEATURES, HOSTILE[0]]), maps=2)
    drive = """<script>
      const table = document.getElementById("feature-table"), out = [];
      const column = () => [...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => r.cells[0].title).join("|");
      const press = (name) => [...table.tHead.querySelectorAll("button")].find((b) => b.textContent === name).click();
      press("clicks"); out.push(column()); press("clicks"); out.push(column()); press("feature"); out.push(column());
      const box = document.querySelector("input[data-table=feature-table]");
      box.value = "BOX"; box.dispatchEvent(new Event("input")); out.push(column());
      out.push(document.getElementById("feature-table-count").textContent);
      document.title = JSON.stringify(out);
    </script>"""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</body>", drive + "</body>")
    (tmp_path / "driven.html").write_text(bare, encoding="utf-8")
    done = subprocess.run(
        [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom", (tmp_path / "driven.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title
    down, up, by_name, found, count = json.loads(Page(title[1]).text)
    order = [*FEATURES, HOSTILE[0]]
    assert down.split("|") == order
    assert up.split("|") == order[::-1]
    assert by_name.split("|") == sorted(order)
    assert (found, count) == ("search box", "1 of 7 rows")


@pytest.mark.parametrize("size", ["1280,900", "390,844"])
def test_a_browser_shows_it_without_complaint(tmp_path: Path, chromium: str, size: str) -> None:
    made_page(tmp_path, Made(names=[*PAGES, *HOSTILE], feature_names=[*FEATURES, *HOSTILE]), maps=16)
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", f"--screenshot={shot}",
            (tmp_path / "report" / "index.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
    with Image.open(shot) as image:
        colors = image.convert("RGB").getcolors(1 << 24) or []
    assert len(colors) > 100


def test_releases_are_marked_on_the_periods_that_they_lie_in(tmp_path: Path) -> None:
    """By name, in the head of the column of their period and of no other; a hostile name is text."""
    start = 1_756_684_800_000  # 1 Sep 2025
    n = 40 * 21
    table = pa.table({
        "time": pa.array([start + i * 21 * 86_400_000 // n for i in range(n)], pa.timestamp("ms", "UTC")),
        "session": [f"s{i // 4}" for i in range(n)], "page": ["/"] * n, "feature": [f"f{i % 3}" for i in range(n)],
    })  # fmt: skip
    plan = hg.Plan(maps=(), every="week", releases={"2.1": "2025-09-09", "<b>2.2": "2025-09-10T12:00"})
    html = hg.run(table, plan).report(tmp_path / "r").read_text()
    heads = re.findall(r"<th scope=\"col\"[^>]*title=\"([^\"]*)\"[^>]*>(.*?)</th>", html)
    marked = [(title, shown) for title, shown in heads if "released in it" in title]
    assert {title for title, _ in marked} == {"2025-W37; released in it: 2.1, &lt;b&gt;2.2"}
    assert "\u25bc 2.1, &lt;b&gt;2.2" in marked[0][1]
    assert any(title == "2025-W36" for title, _ in heads)
    assert "<b>2.2" not in html
