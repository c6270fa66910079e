// Under the pointer, or under the cursor of the arrow keys: a cell's count, and the feature it lies in.
let cursor = null;
function boxesOf({ choice, width }) {
  if (choice.fixed) return []; // boxes are of the page
  const at = [300, 800, 1200, width || 1600][choice.bucket] ?? 1440;
  return data.boxes.filter((b) => (b[0] === choice.page || b[0] < 0) && (b[6] == null || at >= b[6]) && (b[7] == null || at < b[7]));
}
function featureAt(x, y) {
  const held = boxesOf(drawn).filter((b) => b[2] <= x && x < b[3] && b[4] <= y && y < b[5]);
  held.sort((a, b) => (a[3] - a[2]) * (a[5] - a[4]) - (b[3] - b[2]) * (b[5] - b[4]));
  return held.length ? data.features[held[0][1]] : null;
}
function read(cell) {
  cursor = cell;
  const mark = $("map-cursor");
  mark.hidden = !cell;
  if (!cell || !drawn) { $("map-cell").textContent = `point at the map, or use the arrow keys on it, to read its cells${data.links.length ? "; click or press Enter for recordings of sessions that clicked there" : ""}`; return; }
  const [bx, by] = cell, { pw, ph, bw, bh } = drawn;
  Object.assign(mark.style, { left: `${(100 * bx) / bw}%`, top: `${(100 * by) / bh}%`, width: `${100 / bw}%`, height: `${100 / bh}%` });
  const x = drawn.x0 + bx * pw, y = drawn.y0 + by * ph, name = featureAt(x + pw / 2, y + ph / 2);
  $("map-cell").textContent = bound(`x ${x} to ${x + pw}, y ${y} to ${y + ph} px: ${comma(drawn.values[by * bw + bx])} ${unit(drawn.choice)}${name ? ` · ${name}` : ""}${recordings(cell).length ? ` · ${recordings(cell).length} of its recordings: click or Enter` : ""}`);
}
canvas.addEventListener("pointermove", (event) => {
  const box = canvas.getBoundingClientRect();
  const at = (part, size) => Math.max(0, Math.min(size - 1, Math.floor(part * size)));
  read([at((event.clientX - box.left) / box.width, drawn.bw), at((event.clientY - box.top) / box.height, drawn.bh)]);
});
canvas.addEventListener("click", () => { if (cursor) show(cursor); });
canvas.addEventListener("pointerleave", () => read(null));
canvas.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && cursor) { show(cursor); return; }
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step || !drawn) return;
  event.preventDefault();
  const far = event.shiftKey ? 10 : 1, from = cursor || [Math.floor(drawn.bw / 2), 0];
  const to = (i, size) => Math.max(0, Math.min(size - 1, from[i] + far * step[i]));
  read([to(0, drawn.bw), to(1, drawn.bh)]);
});
const SVG = $("map-areas")?.namespaceURI;
function areas(grid) {
  const layer = $("map-areas");
  layer.replaceChildren();
  layer.setAttribute("viewBox", `${grid.x0} ${grid.y0} ${grid.bw * grid.pw} ${grid.bh * grid.ph}`);
  if (!$("view-areas").checked) return;
  const clicks = new Map(data.clicks.filter((row) => row[0] === grid.choice.page).map((row) => [row[1], row[2]]));
  for (const [, feature, x0, x1, y0, y1] of boxesOf(grid)) {
    const rect = document.createElementNS(SVG, "rect"), label = document.createElementNS(SVG, "text"), title = document.createElementNS(SVG, "title");
    for (const [name, value] of [["x", x0], ["y", y0], ["width", x1 - x0], ["height", y1 - y0]]) rect.setAttribute(name, value);
    label.setAttribute("x", x0 + 6); label.setAttribute("y", y0 + 22);
    label.textContent = comma(clicks.get(feature) || 0);
    title.textContent = `${data.features[feature]}: ${comma(clicks.get(feature) || 0)} clicks at all widths`;
    rect.append(title);
    layer.append(rect, label);
  }
}
function used(page) { // the features of the page by their clicks, at all widths
  const rows = data.clicks.filter((row) => row[0] === page && row[2]).sort((a, b) => b[2] - a[2]);
  const all = rows.reduce((sum, row) => sum + row[2], 0), body = $("map-features").tBodies[0];
  $("map-used").hidden = !rows.length;
  $("map-used-n").textContent = `n = ${comma(all)} clicks of ${comma(rows.length)} features at all widths` + (rows.length > MOST_USED ? `; the first ${MOST_USED}` : "");
  body.replaceChildren(...rows.slice(0, MOST_USED).map(([, feature, clicks]) => {
    const row = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row"; head.textContent = head.title = data.features[feature];
    row.append(head, ...[comma(clicks), all < 30 ? `${clicks}/${all}` : bound(percent(clicks / all))].map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
}
const MOST_USED = 15;
const percent = (share) => share === 1 ? "100 %" : share < 0.001 ? "below 0.1 %" : share > 0.999 ? "above 99.9 %" : `${(100 * share).toFixed(1)} %`;
function strip(grid) { // reach as a line, attention as shade, at the page's own scale
  const side = $("map-strip"), curve = grid.curve, shown = $("view-strip").checked && curve && curve.views;
  side.hidden = !shown;
  if (!shown) return;
  const high = Math.max(1, Math.ceil((grid.bh * grid.ph) / data.band)), wide = 60, pen = side.getContext("2d");
  side.width = wide; side.height = high;
  const most = curve.attention.reduce((a, b) => Math.max(a, b), 1);
  for (let y = 0; y < high; y++) {
    const at = 3 * level((curve.attention[y] || 0) / most);
    pen.fillStyle = `rgb(${colors[at]},${colors[at + 1]},${colors[at + 2]})`;
    pen.fillRect(0, y, wide, 1);
    pen.fillStyle = "#fff";
    pen.fillRect(Math.round(((wide - 2) * (curve.reach[y] || 0)) / curve.views), y, 2, 1);
  }
  side.setAttribute("aria-label", `attention (shade) and reach (white line, 0 to 100 % of ${comma(curve.views)} views); fold at ${curve.fold ?? "?"} px`);
}
