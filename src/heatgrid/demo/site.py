"""The product of the demo dump as data: pages, features with boxes, accounts, screens, releases, habits.

A page has six features of its own and shares six of the bar at the top; boxes are laid out once for each width
bucket, at its narrowest width, so that they fit every window of the bucket.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatgrid.words.areas import Area
from heatgrid.words.plan import BUCKET_EDGES

KINDS = ("pageview", "click", "move", "scroll", "resize", "input", "hidden", "visible", "error")
PLANS = ("free", "team", "business")
DEVICES = ("desktop", "tablet", "phone")
POINTERS = ("mouse", "touch", "pen")
COUNTRIES = ("US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "NL", "SE")
RELEASES = ((0.0, "4.0.0"), (0.27, "4.1.0"), (0.5, "5.0.0"), (0.8, "5.0.1"))
"""(share of the period after which it is out, name)."""

DEAD_BUTTON = "checkout.apply-coupon"
"""Looks like a button, does nothing: people click it again and again."""
UNUSED_FEATURE = "settings.legacy-theme"
"""Declared and drawn on its page, and never clicked."""
CHANGED_PAGE, CHANGED_RELEASE = "/reports", 2
"""From 5.0.0 on the last feature of this page becomes the first one, and the others lose."""

BAR = ("nav.home", "nav.search", "nav.create", "nav.help", "nav.alerts", "nav.account")
_BAR_WEIGHTS = (0.18, 0.5, 0.25, 0.06, 0.2, 0.14)
_BAR_BOXES = ((0.02, 0.10), (0.30, 0.30), (0.64, 0.08), (0.74, 0.06), (0.82, 0.06), (0.90, 0.08))
_BAR_TOP, _BAR_HEIGHT = 12, 40

# path, height at desktop width, layout, popularity, own features (":x": used mostly by that plan or device)
_PAGES = """
/                       4200 story 9  start-free watch-demo customers tour:phone compare footer-links
/pricing                2600 cards 5  choose-team choose-business:business yearly choose-free:free faq sales:business
/features               5200 story 3  boards automation timeline mobile-app:phone security:business request-demo
/signup                 1100 form  3  email password create-account company use-google terms
/login                   900 form  6  email password log-in use-google forgot-password use-sso:business
/dashboard              1900 cards 16 my-tasks activity overdue chart team-load:business customize
/projects               2400 table 12 open-project filter new-project star sort archive
/projects/board         1800 cards 14 add-card card-menu to-do in-progress done swimlanes:team
/projects/timeline      1600 cards 5  zoom today drag-bar milestones:business dependencies critical-path:business
/tasks                  3600 table 11 check-off open-task filter assign due-date bulk-edit:team
/calendar               1500 cards 6  next-week new-event month-view day-view:phone sync share
/inbox                  3000 table 9  open-message reply mark-read snooze:phone mute filters
/reports                2200 cards 7  open-report date-range export:business schedule:business compare-to insights
/reports/builder        2000 form  4  add-chart data-source group-by:team save preview undo
/reports/export         1200 form  2  format range download columns e-mail-me history
/team                   2100 table 4  member invite role:business remove groups:business directory
/team/invite            1000 form  2  addresses role message send copy-link import-csv:business
/settings               2800 form  4  language time-zone notifications theme keyboard legacy-theme
/settings/profile       1400 form  2  name photo save title phone-number delete-account
/settings/billing       1700 form  2  change-plan:free card invoices:business add-seats:team cancel tax-id
/settings/integrations  3900 cards 3  slack calendar-sync github:team webhooks:business zapier browse-all
/docs                   6000 story 4  getting-started search-docs guides videos api-link was-helpful
/docs/api               5600 story 2  authentication copy-snippet:business endpoints rate-limits webhooks try-it
/checkout               1500 form  3  pay apply-coupon seats card-number billing-address back
"""
# (left, width as shares of the window; top as a share of the page below the bar; height in px) of the six features
_LAYOUTS = {
    "story": ((0.08, 0.20, 0.06, 56), (0.32, 0.16, 0.06, 56), (0.08, 0.84, 0.20, 90), (0.55, 0.35, 0.38, 160),
              (0.10, 0.35, 0.58, 120), (0.08, 0.84, 0.93, 64)),
    "cards": ((0.05, 0.28, 0.08, 150), (0.36, 0.28, 0.08, 150), (0.67, 0.28, 0.08, 150), (0.05, 0.43, 0.42, 160),
              (0.52, 0.43, 0.42, 160), (0.70, 0.22, 0.80, 48)),
    "table": ((0.14, 0.46, 0.14, 320), (0.14, 0.16, 0.05, 40), (0.76, 0.18, 0.05, 40), (0.04, 0.06, 0.14, 320),
              (0.64, 0.10, 0.14, 120), (0.14, 0.20, 0.85, 40)),
    "form": ((0.20, 0.40, 0.10, 44), (0.20, 0.40, 0.22, 44), (0.20, 0.18, 0.70, 48), (0.20, 0.40, 0.34, 44),
             (0.66, 0.24, 0.12, 90), (0.66, 0.20, 0.60, 40)),
}  # fmt: skip
_FLOWS = """
/ > /pricing /features /login /signup; /pricing > /signup /checkout; /features > /pricing; /signup > /dashboard
/login > /dashboard; /dashboard > /projects /tasks /inbox; /projects > /projects/board /projects/timeline
/projects/board > /tasks /projects; /tasks > /projects/board; /inbox > /tasks; /reports > /reports/builder
/reports/builder > /reports/export /reports; /team > /team/invite; /settings/billing > /checkout
/settings > /settings/profile /settings/billing /settings/integrations; /docs > /docs/api; /checkout > /dashboard
"""
BUCKET_WIDTHS = (360, 744, 1024, 1440)
"""The narrowest window of each width bucket."""
_STRETCH = (1.25, 1.1, 1.0, 1.0)
_MAX_HEIGHT = 6000
SCREENS = {
    "desktop": ((1920, 969), (1280, 689), (1536, 730), (1440, 789), (1366, 657), (1920, 937), (2560, 1289),
                (1024, 657)),
    "tablet": ((768, 954), (820, 1106), (768, 954), (744, 1059), (768, 927), (820, 1080), (834, 1120), (768, 954)),
    "phone": ((390, 664), (412, 732), (390, 664), (360, 640), (393, 659), (390, 720), (430, 740), (412, 758)),
}  # fmt: skip
_FIRST = "Amber Birch Cobalt Delta Ember Fjord Granite Harbor Indigo Juniper Kestrel Lumen"
_SECOND = "Analytics Bank Clinic Foods Freight Games Labs Media Robotics Schools"
ACCOUNTS = tuple(f"{first} {second}" for second in _SECOND.split() for first in _FIRST.split())

HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 18, 26, 28, 26, 20, 24, 28, 28, 25, 20, 14, 9, 7, 5, 3, 2)
"""Sessions begun by hour of a working day (UTC); weekends have a quarter, each week 8 % more."""
WEEKEND, WEEKLY_GROWTH = 0.25, 1.08


class Page(NamedTuple):
    path: str
    height: int
    layout: str
    popularity: float
    features: tuple[str, ...]
    friends: tuple[str, ...]


@cache
def pages() -> tuple[Page, ...]:
    """All pages; a feature is named after the last part of its page's path."""
    found = []
    for line in _PAGES.strip().splitlines():
        path, height, layout, popularity, *words = line.split()
        names, friends = zip(*(word.partition(":")[::2] for word in words), strict=True)
        stem = path.rsplit("/", 1)[1] or "home"
        features = tuple(f"{stem}.{name}" for name in names)
        found.append(Page(path, int(height), layout, float(popularity), features, friends))
    return tuple(found)


@cache
def declared_features() -> tuple[str, ...]:
    """Every feature the product has, the bar first; one is never clicked."""
    return BAR + tuple(name for page in pages() for name in page.features)


def heights() -> npt.NDArray[np.int32]:
    """(page, bucket) -> height in px."""
    base = np.array([page.height for page in pages()])
    stretched: npt.NDArray[np.float64] = np.minimum(base[:, None] * np.array(_STRETCH), _MAX_HEIGHT)
    return stretched.astype(np.int32)


def boxes() -> npt.NDArray[np.float32]:
    """(page, bucket, feature of the page) -> x0, x1, y0, y1 in page px; the bar's features come first."""
    found = np.empty((len(pages()), len(BUCKET_WIDTHS), 12, 4), np.float32)
    for p, (page, by_bucket) in enumerate(zip(pages(), heights(), strict=True)):
        for b, (width, height) in enumerate(zip(BUCKET_WIDTHS, by_bucket, strict=True)):
            for k, (left, share) in enumerate(_BAR_BOXES):
                found[p, b, k] = left * width, (left + share) * width, _BAR_TOP, _BAR_TOP + _BAR_HEIGHT
            below = _BAR_TOP + _BAR_HEIGHT + 8
            for k, (left, share, top, tall) in enumerate(_LAYOUTS[page.layout], 6):
                y0 = min(below + top * (height - below), height - tall - 4)
                found[p, b, k] = left * width, (left + share) * width, y0, y0 + tall
    return found


def areas() -> tuple[Area, ...]:
    """What the product declares: every feature's box on its page, by the widths of windows."""
    edges = (None, *BUCKET_EDGES, None)
    names = declared_features()
    return tuple(
        Area(names[feature], x0, x1, y0, y1, page.path, edges[b], edges[b + 1])
        for page, by_bucket, features in zip(pages(), np.rint(boxes()).tolist(), features_of().tolist(), strict=True)
        for b, of_page in enumerate(by_bucket)
        for feature, (x0, x1, y0, y1) in zip(features, of_page, strict=True)
    )


def features_of() -> npt.NDArray[np.int16]:
    """(page, feature of the page) -> index in ``declared_features()``."""
    own = 6 + np.arange(6 * len(pages()), dtype=np.int16).reshape(-1, 6)
    return np.hstack([np.broadcast_to(np.arange(6, dtype=np.int16), own.shape), own])


def weights() -> npt.NDArray[np.float64]:
    """(page, bucket, plan, feature of the page) -> how much it is clicked; one more page: the changed one."""
    own = 1.0 / (1 + np.arange(6)) ** 0.7
    all_pages = [*pages(), next(page for page in pages() if page.path == CHANGED_PAGE)]
    found = np.empty((len(all_pages), len(BUCKET_WIDTHS), len(PLANS), 12))
    found[..., :6] = _BAR_WEIGHTS
    found[..., 6:] = own
    for p, page in enumerate(all_pages):
        for k, friend in enumerate(page.friends, 6):
            if friend in PLANS:
                found[p, :, :, k] *= np.where(np.arange(len(PLANS)) == PLANS.index(friend), 3.0, 0.15)
            elif friend in DEVICES:
                found[p, :, :, k] *= np.where(np.arange(len(BUCKET_WIDTHS)) == 0, 4.0, 0.2)[:, None]
            if page.features[k - 6] == UNUSED_FEATURE:
                found[p, :, :, k] = 0.0
    found[-1, ..., 6:] *= (0.5, 0.5, 0.5, 0.5, 0.5, 12.0)
    return found


def transitions() -> npt.NDArray[np.float64]:
    """(page, next page) -> weight: popular pages, and four times as often the ones a page leads to."""
    index = {page.path: p for p, page in enumerate(pages())}
    popular = np.array([page.popularity for page in pages()])
    found = np.tile(popular / popular.sum(), (len(popular), 1))
    for flow in _FLOWS.replace("\n", ";").split(";"):
        if flow.strip():
            source, _, targets = flow.partition(">")
            row = found[index[source.strip()]]
            row *= 0.25
            row[[index[target] for target in targets.split()]] += 0.75 / len(targets.split())
    np.fill_diagonal(found, found.diagonal() * 0.3)
    return found
