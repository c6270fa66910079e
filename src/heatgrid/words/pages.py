"""The page key of a URL or path. These rules run before anything is stored or said (see docs/metrics: privacy).

Host and query dropped (parameters may be named that stay), path parameters (``;name=value``) too, the fragment dropped
unless it starts with ``#/``, trailing slash dropped, path parts that are integers, UUIDs or hex of 8 and more digits
become ``:id``, e-mail addresses ``:email`` wherever they stand. A name that is no URL or path (``Pricing page``) is
left alone but for that. Patterns of the user come before the rules for parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from heatgrid.words.errors import UsageError

_ID = re.compile(r"^(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{8,})$", re.IGNORECASE)
_EMAIL = re.compile(
    r"[^/\s,;:<>()\"'=&?]+(?:@|%40)[^@/\s,;:<>()\"'=&?.]+(?:\.[^@/\s,;:<>()\"'=&?.]+)+[^/\s,;:<>()\"'=&?]*",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*://|//(?=[^/?#]*\.))([^/?#]*)|^(?:www\.[^/?#\s]+|localhost(?::\d+)?)(?=[/?#])", re.IGNORECASE
)
_QUERY = re.compile(r"\?[^?\s]*[=&%]")
"""A question mark that begins a query, and does not end a question."""
_PARAMETER = re.compile(r";[^/;=]*=[^/;]*")
_WILD = re.compile(r"(\*\*|\*|(?<=/):\w+)")
_BEHIND = re.compile(r"\?[^\s\"'<>|]*")


@dataclass(frozen=True)
class PageRules:
    """How URLs become pages.

    params : query parameters that stay, in this order. hosts : pages of unlike hosts are told apart.
    patterns : (pattern, page): the first that fits the whole path names the page. ``*`` and ``:word`` stand for one
        part, ``**`` for any; a pattern that begins with ``^`` is a regular expression, and its page may use ``\\1``.
    """

    params: tuple[str, ...] = ()
    hosts: bool = False
    patterns: tuple[tuple[str, str], ...] = ()

    def __call__(self, url: str) -> str:
        """``https://shop.example/order/123?mail=a@b.c`` -> ``/order/:id``; ``Pricing page`` stays."""
        host = _HOST.match(url)
        path = url[host.end() :] if host else url
        if not host and not path.startswith(("/", "#/", "?")) and not _QUERY.search(path):
            return _EMAIL.sub(":email", url) if "@" in url or "%40" in url else url
        if path.startswith("//"):
            path = "/" + path.lstrip("/")
        path, _, fragment = path.partition("#")
        path, _, query = path.partition("?")
        route = fragment if fragment.startswith("/") else ""
        if route:
            route, _, more = route.partition("?")
            query = f"{query}&{more}"
        name = host_of(url) if self.hosts else ""
        key = self._named(path, route) or self._ruled(path, route)
        return name + key + (self._kept(query) if self.params else "")

    def _ruled(self, path: str, route: str) -> str:
        key = _parts(path) or "/"
        return f"{key}#{_parts(route) or '/'}" if route else key

    def _named(self, path: str, route: str) -> str | None:
        if not self._compiled:
            return None
        whole = (path.rstrip("/") or "/") + ("#" + (route.rstrip("/") or "/") if route else "")
        for pattern, page in self._compiled:
            found = pattern.fullmatch(whole)
            if found:
                return found.expand(page)
        return None

    def _kept(self, query: str) -> str:
        given = dict(pair.partition("=")[::2] for pair in reversed(query.split("&")))
        kept = [f"{name}={_EMAIL.sub(':email', given[name])}" for name in self.params if name in given]
        return "?" + "&".join(kept) if kept else ""

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], str]]:
        return [compiled(pattern, page) for pattern, page in self.patterns]


def compiled(pattern: str, page: str) -> tuple[re.Pattern[str], str]:
    """A pattern as a regular expression, and its page as what it expands to. Errors: UsageError HG1150."""
    try:
        if pattern.startswith("^"):
            made = re.compile(pattern)
            made.sub(page, "")  # reads the page as a template
            return made, page
        pieces = _WILD.split(pattern.rstrip("/") or "/")
        text = "".join(
            re.escape(piece) if i % 2 == 0 else ".*" if piece == "**" else "[^/#]+" for i, piece in enumerate(pieces)
        )
        return re.compile(text), page.replace("\\", "\\\\")
    except re.error as error:
        raise UsageError(
            "this pattern of pages is not usable", code="HG1150", where="page-rule", value=f"{pattern} = {page}",
            expected="/path/*/with/** = /page, or ^regular expression$", hint=str(error),
        ) from error  # fmt: skip


def patterns_of(value: Mapping[str, str] | Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """{pattern: page} or pairs of them. Errors: UsageError HG1150 for one that is none."""
    pairs = list(value.items()) if isinstance(value, Mapping) else [tuple(pair) for pair in value]
    for pattern, page in pairs:
        compiled(pattern, page)
    return tuple((str(pattern), str(page)) for pattern, page in pairs)


page_key = PageRules()


def value_key(rules: PageRules) -> Callable[[str], str]:
    """For columns that are no pages: a URL loses what may be of a person, and keeps its host; all else stays."""
    whole = PageRules(rules.params, True, rules.patterns)
    return lambda value: whole(value) if "://" in value or (value.startswith("/") and "?" in value) else value


def host_of(url: str) -> str:
    """``shop.example:8080`` of a URL, without who was logged in; empty for a path."""
    host = _HOST.match(url)
    return (host[0] if host[1] is None else host[1]).rpartition("@")[2].lower() if host else ""


def masked(text: str) -> str:
    """A text of the input as a message may show it: without queries and e-mail addresses."""
    return _EMAIL.sub(":email", _BEHIND.sub("?...", text))


def _parts(path: str) -> str:
    return "/".join(_part(part) for part in path.rstrip("/").split("/"))


def _part(part: str) -> str:
    if _ID.match(part):
        return ":id"
    if ";" in part and (bare := _PARAMETER.sub("", part)) != part:
        return _part(bare)
    if "@" in part or "%40" in part:
        return _EMAIL.sub(":email", unquote(part)) if _EMAIL.search(unquote(part)) else part
    return part
