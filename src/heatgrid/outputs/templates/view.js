// The map view: what its controls say is drawn, and said in words below.
const $ = (id) => document.getElementById(id);
const canvas = $("map"), controls = $("view-controls"); // absent where there is no map
const KINDS = new Map(); // what the list of kinds offers: name to [layer, whether sessions, whether on fixed targets]
const nameOf = (layer) => layer.replaceAll("_", " ");
for (const fixed of [0, 1])
  for (const map of data.maps) {
    const layer = data.layers[map[LAYER]];
    if (map[PARTS].length || map[FIXED] !== fixed) continue;
    KINDS.set(nameOf(layer) + (fixed ? ", fixed targets" : ""), [layer, false, fixed]);
    if (map[COUNTED] && layer === "clicks" && !fixed) KINDS.set("distinct sessions", [layer, true, 0]);
  }
if (data.curves.some((curve) => curve[7])) KINDS.set("attention", ["attention", false, 0]);
let drawn = null; // what the canvas shows

function options(select, names, first, label = (name) => name) {
  select.replaceChildren(...[...(first ? [first] : []), ...names].map((name) => new Option(label(name), name)));
}
function chosenParts() {
  return [...controls.querySelectorAll("select[data-part]")].filter((s) => s.selectedIndex > 0).map((s) => [s.dataset.part, s.value]);
}
function mapsOf(layer, page, bucket, fixed) {
  const wanted = chosenParts();
  return data.maps.filter((m) => data.layers[m[LAYER]] === layer && m[PAGE] === page && m[BUCKET] === bucket && m[FIXED] === fixed &&
    (wanted.length ? m[PARTS].length && wanted.every(([name, value]) => m[PARTS].some(([n, v]) => n === name && data.parts[v] === value)) : !m[PARTS].length));
}
function curveOf(page, bucket) {
  const row = data.curves.find((c) => c[0] === page && c[1] === bucket);
  if (!row) return null;
  const [reach, next] = numbers(row[5], row[6]);
  return { views: row[2], height: row[3], fold: row[4], reach, attention: numbers(next, row[7])[0] };
}
function state() {
  const [layer, sessions, fixed] = KINDS.get($("view-kind").value) || ["clicks", false, 0];
  return { layer, sessions, fixed, page: data.pages.indexOf($("view-page").value), bucket: data.buckets.indexOf($("view-width").value) };
}
function dense({ layer, sessions, page, bucket, fixed = 0 }) {
  const [nx, cw, ch, x0, y0] = data.grid, maps = mapsOf(layer, page, bucket, fixed);
  // fixed targets lie in the window: there is no page below them
  const shot = fixed ? undefined : data.shots.find((s) => s[0] === page && s[1] === bucket);
  const lists = maps.map((m) => cellsOf(m, sessions));
  const curve = fixed ? null : curveOf(page, bucket);
  let wide = 0, high = 0, width = 0;
  for (const m of maps) width = Math.max(width, m[WIDTH]);
  for (const { at } of lists) for (const i of at) { wide = Math.max(wide, (i % nx) + 1); high = Math.max(high, Math.floor(i / nx) + 1); }
  if (layer === "attention" && curve) { wide = Math.ceil((shot ? shot[2] : 1440) / cw); high = Math.ceil((curve.attention.length * data.band) / ch); }
  const tall = shot ? shot[3] : Math.max(high * ch, (curve && curve.height) || 0);
  wide = Math.ceil((shot ? shot[2] : Math.max(Math.min(width, wide * cw * 1.1), wide * cw)) / cw);
  high = Math.min(Math.ceil(tall / ch), Math.ceil(20000 / ch));
  // distinct sessions of several cells do not add up: those are drawn cell by cell
  const block = sessions ? 1 : Math.max(1, Math.round((wide * cw) / 160 / cw));
  const bw = Math.max(1, Math.ceil(wide / block)), bh = Math.max(1, Math.ceil(high / block)), values = new Float64Array(bw * bh);
  let used = 0, beyond = 0;
  for (const { at, values: counts } of lists)
    for (let i = 0; i < at.length; i++) {
      const x = at[i] % nx, y = Math.floor(at[i] / nx);
      if (x < wide && y < high) { values[Math.floor(y / block) * bw + Math.floor(x / block)] += counts[i]; used += counts[i]; } else beyond += counts[i];
    }
  if (layer === "attention" && curve)
    for (let y = 0; y < bh; y++) {
      const ms = curve.attention[Math.floor((y * block * ch) / data.band)] || 0;
      values.fill(ms / 1000, y * bw, (y + 1) * bw);
    }
  if (layer === data.dwell && !sessions) for (let i = 0; i < values.length; i++) values[i] /= 1000;
  return { values, bw, bh, x0, y0, pw: block * cw, ph: block * ch, maps, shot, curve, used, beyond, width };
}
function unit({ layer, sessions }) {
  return layer === "attention" ? "seconds in the window" : sessions ? "sessions" : layer === data.dwell ? "seconds of dwell" : nameOf(layer);
}
function topOf(choice) { // the largest count of any page's map of this kind, in blocks as they are drawn
  let top = 0;
  for (const m of data.maps) {
    if (data.layers[m[LAYER]] !== choice.layer || m[FIXED] !== choice.fixed || m[PARTS].length) continue;
    for (const v of dense({ ...choice, page: m[PAGE], bucket: m[BUCKET] }).values) top = Math.max(top, v);
  }
  return top;
}
function render(choice, { sigma = 0, kind, fixed = false }) { // a map's numbers, and what their colours stand for
  const grid = dense(choice), several = choice.sessions && grid.maps.length > 1;
  const values = sigma ? smoothed(grid.values, grid.bw, grid.bh, sigma / grid.pw) : grid.values;
  const top = (fixed ? topOf(choice) : values.reduce((a, b) => Math.max(a, b), 0)) || 1;
  return { grid, values, top, several, scale: scaleOf(kind, values, top), floor: sigma ? 1e-3 * top : 0 };
}
function colour(target, { grid, values, several, scale, floor }) {
  target.width = grid.bw; target.height = grid.bh;
  const picture = new ImageData(grid.bw, grid.bh);
  for (let i = 0; i < values.length; i++)
    if (values[i] > floor && !several) {
      const at = 3 * level(scale.part(values[i]));
      picture.data.set([colors[at], colors[at + 1], colors[at + 2], 255], 4 * i);
    }
  target.getContext("2d").putImageData(picture, 0, 0);
}
function events(grid) {
  return grid.maps.reduce((sum, m) => sum + m[EVENTS], 0);
}
function count(grid, { layer }) { // the n of a map: events, or how long in all
  const sum = events(grid);
  return layer === data.dwell ? `n = ${comma(Math.round(sum / 1000))} seconds` : `n = ${comma(sum)} ${sum === 1 ? "event" : "events"}`;
}
function widthTold(bucket) {
  const to = `${data.reference} px`;
  return data.widths === "scale" ? `all widths, scaled to ${to}` : data.widths === "element" ? `all widths, laid out at ${to}` : `width ${data.buckets[bucket]} px`;
}
function draw() {
  const choice = state(), n = $("map-n");
  const sigma = Number($("view-smooth").value), kind = $("view-scale").value, fixed = $("view-fixed").checked && kind !== "eq";
  const made = render(choice, { sigma, kind, fixed }), { grid, top, scale, several } = made;
  colour(canvas, made);
  canvas.style.opacity = $("view-opacity").value;
  const box = $("map-box");
  box.classList.toggle("bare", !grid.shot);
  box.style.aspectRatio = `${grid.bw * grid.pw} / ${grid.bh * grid.ph}`;
  box.style.maxWidth = `${Math.max(240, grid.bw * grid.pw)}px`;
  const shot = $("map-shot");
  shot.hidden = !grid.shot;
  if (grid.shot) { shot.src = grid.shot[4]; shot.style.width = `${(100 * grid.shot[2]) / (grid.bw * grid.pw)}%`; }
  drawn = { ...grid, choice };
  areas(drawn);
  linked(null);
  strip(drawn);
  used(choice.page);
  const sessions = grid.maps.length === 1 && grid.maps[0][SESSIONS] >= 0 ? `${comma(grid.maps[0][SESSIONS])} sessions` : "";
  const ledger = data.ledger[choice.layer];
  const told = [
    choice.layer === "attention" ? (grid.curve ? `n = ${comma(grid.curve.views)} views` : "no curve for this width")
      : several ? "distinct sessions of several parts do not add up: choose one of each" : count(grid, choice),
    sessions, ...chosenParts().map(([name, value]) => `${name} ${value}`), widthTold(choice.bucket), choice.fixed ? "frame: window, of targets that do not scroll" : `frame: ${data.frame}`,
    grid.beyond ? `${comma(grid.beyond)} beyond the part drawn` : "",
    ledger ? `of all maps of this kind ${comma(ledger[0])} outside, ${comma(ledger[1])} invalid` : "",
    data.min_sessions ? `cells below ${data.min_sessions} sessions withheld` : "",
    sigma ? `smoothed, sigma ${sigma} px` : "", fixed ? "one scale for all pages" : "", ...(grid.shot ? grid.shot[5] : []),
  ];
  $("map-title").textContent = `${$("view-page").value} · ${$("view-kind").value}`;
  n.textContent = bound(told.filter(Boolean).join(" · "));
  canvas.setAttribute("aria-label", `Map of ${$("map-title").textContent}; ${n.textContent}. Arrow keys read cells.`);
  // a smoothed count is a density: of a square that holds some, as nobody clicks half a time
  const side = sigma ? [10, 100, 1000].find((s) => (top * s * s) / (grid.pw * grid.ph) >= 10) || 1000 : 0;
  const square = side ? `for each ${comma(side)} x ${comma(side)} px, smoothed` : `in ${grid.pw} x ${grid.ph} px`;
  $("map-unit").textContent = bound(`${unit(choice)} ${square}, ${$("view-scale").selectedOptions[0].text}`);
  $("map-ticks").replaceChildren(...ticksOf(kind, scale, top, side ? (side * side) / (grid.pw * grid.ph) : 1).map(([at, value]) => {
    const tick = document.createElement("span");
    tick.textContent = comma(value);
    tick.style.left = `${100 * at}%`;
    return tick;
  }));
  read(null);
}
