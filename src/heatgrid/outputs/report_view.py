"""The findings on the first screen, and the map view with its controls, as HTML; the script fills what it draws."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heatgrid.engine.findings import TITLES, beside, sentence
from heatgrid.engine.intervals import percent
from heatgrid.outputs.report_parts import text

if TYPE_CHECKING:
    from heatgrid.outputs.report import Content

SHOWN = 5
SCRIPTS = ("sort", "search", "cells", "scale", "view", "links", "reading", "finding", "start")
"""In this order they are one script."""


def script() -> str:
    here = files("heatgrid.outputs") / "templates"
    return '"use strict";\n' + "".join((here / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


def findings_section(content: Content) -> str:
    """At most five cards; without one the sentence that says why."""
    if content.findings is None:
        return ""
    rows = content.findings.slice(0, SHOWN).to_pylist()
    note = (content.findings.schema.metadata or {}).get(b"note", b"").decode()
    cards = "".join(_card(row, content) for row in rows)
    none = f'<p class="plain">{text(note.capitalize())}.</p>' if note else ""
    return (
        '<section id="findings"><h2>Findings</h2><p class="n">None from fewer than 30 units; 95 % intervals; the bar '
        f'allows for all that was looked at.</p><div class="findings">{cards}{none}</div></section>'
    )


def _card(row: dict[str, Any], content: Content) -> str:
    page = row["page"] or content.places.get(row["feature"] or "") or ""
    layer = row["rule"] if row["rule"] in content.drawn else "clicks"
    share = f"{row['k']:,} of {row['n']:,} {row['unit']}"
    between = f"{percent(row['rate'])}, {percent(row['low'])} to {percent(row['high'])}"
    low = '<span class="low">low</span>' if row["small"] else ""
    crop, link = "", ""
    if page and content.maps_in_all:
        label = text(f"part of the map of {page}")
        crop = (
            f'<canvas width="480" height="200" hidden role="img" aria-label="{label}"></canvas><p class="n crop-n"></p>'
        )
        link = '<a href="#view">its map</a>'
    return (
        f'<article class="finding" data-kind="{row["kind"]}" data-page="{text(page)}" data-layer="{text(layer)}" '
        f'data-feature="{text(row["feature"] or "")}" data-text="{text(sentence(row))}">'
        f"<h3>{TITLES[row['kind']]}</h3><p>{text(row['text'])}</p>"
        f'<p><b>{share}</b> <span class="muted">({between})</span>{low}</p>'
        f'<p class="n">compared with: {text(beside(row))}</p>'
        f'{crop}<p class="does">{link}<button class="copy">Copy text</button><button class="png">Copy picture</button>'
        '<span role="status"></span></p></article>'
    )


def view_section(content: Content) -> str:
    """Controls, the map with what lies over it, and in words what is seen."""
    if not content.data:
        return '<section id="maps"><h2>Maps</h2><p class="n">No map: no row of a mapped kind has a point.</p></section>'

    def select(name: str, label: str, values: str = "") -> str:
        return f'<label>{label} <select id="view-{name}">{values}</select></label>'

    def slider(name: str, label: str, most: float, step: float, value: float) -> str:
        return (
            f'<label>{label} <input type="range" id="view-{name}" min="0" max="{most:g}" step="{step:g}" '
            f'value="{value:g}"></label>'
        )

    def tick(name: str, label: str, on: bool) -> str:
        return f'<label><input type="checkbox" id="view-{name}"{" checked" if on else ""}> {label}</label>'

    scales = "".join(
        f'<option value="{name}"{" selected" if name == content.scale else ""}>{label}</option>'
        for name, label in (("log", "log scale"), ("linear", "linear scale"), ("eq", "equalised"))
    )
    controls = (
        '<label>find a page <input type="search" id="view-search" size="12"></label>'
        '<span id="view-found" role="status"></span>'
        + select("page", "page") + select("kind", "map of") + select("width", "width") + '<span id="view-parts"></span>'
        + select("scale", "scale", scales) + tick("fixed", "same scale on all pages", False)
        + slider("opacity", "opacity", 1, 0.05, 0.8 if content.screened else 1)
        + slider("smooth", "smoothing", 60, 2, 0) + tick("areas", "areas", False) + tick("strip", "scroll", True)
    )  # fmt: skip
    files = "".join(f'<li><a href="{text(card.file)}">{text(card.file)}</a></li>' for card in content.maps)
    more = f"; {content.left:,} more can be drawn with heatgrid map" if content.left else ""
    return (
        f'<section id="view"><h2>Maps</h2><p class="n">{content.maps_in_all:,} maps{more}. Numbers on areas are clicks '
        f'of the page at all widths.</p><div id="view-controls" class="tools">{controls}</div>'
        '<h3 id="map-title"></h3><p class="n" id="map-n" role="status"></p>'
        '<div class="map-row"><div id="map-box"><img id="map-shot" alt="" hidden>'
        '<canvas id="map" tabindex="0" role="img"></canvas><svg id="map-areas" preserveAspectRatio="none"></svg>'
        '<i id="map-cursor" hidden></i></div><canvas id="map-strip" role="img" hidden></canvas></div>'
        '<div class="map-key"><div class="ramp"></div><div id="map-ticks"></div><p class="n" id="map-unit"></p></div>'
        '<p id="map-cell" role="status"></p>'
        '<div id="map-links" role="status" hidden><h3>Recordings</h3><p class="n" id="map-links-n"></p><ul></ul></div>'
        '<div id="map-used" hidden><h3>Features of this page</h3><p class="n" id="map-used-n"></p><div class="scroll" '
        'tabindex="0" role="region" aria-label="features of this page"><table id="map-features"><thead><tr>'
        '<th scope="col">feature</th><th scope="col">clicks</th><th scope="col">of the clicks</th></tr></thead>'
        "<tbody></tbody></table></div></div>"
        f"<details><summary>The busiest as pictures ({len(content.maps)})</summary><ul>{files}</ul></details></section>"
        f'<script type="application/json" id="data">{content.data[0]}</script>'
        f'<script type="application/octet-stream" id="cells">{content.data[1]}</script>'
    )
