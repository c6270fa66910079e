"""Pages that are rebuilt from their nodes, photographed and measured in Chromium: nothing in them runs, nothing is
loaded.

The nodes are another's: they are made by document calls in a page of ours whose scripts are off, under a policy that
lets nothing load but what stands in the page itself (data:), with no way out of it (every request is refused and
counted, no name resolves).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heatgrid.words.errors import InputError, UsageError

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Request, Route

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TALLEST = 20_000
"""px of a picture, and of a page's height (METRICS)."""
PATIENCE = 60
"""s for one page."""
_HERE = "http://page.invalid/"
_POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; sandbox allow-same-origin"
)
_ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--no-pings",
    "--disable-background-networking", "--dns-prefetch-disable",
)  # fmt: skip
_SETTLE_MS = 150


@dataclass(frozen=True)
class Sitter:
    """What is photographed. nodes : [parent, type, tag, svg, shadow, text, attributes] of each, as rebuild.js reads
    them; asked : the places of those whose boxes are wanted; quirks : the page had no document type."""

    width: int
    height: int
    nodes: Sequence[Sequence[object]]
    asked: Sequence[int]
    quirks: bool = False


@dataclass
class Photo:
    """boxes : (x, y, width, height) in px of the page, or why there is none (hidden, fixed, inside).
    tall : px, at most 20,000. blocked : kind of what was asked for and not loaded -> how many."""

    png: bytes
    boxes: list[tuple[float, float, float, float] | str]
    tall: int
    blocked: Counter[str] = field(default_factory=Counter)


def browser_at(given: str | None) -> str:
    """The browser to use. Errors: UsageError HG1041."""
    asked = given or os.environ.get("HEATGRID_BROWSER")
    found = shutil.which(asked) if asked else next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise UsageError(
            "there is no Chromium to photograph pages with", code="HG1041", where="--browser", value=asked,
            expected="the program of a Chromium or Chrome", hint="apt install chromium, or --browser /path/to/chrome",
        )  # fmt: skip
    return found


def needed() -> Any:
    """playwright. Errors: UsageError HG1040 where it is not installed."""
    try:
        from playwright import async_api
    except ImportError:
        raise UsageError(
            "photographs of pages need the extra snapshot", code="HG1040", where="snapshot",
            hint="pip install 'heatgrid[snapshot]'",
        ) from None  # fmt: skip
    return async_api


def photographs(sitters: Sequence[Sitter], browser: str | None = None, sandbox: bool = True) -> list[Photo | str]:
    """A photo of each, or why there is none.

    Errors: UsageError HG1040 (no playwright), HG1041 (no browser); InputError HG2270 (the browser does not start).
    """
    api, path = needed(), browser_at(browser)
    work = partial(_all, api, path, sandbox, sitters)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as beside:  # in a notebook, whose own loop is running
        return beside.submit(lambda: asyncio.run(work())).result()


async def _all(api: Any, path: str, sandbox: bool, sitters: Sequence[Sitter]) -> list[Photo | str]:
    found: list[Photo | str] = []
    async with api.async_playwright() as playwright:
        browser: Browser | None = None
        try:
            for sitter in sitters:
                if browser is None or not browser.is_connected():
                    browser = await _started(api, playwright, path, sandbox)
                try:
                    async with asyncio.timeout(PATIENCE):
                        found.append(await _photo(browser, sitter))
                except TimeoutError:
                    found.append(f"it took more than {PATIENCE} s")
                    await browser.close()
                except api.Error as error:
                    found.append(str(error).partition("\n")[0])
        finally:
            if browser is not None:
                await browser.close()
    return found


async def _started(api: Any, playwright: Any, path: str, sandbox: bool) -> Browser:
    try:
        started: Browser = await playwright.chromium.launch(
            executable_path=path, chromium_sandbox=sandbox, args=list(_ARGUMENTS), timeout=30_000
        )
    except api.Error as error:
        why = [line.strip() for line in str(error).splitlines() if line.strip()]
        telling = next((line for line in why if "sandbox" in line.lower()), why[0] if why else "")
        raise InputError(
            "the browser does not start", code="HG2270", where=path, value=telling[:300],
            hint="--no-sandbox, if this is a container or root and the recordings are trusted",
        ) from error  # fmt: skip
    return started


@asynccontextmanager
async def _cell(browser: Browser, sitter: Sitter, blocked: set[tuple[str, str]]) -> AsyncIterator[BrowserContext]:
    """Where one page is built, without scripts and without a network; ``blocked`` gets what it asks for."""
    context = await browser.new_context(
        viewport={"width": sitter.width, "height": sitter.height}, java_script_enabled=False, offline=True,
        service_workers="block", accept_downloads=False, device_scale_factor=1,
    )  # fmt: skip

    async def answer(route: Route) -> None:
        if route.request.url != _HERE:
            await route.abort()
            return
        start = "" if sitter.quirks else "<!doctype html>"
        headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        await route.fulfill(status=200, content_type="text/html; charset=utf-8", headers=headers, body=start)

    def asked(request: Request) -> None:
        if request.url != _HERE and not request.url.startswith("data:"):
            blocked.add((request.resource_type, request.url))

    context.on("request", asked)
    try:
        await context.route("**/*", answer)
        yield context
    finally:
        await context.close()


async def _photo(browser: Browser, sitter: Sitter) -> Photo:
    script = (files("heatgrid.outputs") / "templates" / "rebuild.js").read_text(encoding="utf-8")
    blocked: set[tuple[str, str]] = set()
    async with _cell(browser, sitter, blocked) as context:
        page = await context.new_page()
        await page.goto(_HERE)
        told = json.dumps({"nodes": sitter.nodes, "asked": list(sitter.asked)})
        await page.evaluate(script, told)
        await page.wait_for_timeout(_SETTLE_MS)  # pictures and fonts of data: have been read
        found = await page.evaluate("measured()")
        tall = max(1, min(TALLEST, round(found["tall"])))
        session = await context.new_cdp_session(page)
        clip = {"x": 0, "y": 0, "width": sitter.width, "height": tall, "scale": 1}
        shot = await session.send(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        boxes = [box if isinstance(box, str) else tuple(box) for box in found["boxes"]]
        return Photo(base64.b64decode(shot["data"]), boxes, tall, Counter(kind for kind, _ in blocked))
