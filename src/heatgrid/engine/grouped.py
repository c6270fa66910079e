"""Which URLs became which pages, in words: counts of a run that has ended. No URL leaves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from heatgrid.engine.encode import Encoder
from heatgrid.engine.names import MOST_RAW
from heatgrid.words.events import NONE
from heatgrid.words.pages import host_of

_SHOWN = 4


def grouped(encoders: Sequence[Encoder]) -> list[str]:
    """The pages that stand for the most URLs, where the rules made fewer pages than there are URLs; and hosts."""
    raw = dict(pair for encoder in encoders for pair in encoder.pages.meant())
    forgot = any(encoder.pages.forgot for encoder in encoders)
    pages = {name for encoder in encoders for name in encoder.pages.names} - {NONE}
    rules = encoders[0].plan.page_rules if encoders else None
    if rules is None or (not forgot and len(raw) <= len(set(raw.values()))):
        return []
    count = f"more than {MOST_RAW:,}" if forgot else f"{len(raw):,}"
    sizes = [(name, n) for name, n in Counter(raw.values()).items() if forgot or n > 1]
    groups = [name if forgot else f"{name} ({n:,})" for name, n in sorted(sizes, key=lambda one: (-one[1], one[0]))]
    told = ", ".join(groups[:_SHOWN]) + (f" and {len(groups) - _SHOWN:,} more" if len(groups) > _SHOWN else "")
    notes = [f"{count} URLs are {len(pages):,} pages: {told} (--page-rule, --keep-param, --raw-urls)"]
    hosts = {host for url in raw if (host := host_of(url))}
    if len(hosts) > 1 and not rules.hosts:
        notes.append(f"{len(hosts):,} hosts are one site: {', '.join(sorted(hosts)[:3])} (--keep-host)")
    return notes
