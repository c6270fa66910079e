"""The feature table of the report: what was in the window, what was clicked, with intervals; the underused marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heatgrid.engine.intervals import percent
from heatgrid.outputs.matrix_pictures import SMALL
from heatgrid.outputs.report_parts import BARS, LOW, MOST_LINES, name_cell, one, text
from heatgrid.outputs.text import duration

if TYPE_CHECKING:
    import pyarrow as pa

# (head, column, kind, what it is); of a rate: hits, of how many, and of how many sessions
_FIELDS = (
    ("seen in", "exposed_sessions", "bar", "sessions that had it in the window"),
    ("in the window", "exposure_ms", "time", "how long, in all"),
    ("clicks", "clicks", "bar", "clicks in views of this page"),
    ("clicked when seen", "ctr", ("views_clicked", "exposed_views", "exposed_units"), "views clicked / views seen"),
    ("of the page's sessions", "click_rate_session", ("sessions_clicked", "page_sessions", "page_sessions"),
     "sessions that clicked / sessions of the page"),
    ("first click", "first_click_ms", "median", "median, after the page was opened"),
    ("hesitation", "hesitation_ms", "median", "median, from the pointer's last arrival to the first click"),
    ("pointer on it", "hover_ms", "time", "how long, in all"),
    ("rage", "rage", "count", "flagged clicks"), ("dead", "dead", "count", "flagged clicks"),
    ("error", "error", "count", "flagged clicks"),
    ("goal, clicked", "goal_rate", ("goal_sessions", "sessions_clicked", "sessions_clicked"),
     "sessions that clicked and reached the goal later: an association, not an effect"),
    ("goal, only seen", "unclicked_goal_rate", ("unclicked_goal_sessions", "unclicked_sessions", "unclicked_sessions"),
     "sessions that saw it, did not click, and reached the goal later"),
)  # fmt: skip


def exposure_section(rows: pa.Table) -> str:
    """Rows by exposed views; a table to sort and filter, small numbers as k/n."""
    data = rows.slice(0, MOST_LINES).to_pylist()
    fields = [f for f in _FIELDS if f[1] in rows.column_names and rows[f[1]].null_count < rows.num_rows]
    most = {f[1]: max([row[f[1]] or 0 for row in data] + [0]) for f in fields}
    heads = "".join(
        f'<th scope="col"><button title="{text(about)}">{text(label)}</button></th>' for label, _, _, about in fields
    )
    lines = []
    for row in data:
        cells = "".join(_cell(row, column, kind, most[column]) for _, column, kind, _ in fields)
        few = ' class="small"' if row["exposed_sessions"] < SMALL else ""
        mark = '<span class="low" title="seen by many, clicked by few">underused</span>' if row["underused"] else ""
        page = f"<td>{text(row['page'], 40)}{mark}</td>"
        lines.append(f"<tr{few}>{name_cell(str(row['feature']), 44)}{page}{cells}</tr>")
    more = rows.num_rows - len(data)
    left = f"<span>{more:,} more rows are in exposure.csv</span>" if more else ""
    told = "goals are an association: who clicks may want it anyway" if "goal_rate" in rows.column_names else ""
    size = f"{rows.num_rows:,} {one(rows.num_rows, 'rows')}"
    return (
        f'<section id="exposure"><h2>Seen and used</h2><p class="n">{size} · 95 % intervals in brackets</p>'
        '<div class="tools"><input type="search" data-table="exposure-table" placeholder="find a feature" '
        f'aria-label="find a feature"><span id="exposure-table-count" role="status">{len(data)} of {len(data)} rows'
        f"</span><span>grey: seen in fewer than {SMALL} sessions</span><span>{told}</span>{left}</div>"
        '<div class="scroll" tabindex="0" role="region" aria-label="table of features seen">'
        '<table class="list" id="exposure-table"><thead><tr><th scope="col"><button>feature</button></th>'
        f'<th scope="col"><button>page</button></th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        "</section>"
    )


def _cell(row: dict[str, Any], column: str, kind: Any, most: int) -> str:
    value = row[column]
    if isinstance(kind, tuple):
        hits, of, units = (row[name] for name in kind)
        if value is None:
            return f'<td data-v="-1">{hits:,}/{of:,}</td>' if of else "<td>–</td>"
        low, high = (100 * row[f"{column}_{end}"] for end in ("low", "high"))
        mark = f'<span class="low" title="{units} units">low</span>' if units < LOW else ""
        return (
            f'<td data-v="{value:.6f}" title="{hits:,} of {of:,}">{percent(value)} '
            f'<span class="muted">({low:.1f}–{high:.1f})</span>{mark}</td>'
        )
    if value is None:
        return "<td>–</td>"
    if kind == "median":
        if row["views_clicked"] < SMALL:
            return f'<td class="muted" title="{row["views_clicked"]} views: fewer than {SMALL}">–</td>'
        return f'<td data-v="{value}">{text(duration(value))}</td>'
    shown = duration(value) if kind == "time" else f"{value:,}"
    length = round(BARS * value / most) if most and kind != "count" else 0
    bar = f' class="bar b{length}"' if length else ""
    return f'<td data-v="{value}"{bar} title="{value:,}">{text(shown)}</td>'
