"""Rows that are nobody's: known bots by their agent, automated browsers, and the users that a plan leaves out."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from heatgrid.words.errors import InputError

BOTS, FAST_BOTS, USERS = "bot", "fast or tireless bot", "excluded user"
AGENT_COLUMNS = ("user_agent", "useragent", "$raw_user_agent", "$user_agent", "br_useragent", "context_user_agent")
AUTOMATED_COLUMNS = ("webdriver", "navigator_webdriver", "is_webdriver")
_AGENTS = re.compile(
    # a word that ends in bot (Googlebot, bingbot/2.0), never cubot, the maker of phones
    r"(?<!cu)bot\b|bot/|crawl|spider|slurp|headless|phantomjs|puppeteer|playwright|selenium|cypress|lighthouse|"
    r"pagespeed|gtmetrix|pingdom|uptimerobot|statuscake|facebookexternalhit|bingpreview|mediapartners-google|"
    r"feedfetcher|python-requests|python-urllib|aiohttp|httpx|curl/|wget/|libwww|go-http-client|okhttp/|java/|"
    r"axios/|node-fetch|scrapy|apache-httpclient",
    re.IGNORECASE,
)
_TRUE = ("true", "1", "yes", "t")


def is_bot(agent: str) -> bool:
    """Whether an agent says that it is no person's browser."""
    return _AGENTS.search(agent) is not None


def is_true(value: str) -> bool:
    return value.strip().lower() in _TRUE


def patterns_of(value: Sequence[str] | str) -> tuple[str, ...]:
    """Patterns of users (``*@example.com``, case-blind); the name of a file stands for its lines.

    Errors: InputError HG2140 for a file that cannot be read.
    """
    out: list[str] = []
    for item in (value,) if isinstance(value, str) else value:
        if not os.path.isfile(item):
            out.append(item)
            continue
        try:
            lines = Path(item).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "the list of users cannot be read", code="HG2140", where=item, value=str(error),
                expected="one user or pattern a line",
            ) from error  # fmt: skip
        out += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return tuple(sorted({pattern.lower() for pattern in out}))


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a user is one of them."""
    exact = {pattern for pattern in patterns if not re.search(r"[*?\[]", pattern)}
    wild = [re.compile(fnmatch.translate(pattern)) for pattern in patterns if pattern not in exact]
    return lambda user: user.lower() in exact or any(one.match(user.lower()) for one in wild)
