"""URLs become pages: the rules, patterns of the user, and nothing personal in any result or message."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.engine.names import NameCodes
from heatgrid.engine.urls import shortened
from heatgrid.words.errors import UsageError
from heatgrid.words.pages import PageRules, masked, page_key, value_key
from oracle.sessions import page_of

NOON = 1_714_564_800_000
UUID = "0af51c2e-1111-4222-8333-0123456789ab"


def rows(urls: list[str], **more: Any) -> dict[str, Any]:
    times = pa.array([NOON + 1000 * i for i in range(len(urls))], pa.timestamp("ms", "UTC"))
    return {"time": times, "session": ["s"] * len(urls), "$current_url": urls} | more


def pages(heat: Any) -> dict[str, int]:
    return dict(zip(heat.pages["page"].to_pylist(), heat.pages["events"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://shop.example/order/123?mail=a@b.c#top", "/order/:id"),
        ("/a/b/", "/a/b"),
        ("https://shop.example", "/"),
        ("https://joe:secret@shop.example:8443/x", "/x"),
        ("//cdn.example/lib/", "/lib"),
        (f"/doc/{UUID}/edit", "/doc/:id/edit"),
        ("/commit/DEADBEEF01", "/commit/:id"),
        ("/feed/1234567", "/feed/:id"),
        ("/face", "/face"),
        ("/u/joe@example.com/edit", "/u/:email/edit"),
        ("/u/joe%40example.com", "/u/:email"),
        ("/send,to=joe@example.com", "/send,to=:email"),
        ("/@joe/post", "/@joe/post"),
        ("/app#/route/55/?tab=1", "/app#/route/:id"),
        ("/app#section", "/app"),
        ("/cart;jsessionid=3F22AA/pay", "/cart/pay"),
        ("www.shop.example/pricing?x=1", "/pricing"),
        ("pricing?mail=joe@example.com", "pricing"),
        ("Pricing page", "Pricing page"),
        ("Where to go? Now", "Where to go? Now"),
        ("Inbox - joe@example.com", "Inbox - :email"),
    ],
)
def test_the_rules(url: str, page: str) -> None:
    assert page_key(url) == page == page_of(url, True)
    assert page_key(page) == page, "a page is its own page"


PIECES = ["/", "//", "a", "B-c", "12", "7", "deadbeef", "DEADBEEF9", UUID, "j@e.com", "@", "%40", "?", "#", "#/", "=",
          "&", ";", "x=1", " ", ".", "https://", "h.example", "é", "٣"]  # fmt: skip


MORE = ["b/", "/5/", "abc1234", "\n", "http:", "-"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_the_rules_hold_for_any_text(url: str) -> None:
    page = page_key(url)
    assert "j@e.com" not in page
    if url.startswith(("/", "https://")):
        assert "?" not in page
        assert page == page_of(url, True)
        assert page_key(page) == page


def test_parameters_and_hosts_may_stay() -> None:
    rules = PageRules(params=("tab", "q"), hosts=True)
    assert rules("https://A.example/x/5?q=a&utm=1&tab=j@e.com") == "a.example/x/:id?tab=:email&q=a"
    assert rules("https://joe:pw@b.example/x") == "b.example/x"
    assert rules("/#/r?tab=2") == "/#/r?tab=2"
    assert rules("/x?y=1") == "/x"


def test_patterns_come_before_the_rules() -> None:
    patterns = {"/project/*/settings/**": "/project/settings", "/u/:name": "/u/:name", r"^/q/([a-z]+)/.*": r"/q/\1"}
    rules = PageRules(patterns=tuple(patterns.items()))
    assert rules("https://a.example/project/12/settings/x/y?z=1") == "/project/settings"
    assert rules("/project/12/settings") == "/project/:id/settings", "** wants its slash"
    assert (rules("/u/bob/"), rules("/u/bob/x")) == ("/u/:name", "/u/bob/x")
    assert rules("/q/foo/9") == "/q/foo"
    for bad in ((("^(", "/x"),), (("^/a", r"\1"),)):
        with pytest.raises(UsageError) as caught:
            hg.Plan(url_patterns=bad)
        assert caught.value.code == "HG1150"
    heat = hg.run(rows(["/u/bob", "/u/ann", "/v/1"]), url_patterns=patterns)
    assert pages(heat) == {"/u/:name": 2, "/v/:id": 1}
    assert hg.Plan.from_dict(json.loads(json.dumps(heat.plan.as_dict()))).hash() == heat.plan.hash()


def test_forty_thousand_urls_are_the_few_pages_they_are() -> None:
    ends = ["", "/insights", "/settings/members?tab=2", "/replay#t=5"]
    n = 10_000
    urls = [f"https://app.example/project/{i}{end}" for i in range(n) for end in ends]
    started = time.process_time()
    heat = hg.run(rows(urls, x=[1] * 4 * n, y=[2] * 4 * n))
    assert time.process_time() - started < 20, "a few us each, not ms"
    assert pages(heat) == dict.fromkeys(
        ["/project/:id", "/project/:id/insights", "/project/:id/settings/members", "/project/:id/replay"], n
    )
    told = [note for note in heat.summary["notes"] if " URLs are " in note]
    assert told == [
        "40,000 URLs are 4 pages: /project/:id (10,000), /project/:id/insights (10,000), /project/:id/replay (10,000), "
        "/project/:id/settings/members (10,000) (--page-rule, --keep-param, --raw-urls)"
    ]
    raw = hg.run(rows(urls[:8]), url_rules=False)
    assert set(pages(raw)) == set(urls[:8])
    assert not [note for note in raw.summary["notes"] if " URLs are " in note]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*PIECES, *MORE]), max_size=8).map("".join), min_size=1),
       st.sampled_from([pa.string(), pa.large_string()]))  # fmt: skip
def test_a_shortened_url_has_the_page_of_the_url(texts: list[str], kind: pa.DataType) -> None:
    short = shortened(pa.array(["/first", *texts], kind)[1:])
    assert short is not None
    assert [page_key(text) for text in short.to_pylist()] == [page_key(text) for text in texts]


def test_more_urls_than_are_remembered_are_shortened_by_the_leaf() -> None:
    n = 150_000
    urls = [f"https://h{i % 2}.example/p/{i}/{'ab'[i % 2]}?t={i}" for i in range(n)]
    heat = hg.run(rows(urls), keep_bots=True)
    assert pages(heat) == {"/p/:id/a": n // 2, "/p/:id/b": n // 2}
    notes = heat.summary["notes"]
    assert [note for note in notes if note.startswith("more than 65,536 URLs are 2 pages: /p/:id/")]
    table = pa.table(rows(urls, page=pa.array(urls).dictionary_encode())).drop_columns(["$current_url"])
    assert pages(hg.run(table, keep_bots=True)) == pages(heat)
    stepped = hg.run(
        pa.Table.from_batches(table.to_batches(max_chunksize=999)), url_params=["t"], maps=(), keep_bots=True
    )
    assert stepped.pages.num_rows == 100_001, "with a parameter each is its own page, up to the cap"
    assert shortened(pa.array(["/a", None])) is None


def test_a_dictionary_of_more_than_are_remembered_is_not_looked_at_one_by_one() -> None:
    asked: list[str] = []
    codes = NameCodes(lambda raw: asked.append(raw) or page_key(raw), shortened=shortened)  # type: ignore[func-returns-value]
    codes.table(pa.array([f"/p/{i}?t={i}" for i in range(70_000)]))
    assert asked == ["/p/:id"]


def test_hosts_that_become_one_site_are_said() -> None:
    urls = ["https://a.example/x", "https://b.example/x", "https://b.example/y"]
    notes = hg.run(rows(urls)).summary["notes"]
    assert "2 hosts are one site: a.example, b.example (--keep-host)" in notes
    heat = hg.run(rows(urls), url_hosts=True)
    assert pages(heat) == {"a.example/x": 1, "b.example/x": 1, "b.example/y": 1}


def test_other_columns_lose_what_is_of_a_person_and_keep_their_hosts() -> None:
    of_value = value_key(PageRules())
    assert of_value("https://search.example/find?q=joe@example.com") == "search.example/find"
    assert of_value("/x?mail=j@e.com") == "/x"
    assert of_value("a[href='/x?y=1']") == "a[href='/x?y=1']"
    refs = ["https://search.example/find?q=secret"] * 3
    heat = hg.run(rows(["/a"] * 3, referrer=refs, feature=["https://a.example/out?token=secret"] * 3), by=["referrer"])
    assert heat.table("pages")["referrer"].to_pylist() == ["search.example/find"]
    assert heat.features["feature"].to_pylist() == ["a.example/out"]


SECRETS = ["joe@example.com", "tok3n", "hunter2", "joe%40example.com"]


def personal(n: int) -> list[str]:
    return [
        f"https://joe:hunter2@app.example/inbox/joe%40example.com/{i}?mail=joe@example.com&token=tok3n#access=tok3n"
        for i in range(n)
    ]


def test_row_34_nothing_personal_is_stored_or_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Fails if a URL reaches a result, a file or a message before its rules: also by a broken line."""
    dump = tmp_path / "events.csv"
    with dump.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "session_id", "current_url", "event_type", "x", "y", "referrer"])
        for i, url in enumerate(personal(50)):
            writer.writerow([NOON + 1000 * i, "s", url, "click", i, i, url])
        writer.writerow([NOON, "s", personal(1)[0]])
    out = tmp_path / "out"
    words = [str(dump), "--max-rejected", "50%", "--by", "referrer"]
    assert main(["report", *words, "-o", str(out)]) == 0
    assert main(["build", *words, "-o", str(tmp_path / "a.heat")]) == 0
    assert main(["pages", *words, "--json"]) == 0
    assert main(["report", str(dump), "-o", str(tmp_path / "b"), "--max-rejected", "0%"]) == 4
    assert main(["report", *words, "--map", "x=current_url", "-o", str(tmp_path / "b")]) == 3
    told = "".join(capfd.readouterr())
    assert "events.csv:52" in told
    for path in [p for p in out.rglob("*") if p.is_file()] + [tmp_path / "a.heat"]:
        data = path.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in data] == [], path
    assert [secret for secret in SECRETS if secret in told] == []
    state = hg.load(tmp_path / "a.heat").state
    assert [s for s in SECRETS if s in repr((state.names, state.reading, state.plan))] == []
    assert masked("3 fields: https://a/?x=1&m=j@e.com j@e.com") == "3 fields: https://a/?... :email"
    assert np.all([page == "/inbox/:email/:id" for page in state.names["page"]])
