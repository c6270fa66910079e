// Recordings of sessions that clicked in a cell's place: a sample, kept by areas of a few cells.
const linksOf = new Map(); // page, width and fixed or not: area to the numbers of its addresses
function areasOf({ page, bucket, fixed }) {
  const key = `${page} ${bucket} ${fixed}`, row = data.links.find((l) => l[0] === page && l[1] === bucket && l[2] === fixed);
  if (row && !linksOf.has(key)) {
    const [steps, next] = numbers(row[3], row[4]), [counts, last] = numbers(next, row[4]), [which] = numbers(last, row[5]), found = new Map();
    for (let i = 0, area = 0, at = 0; i < steps.length; at += counts[i++]) found.set(area += steps[i], which.slice(at, at + counts[i]));
    linksOf.set(key, found);
  }
  return linksOf.get(key) || new Map();
}
function recordings([bx, by]) { // those of all areas that the cell lies in
  const [nx, cw, ch] = data.grid, across = Math.ceil(nx / data.side), { pw, ph } = drawn, found = new Set();
  const [wide, high] = [data.side * cw, data.side * ch], mine = areasOf(drawn.choice);
  if (!mine.size || drawn.choice.layer === "attention") return [];
  for (let y = Math.floor((by * ph) / high); y * high < (by + 1) * ph; y++)
    for (let x = Math.floor((bx * pw) / wide); x * wide < (bx + 1) * pw; x++)
      for (const url of mine.get(y * across + x) || []) found.add(data.urls[url]);
  return [...found].slice(0, 12);
}
function linked(cell) {
  const urls = cell ? recordings(cell) : [];
  $("map-links").hidden = !cell;
  $("map-links-n").textContent = !cell ? "" : urls.length
    ? `${urls.length} of the sessions that clicked within ${data.side * data.grid[1]} x ${data.side * data.grid[2]} px of there, of all segments and periods. Each shows one person: share it as such.`
    : "no recording is kept of a click there";
  $("map-links").lastElementChild.replaceChildren(...urls.filter((url) => /^https?:\/\//i.test(url)).map((url) => {
    const item = document.createElement("li"), link = document.createElement("a");
    Object.assign(link, { href: url, textContent: url, rel: "noopener noreferrer", target: "_blank" });
    item.append(link);
    return item;
  }));
}
function show(cell) {
  linked(cell);
  $("map-links").scrollIntoView({ block: "nearest" });
}
