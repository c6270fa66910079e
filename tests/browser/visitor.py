"""A page under a script's hand: where it clicked, and what its client sent."""

from __future__ import annotations

import json
import time

import heatgrid as hg

NAMES = ("time", "kind", "page", "x", "y", "pointer", "feature", "scroll_y", "viewport_w", "viewport_h", "frame",
         "fixed", "event_id")  # fmt: skip


AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
"""Of people: that of a browser without a window is a bot's, whose rows are left out."""


class Visitor:
    """Somebody on the shop's page that a client watches."""

    def __init__(self, browser, site, client, session, size, **more):
        window = {"width": size[0], "height": size[1]}
        self.context = browser.new_context(viewport=window, **{"user_agent": AGENT} | more)
        cookies = {"client": client, "session": session}
        self.context.add_cookies([{"name": name, "value": value, "url": site.url} for name, value in cookies.items()])
        self.page = self.context.new_page()
        self.site, self.client, self.session = site, client, session
        self.clicks, self.fixed = [], []
        self.page.goto(f"{site.url}/shop.html")

    def point(self, selector):
        """The middle of an element in the window, and on the page."""
        box = self.page.locator(selector).bounding_box()
        x, y = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
        left, top = self.page.evaluate("[scrollX, scrollY]")
        return x, y, x + left, y + top

    def click(self, selector, name, times=1, touch=False):
        """``clicks``: name and point of the page; ``fixed``: whether it stays while the page goes, its point there."""
        x, y, page_x, page_y = self.point(selector)
        fixed = self.page.evaluate(f"document.querySelector({selector!r}).closest('header') !== null")
        for _ in range(times):
            (self.page.touchscreen.tap if touch else self.page.mouse.click)(x, y)
            self.clicks.append((name, page_x, page_y))
            self.fixed.append((fixed, x, y if fixed else page_y))
        self.page.wait_for_timeout(60)

    def scroll(self, selector_or_y):
        if isinstance(selector_or_y, str):
            self.page.locator(selector_or_y).scroll_into_view_if_needed()
        else:
            self.page.evaluate(f"scrollTo(0, {selector_or_y})")
        self.page.wait_for_timeout(250)  # rrweb tells of a scroll within 100 ms

    def leave(self, wait=150):
        """(what the client sent, what the page itself saw). wait : ms until its queue is empty."""
        self.page.evaluate("flush()")
        self.page.wait_for_timeout(wait)
        self.page.goto("about:blank")
        self.context.close()
        time.sleep(0.1)
        seen = [json.loads(line) for post in self.site.of("seen", self.session) for line in post.body.splitlines()]
        return self.site.of(self.client, self.session), sorted(seen, key=lambda one: one["time"])


def rows_of(path, **more):
    events = hg.read(path, **more)
    made = [row for chunk in events.scan(NAMES, threads=1) for row in chunk.batch.to_pylist()]
    return events, made
