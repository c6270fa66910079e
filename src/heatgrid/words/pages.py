"""The page key of a URL or path, by the rules of the project (see docs/metrics: privacy).

Query dropped, fragment dropped unless it starts with ``#/``, trailing slash dropped, path parts that are
integers, UUIDs or hex of 8 and more digits become ``:id``, e-mail addresses ``:email``. A name that is not a
URL or path (``Pricing page``) is left alone.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_ID = re.compile(r"^(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{8,})$", re.IGNORECASE)
_EMAIL = re.compile(r"^[^@/\s]+@[^@/\s]+\.[^@/\s.]+$")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


def page_key(url: str) -> str:
    """``https://shop.example/order/123?mail=a@b.c`` -> ``/order/:id``; ``Pricing page`` stays."""
    host = _SCHEME.match(url)
    path = url[host.end() :] if host else url
    if not host and not path.startswith(("/", "#/", "?")):
        return url
    path, _, fragment = path.partition("#")
    path = path.partition("?")[0]
    key = _parts(path) or "/"
    if fragment.startswith("/"):
        route = _parts(fragment.partition("?")[0])
        key = (key if key != "/" else "/") + "#" + (route or "/")
    return key


def _parts(path: str) -> str:
    return "/".join(_part(part) for part in path.rstrip("/").split("/"))


def _part(part: str) -> str:
    if _ID.match(part):
        return ":id"
    if "@" in part or "%40" in part:
        return ":email" if _EMAIL.match(unquote(part)) else part
    return part
