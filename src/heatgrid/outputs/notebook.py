"""What a notebook shows of a result: plain HTML without script, every name as text."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from heatgrid.engine.findings import sentence
from heatgrid.outputs.drawing import encode
from heatgrid.outputs.pictures import map_image, map_subtitle, map_title
from heatgrid.outputs.report_page import health
from heatgrid.outputs.report_parts import one, text

if TYPE_CHECKING:
    from heatgrid.outputs.report import Result

SHOWN = 5


def heat_html(heat: Result) -> str:
    """Counts, ledger, at most five findings (or why there is none), and the busiest map with its n."""
    from heatgrid.outputs.report import busiest

    about: dict[str, Any] = heat.summary
    counts = [(about.get(name), name) for name in ("sessions", "users", "views", "events", "pages", "features")]
    told = ", ".join(f"<b>{n:,}</b> {one(n, name)}" for n, name in counts if n)
    span = f"{text(about['first'])} to {text(about['last'])} UTC" if about.get("first") else ""
    found = heat.findings
    note = (found.schema.metadata or {}).get(b"note", b"").decode()
    items = [sentence(row) for row in found.slice(0, SHOWN).to_pylist()] or [note]
    lines = "".join(f"<li>{text(item)}</li>" for item in items if item)
    layers = heat.layers()
    rows, _ = busiest(layers, 1) if layers.num_rows else ([], 0)
    picture = "".join(_map(heat, row) for row in rows)
    return (
        f"<div><p>{told or 'no events'}<br>{span}</p><p>{text(health(heat.ledger))}</p><ul>{lines}</ul>{picture}"
        "<p>.report(folder) writes all of it; .map(), .features, .matrix() are its parts</p></div>"
    )


def _map(heat: Result, row: dict[str, Any]) -> str:
    grid = heat.map(row["layer"], page=row["page"], bucket=row["bucket"], fixed=row["fixed"])
    data = base64.b64encode(encode(map_image(grid, ledger=heat.ledger, max_height=700))).decode("ascii")
    about = text(f"Heatmap: {map_title(grid.meta)}; {map_subtitle(grid)}")
    return f'<img alt="{about}" src="data:image/png;base64,{data}">'
