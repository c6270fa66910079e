"""Pieces of the report's page as HTML: every name escaped, every size a class, so that no inline style is needed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from heatgrid.engine.intervals import percent, wilson
from heatgrid.outputs.colors import luminance, table
from heatgrid.outputs.matrix import Matrix
from heatgrid.outputs.matrix_pictures import SMALL, cell_text, matrix_subtitle, matrix_title, shades_of, shares
from heatgrid.outputs.pictures import FIRST, map_subtitle, map_title
from heatgrid.outputs.text import compact, duration, short, visible

if TYPE_CHECKING:
    import pyarrow as pa

    from heatgrid.outputs.report import MapCard

LOW = 100
"""From 30 to 99 units a share is shown, and marked low."""
LEVELS = 24
BARS = 40
MOST_ROWS, MOST_COLUMNS, MOST_LINES = 200, 60, 2000
MOST_SCROLLED = 20


def text(value: object, width: int = 0) -> str:
    """A foreign name as inert HTML text; with ``width`` its middle may be left out."""
    return escape(short(str(value), width) if width else visible(str(value)), quote=True)


def one(count: int, name: str) -> str:
    """``page`` for one, ``pages`` for any other number."""
    return name.removesuffix("s") if count == 1 else name


def name_cell(name: str, width: int = 60) -> str:
    """The head of a row; the whole name (up to 500 characters) in its title."""
    return f'<th scope="row" title="{text(name, 500)}">{text(name, width)}</th>'


def level_styles(cmap: str) -> str:
    """Colours of the matrix for light and dark pages, and the lengths of bars."""
    rules = {"light": [], "dark": []}  # type: dict[str, list[str]]
    for theme, lines in rules.items():
        shades = shades_of(cmap, theme)
        for level in range(LEVELS):
            red, green, blue = shades[level * 255 // (LEVELS - 1)].tolist()
            ink = "#fff" if luminance((red, green, blue)) < 0.19 else "#14141a"
            lines.append(f".h{level}{{background:#{red:02x}{green:02x}{blue:02x};color:{ink}}}")
    bars = [f".b{i}{{background-size:{80 * i / BARS:g}% 3px}}" for i in range(1, BARS + 1)]
    stops = ",".join("#{:02x}{:02x}{:02x}".format(*entry) for entry in table(cmap)[FIRST::15].tolist())
    bars.append(f".ramp{{background:linear-gradient(90deg,{stops})}}")
    return "\n".join([*rules["light"], "@media (prefers-color-scheme:dark){", *rules["dark"], "}", *bars])


def matrix_section(matrix: Matrix, number: int) -> str:
    """The matrix as a table of coloured cells, with totals where they are known."""
    part = shares(matrix)
    rows, columns = matrix.rows[:MOST_ROWS], matrix.columns[:MOST_COLUMNS]
    tall = any(len(name) > 7 for name in columns) and len(columns) > 6
    wrap = '<span class="tall">{}</span>' if tall else "{}"
    heads = "".join(_period_head(matrix, c, wrap) for c in columns)
    total_head = '<th scope="col" class="sum">total</th>' if matrix.row_totals is not None else ""
    lines = []
    for r, name in enumerate(rows):
        cells = "".join(_matrix_cell(matrix, r, c, float(part[r, c])) for c in range(len(columns)))
        total = ""
        if matrix.row_totals is not None:
            total = f'<td class="sum">{text(cell_text(matrix, int(matrix.row_totals[r])))}</td>'
        lines.append(f"<tr>{name_cell(name, 44)}{cells}{total}</tr>")
    foot = ""
    if matrix.column_totals is not None:
        sums = "".join(f"<td>{text(cell_text(matrix, int(v)))}</td>" for v in matrix.column_totals[: len(columns)])
        last = "<td></td>" if total_head else ""
        foot = f'<tfoot><tr><th scope="row">total</th>{sums}{last}</tr></tfoot>'
    head = f'<thead><tr><th scope="col">{text(matrix.row_name)}</th>{heads}{total_head}</tr></thead>'
    label = f"{matrix_title(matrix)}, n and unit above"
    return (
        f'<section id="matrix{number or ""}"><h2>{text(matrix_title(matrix).capitalize())}</h2>'
        f'<p class="n">{text(matrix_subtitle(matrix))}</p><div class="tools">{_matrix_key(matrix, part)}</div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}">'
        f'<table class="matrix">{head}<tbody>{"".join(lines)}</tbody>{foot}</table></div></section>'
    )


def _period_head(matrix: Matrix, column: str, wrap: str) -> str:
    """The head of a column; the releases in its period are marked, and named for those who cannot point."""
    released = [name for period, name in matrix.marks if period == column]
    if not released:
        return f'<th scope="col" title="{text(column, 500)}">{wrap.format(text(column, 22))}</th>'
    names = ", ".join(released)
    told = text(f"{column}; released in it: {names}", 500)
    mark = f'<span class="mark">\u25bc {text(names, 14)}</span>'
    return f'<th scope="col" class="released" title="{told}">{mark}{wrap.format(text(column, 22))}</th>'


def _matrix_cell(matrix: Matrix, r: int, c: int, part: float) -> str:
    value = int(matrix.values[r, c])
    kind = "zero" if value == 0 else "few" if part < 0 else f"h{round(part * (LEVELS - 1))}"
    exact = duration(value) if matrix.unit == "ms" else f"{value:,} {matrix.unit}"
    return f'<td class="{kind}" title="{text(exact)}">{cell_text(matrix, value)}</td>'


def _matrix_key(matrix: Matrix, part: Any) -> str:
    top = cell_text(matrix, int(matrix.values.max(initial=0)))
    steps = "".join(f'<i class="h{level}"></i>' for level in (0, 5, 10, 15, 19, 23))
    out = [f'<span class="key">0 {steps} {text(top)} (log scale)</span>']
    if (part < 0).any():
        out.append(f'<span class="key"><i class="few"></i>fewer than {SMALL} sessions</span>')
    if matrix.value in ("sessions", "users") and matrix.column_name != "step":
        out.append(f"<span>distinct {matrix.value}: cells need not add up to totals</span>")
    for label, names, most in (("rows", matrix.rows, MOST_ROWS), ("columns", matrix.columns, MOST_COLUMNS)):
        if len(names) > most:
            out.append(f"<span>{len(names) - most:,} more {label} are in the CSV file</span>")
    return "".join(out)


def map_figure(card: MapCard) -> str:
    """One map with its n and its legend as text, the picture inline."""
    title, subtitle = map_title(card.grid.meta), map_subtitle(card.grid)
    x0, x1, y0, y1 = card.plot.extent
    size = f"{x1 - x0:,.0f} x {y1 - y0:,.0f} px"
    told = [note for note in card.plot.notes if not note.startswith("drawn in blocks")]  # the legend names the block
    notes = "".join(f'<p class="n">{text(note)}</p>' for note in told)
    wide = ' class="wide"' if card.wide else ""
    alt = text(f"Heatmap: {title}; {subtitle}")
    return (
        f'<figure><figcaption><h3>{text(title)}</h3><p class="n">{text(subtitle)} · {size}</p>{notes}'
        f"{_legend(card)}</figcaption>"
        f'<div class="frame" tabindex="0" role="region" aria-label="{text(f"map of {title}")}">'
        f'<a href="{text(card.file)}"><img{wide} loading="lazy" alt="{alt}" '
        f'src="data:image/png;base64,{card.png}"></a></div></figure>'
    )


def _legend(card: MapCard) -> str:
    scale = {"log": "log scale", "linear": "linear scale", "eq": "equalised"}[card.plot.scale]
    ticks = "".join(
        f'<text x="{2 + 94 * at:.1f}%" y="21" text-anchor="{"end" if at > 0.93 else "middle"}">{text(label)}</text>'
        for at, label in card.plot.ticks
    )
    return (
        f'<svg class="legend" role="img" aria-label="colour scale: {text(card.plot.unit)}, {scale}">'
        f'<rect x="2%" width="94%" height="8" rx="2" fill="url(#ramp)"/>{ticks}'
        f'<text x="2%" y="36">{text(card.plot.unit)}, {scale}</text></svg>'
    )


def ramp_definition(cmap: str) -> str:
    """The colours of the maps as a gradient that every legend refers to."""
    colors = table(cmap)
    stops = []
    for i in range(13):
        red, green, blue = colors[FIRST + i * (255 - FIRST) // 12].tolist()
        stops.append(f'<stop offset="{i / 12:.3f}" stop-color="#{red:02x}{green:02x}{blue:02x}"/>')
    ramp = f'<linearGradient id="ramp">{"".join(stops)}</linearGradient>'
    return f'<svg width="0" height="0" aria-hidden="true"><defs>{ramp}</defs></svg>'


def share_text(k: int | None, n: int | None) -> tuple[str, float]:
    """k of n as METRICS has it: below 30 units k/n alone, to 99 marked low, else a share; and its sort key."""
    if k is None or not n:
        return "–", -1.0
    if n < SMALL:
        return f"{k:,}/{n:,}", k / n
    low = f'<span class="low" title="{n} units">low</span>' if n < LOW else ""
    return percent(k / n) + low, k / n


def percentile_text(ms: int | None, visits: int | None, open_visits: int | None) -> str:
    """A percentile of closed visits: left out below 30 of them, marked where few or where many never ended."""
    closed = (visits or 0) - (open_visits or 0)
    if ms is None or closed < SMALL:
        return f'<span class="muted" title="{closed} closed visits: fewer than {SMALL}">–</span>'
    marks = []
    if closed < LOW:
        marks.append(f'<span class="low" title="{closed} closed visits">low</span>')
    if open_visits and visits and open_visits > 0.3 * visits:
        marks.append('<span class="low" title="more than 30 % of the visits ended with their session">weak</span>')
    return text(duration(ms)) + "".join(marks)


def usage_section(rows: pa.Table, thing: str, n: int | None, time_name: str) -> str:
    """Features or pages as a table to sort and filter: bars in the cells, small numbers marked."""
    data = rows.slice(0, MOST_LINES).to_pylist()
    fields = [f for f in _fields(thing, time_name) if _there(f[1], rows)]
    most = {f[1]: max([row.get(f[1]) or 0 for row in data] + [0]) for f in fields}
    heads = "".join(
        f'<th scope="col"{" aria-sort=descending" if i == 0 and key == "dwell_ms" else ""}>'
        f'<button title="{text(about)}">{text(label)}</button></th>'
        for i, (label, key, kind, about) in enumerate(fields)
    )
    lines = []
    for row in data:
        cells = "".join(_usage_cell(row, key, kind, most[key], n) for _, key, kind, _ in fields)
        sessions = row.get("sessions")
        few = ' class="small"' if isinstance(sessions, int) and sessions < SMALL else ""
        lines.append(f"<tr{few}>{name_cell(str(row[thing]))}{cells}</tr>")
    more = rows.num_rows - len(data)
    left = f"<span>{more:,} more rows are in {thing}s.csv</span>" if more else ""
    of_n = (
        "sessions are not counted here"
        if n is None
        else f"n = {n:,} sessions" + (" (fewer than 30)" if n < SMALL else "")
    )
    table_id, size = f"{thing}-table", f"{rows.num_rows:,} {one(rows.num_rows, 'rows')}"
    return (
        f'<section id="{thing}s"><h2>{thing.capitalize()}s</h2><p class="n">{text(of_n)} · {size}</p>'
        f'<div class="tools"><input type="search" data-table="{table_id}" placeholder="find a {thing}" '
        f'aria-label="find a {thing}"><span id="{table_id}-count" role="status">{len(data)} of {len(data)} rows</span>'
        f"<span>grey: fewer than {SMALL} sessions</span>{left}</div>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="table of {thing}s">'
        f'<table class="list" id="{table_id}">'
        f'<thead><tr><th scope="col"><button>{thing}</button></th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody>'
        "</table></div></section>"
    )


def funnel_section(rows: pa.Table, n: int | None) -> str:
    """The steps with bars, the times between them, and where those went who left."""
    data = rows.to_pylist()
    first = data[0]["sessions"] or 0
    lines = []
    for row in data:
        value = row["sessions"]
        shown, _ = share_text(value, first)
        length = round(BARS * value / first) if value and first else 0
        few = ' class="small"' if value is None or value < SMALL else ""
        took = "–" if row["p50_ms"] is None or (value or 0) < SMALL else text(duration(row["p50_ms"]))
        next_page, feature = (
            "–" if row[name] is None else f"{text(row[name], 40)} ({row[many]:,})"
            for name, many in (("next_page", "next_sessions"), ("last_feature", "last_sessions"))
        )
        count, left = ("–" if v is None else f"{v:,}" for v in (value, row["left"]))
        lines.append(
            f'<tr{few}>{name_cell(row["name"])}<td class="bar b{length}">{count}</td>'
            f"<td>{shown}</td><td>{took}</td><td>{left}</td>"
            f"<td>{next_page}</td><td>{feature}</td></tr>"
        )
    heads = ("sessions", "of the first step", "median since the step before", "left here", "most went to", "last click")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    of_n = "" if n is None else f"n = {n:,} sessions"
    return (
        f'<section id="funnel"><h2>Funnel</h2><p class="n">{of_n}</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="funnel"><table>'
        f'<thead><tr><th scope="col">step</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        "</section>"
    )


def scroll_section(rows: pa.Table, pictures: list[tuple[str, str, str]]) -> str:
    """Pages and widths by views, and the curves of the first few."""
    lines = []
    data = rows.to_pylist()
    most = max(row["views"] for row in data)
    for row in data[:MOST_SCROLLED]:
        few = ' class="small"' if row["sessions"] < SMALL else ""
        px = [row[name] for name in ("page_h", "reach_p50", "reach_p90", "fold_p50")]
        cells = "".join(f"<td>{'–' if v is None else f'{v:,}'}</td>" for v in px)
        below, _ = share_text(row["below"], row["clicks"])
        reach = "–" if row["reach_share"] is None else f"{100 * row['reach_share']:.0f} %"
        grown = f"{row['growing']:,}" if row["growing"] else "–"
        lines.append(
            f"<tr{few}>{name_cell(row['page'])}<td>{text(row['bucket'])}</td>"
            f'<td class="bar b{round(BARS * row["views"] / most) if most else 0}">{row["views"]:,}</td>{cells}'
            f"<td>{reach}</td><td>{row['clicks']:,}</td><td>{below}</td><td>{grown}</td></tr>"
        )
    names = ("width", "views", "height", "median reach", "p90 reach", "fold", "reach of height", "clicks",
             "below the fold", "grew")  # fmt: skip
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    figures = "".join(
        f'<figure><figcaption><p class="n">{text(told)}</p></figcaption><div class="frame" tabindex="0" role="region" '
        f'aria-label="{text(told)}"><a href="{text(file)}"><img class="wide" loading="lazy" alt="{text(told)}" '
        f'src="data:image/png;base64,{png}"></a></div></figure>'
        for told, file, png in pictures
    )
    more = len(data) - MOST_SCROLLED
    left = f" · {more:,} more rows are in scroll.csv" if more > 0 else ""
    return (
        f'<section id="scrolls"><h2>Scroll and attention</h2><p class="n">px of the page{left}</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="table of scroll"><table>'
        f'<thead><tr><th scope="col">page</th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        f'<div class="maps">{figures}</div></section>'
    )


def _fields(thing: str, time_name: str) -> list[tuple[str, str, str, str]]:
    """(label, column, kind of cell, what it is) in the order shown."""
    views = [("views", "views", "bar", "page views")] if thing == "page" else []
    return [
        (time_name, "dwell_ms", "time", "total time, an idle step counted as 30 s at most"),
        *views,
        ("sessions", "sessions", "bar", "distinct sessions"),
        ("of sessions", "sessions", "share", "sessions with it / all sessions, and Wilson's interval"),
        ("users", "users", "bar", "distinct users"),
        ("clicks", "clicks", "bar", "click events"),
        ("events", "events", "bar", "all events"),
        ("per session", "dwell_ms", "each", "time / sessions"),
        ("visits", "visits", "count", "runs of events on it within a view"),
        ("median visit", "p50_ms", "percentile", "median time of a closed visit"),
        ("p90", "p90_ms", "percentile", "nine of ten closed visits are at most this long"),
    ]


def _there(name: str, rows: pa.Table) -> bool:
    """Whether a column says anything: not all of it null, nor a product's clicks all 0."""
    return name in rows.column_names and any(rows[name].to_pylist())


def _usage_cell(row: dict[str, Any], key: str, kind: str, most: int, n: int | None) -> str:
    value = row.get(key)
    if value is None:
        return "<td>–</td>"
    if kind == "share":
        shown, order = share_text(value, n)
        between = ""
        if n and n >= SMALL:
            least, most_of = wilson(value / n, n)
            between = f' <span class="muted">({100 * least:.1f}–{100 * most_of:.1f})</span>'
        return f'<td data-v="{order:.6f}" title="{value:,} of {n or 0:,}">{shown}{between}</td>'
    if kind == "each":
        sessions = row.get("sessions") or 0
        if sessions < SMALL:
            return f'<td title="{sessions} sessions: fewer than {SMALL}">–</td>'
        return f'<td data-v="{value / sessions:.3f}">{text(duration(value / sessions))}</td>'
    if kind == "percentile":
        return f'<td data-v="{value}">{percentile_text(value, row.get("visits"), row.get("open_visits"))}</td>'
    shown = duration(value) if kind == "time" else f"{value:,}" if value < 10**7 else compact(value)
    length = round(BARS * value / most) if most and kind != "count" else 0
    bar = f' class="bar b{length}"' if length else ' class="bar"' if kind != "count" else ""
    return f'<td data-v="{value}"{bar} title="{value:,}">{text(shown)}</td>'
