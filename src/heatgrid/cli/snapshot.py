"""heatgrid snapshot: pictures and layouts of the pages that recordings hold."""

# ruff: noqa: RUF009 (opt is a dataclass field)

from __future__ import annotations

from dataclasses import dataclass

from heatgrid.cli import summary, values
from heatgrid.cli.options import EVENTS, Common, opt
from heatgrid.cli.text import clean, say
from heatgrid.cli.work import check_place, need


@dataclass(kw_only=True)
class Shooting:
    """What is photographed, and how."""

    out: str | None = opt(
        "--out -o", "DIR", "The folder of pictures: --screens DIR and --layout DIR/layout.toml of other commands.",
        rich_help_panel="Result",
    )  # fmt: skip
    after: str = opt("--after", "TIME", "Show a page so long after it was opened [3s].", "3s")
    browser: str | None = opt("--browser", "PROGRAM", "Chromium or Chrome [by its usual names].")
    no_sandbox: bool = opt(
        "--no-sandbox", "", "Start the browser without its sandbox, as root and some containers need.", False
    )
    format: str = opt("--format", "NAME", "rrweb, or rrweb:page_event=TAG [rrweb].", "rrweb")
    page_rule: list[str] = opt("--page-rule", "PATTERN=PAGE", "Pages by your own patterns, as the run has them.", list)
    keep_param: list[str] = opt("--keep-param", "NAME,...", "URL parameters that stay part of a page.", list)
    keep_host: bool = opt("--keep-host", "", "Pages of unlike hosts are told apart.", False)
    raw_urls: bool = opt("--raw-urls", "", "Pages as they stand.", False)
    on_error: str = opt(
        "--on-error", "raise|skip", "An unreadable file stops the run, or is left out and listed [raise].", "raise"
    )


def snapshot(*, events: EVENTS, shooting: Shooting, common: Common) -> None:
    """Pictures and layouts of the pages that recordings (rrweb) hold.

    Each page is rebuilt in a browser that runs and loads nothing, at the width that most saw it (needs the extra
    snapshot). The folder holds a picture each, screens.toml, and layout.toml: what exposure needs.
    """
    out = need(shooting.out, "--out", "heatgrid snapshot recordings/ -o screens")
    after = values.duration(shooting.after, "--after") or 0
    values.one_of(shooting.on_error, "--on-error", ("raise", "skip"))
    check_place(out, folder=True)
    from heatgrid.engine.pool import thread_count
    from heatgrid.snapshot import snapshot as take
    from heatgrid.words.pages import PageRules, patterns_of

    rules = PageRules(
        values.names(shooting.keep_param), shooting.keep_host, patterns_of(values.page_rules(shooting.page_rule))
    )
    made = take(
        events, out, after_ms=after, rules=str if shooting.raw_urls else rules, format=shooting.format,
        browser=shooting.browser, sandbox=not shooting.no_sandbox, on_error=shooting.on_error,
        threads=thread_count(None),
    )  # fmt: skip
    if common.json:
        summary.emit(
            "snapshot", path=out, screens=[vars(one) for one in made.screens], areas=made.areas, notes=made.notes,
            skipped=made.skipped,
        )  # fmt: skip
        return
    if common.quiet:
        return
    for one in made.screens[:MOST]:
        say(clean(f"{one.page} at {one.css_width} px: {one.page_h:,} px high, {one.features:,} features ({one.file})"))
    if len(made.screens) > MOST:
        say(f"... and {len(made.screens) - MOST:,} more")
    for note in made.notes[:MOST]:
        say(clean(note))
    say(clean(f"wrote {out}: heatgrid report EVENTS -o report --screens {out} --layout {out}/layout.toml"))


MOST = 6
