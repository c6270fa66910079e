// Controls follow each other: a page has its widths, and all begins with the busiest map.
function widthsOf(layer, page, fixed = 0) { // the busiest first
  const events = new Map();
  for (const m of data.maps)
    if (m[PAGE] === page && m[FIXED] === fixed && !m[PARTS].length && (data.layers[m[LAYER]] === layer || layer === "attention"))
      events.set(m[BUCKET], (events.get(m[BUCKET]) || 0) + m[EVENTS]);
  return [...events].sort((a, b) => b[1] - a[1]).map(([bucket]) => bucket);
}
function widths() {
  const { layer, page, fixed } = state(), before = $("view-width").value;
  const order = widthsOf(layer, page, fixed).map((bucket) => data.buckets[bucket]);
  options($("view-width"), order);
  if (order.includes(before)) $("view-width").value = before;
}
function pick(page, kind, bucket) {
  if (KINDS.has(nameOf(kind))) $("view-kind").value = nameOf(kind);
  if (data.pages.includes(page)) $("view-page").value = page;
  widths();
  if (bucket && [...$("view-width").options].some((o) => o.value === bucket)) $("view-width").value = bucket;
  draw();
}
function pages(wanted) {
  const before = $("view-page").value, words = wanted.toLowerCase();
  const there = data.pages.filter((name, i) => name.toLowerCase().includes(words) && data.maps.some((m) => m[PAGE] === i));
  options($("view-page"), there);
  if (there.includes(before)) $("view-page").value = before;
  $("view-found").textContent = `${there.length} of ${data.pages.length} pages`;
  return there.length;
}
function marked(period) { // with the releases in it
  const names = data.releases.filter((row) => row[0] === period).map((row) => row[1]);
  return names.length ? `${period} \u25bc ${names.join(", ")}` : period;
}
function parts() {
  const names = new Map();
  for (const m of data.maps) for (const [name, value] of m[PARTS]) names.set(name, (names.get(name) || new Set()).add(data.parts[value]));
  for (const [name, values] of names) {
    const label = document.createElement("label"), select = document.createElement("select");
    select.dataset.part = name;
    options(select, [...values].sort(), "all", name === "period" ? marked : undefined);
    label.append(name, " ", select);
    $("view-parts").append(label);
  }
}
async function start() {
  if (!data.maps.length) return;
  await inflate();
  options($("view-kind"), KINDS.keys());
  parts();
  pages("");
  const first = data.maps.find((m) => data.layers[m[LAYER]] === "clicks" && !m[FIXED]) || data.maps[0];
  pick(data.pages[first[PAGE]], data.layers[first[LAYER]]);
  $("view-search").addEventListener("input", () => { if (pages($("view-search").value)) { widths(); draw(); } });
  for (const id of ["view-page", "view-kind"]) $(id).addEventListener("change", () => { widths(); draw(); });
  for (const id of ["view-width", "view-scale", "view-fixed", "view-areas", "view-strip"]) $(id).addEventListener("change", draw);
  for (const id of ["view-opacity", "view-smooth"]) $(id).addEventListener("input", draw);
  $("view-parts").addEventListener("change", draw);
  for (const card of document.querySelectorAll(".finding")) finding(card);
  document.documentElement.dataset.ready = "yes";
}
start();
