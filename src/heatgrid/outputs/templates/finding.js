// A finding: a crop of the map it is about, the way to its view, its sentence as text and as a picture.
function cropOf(name, grid) { // [x, y, width, height] of the page in px: around its feature, else the busiest place
  const held = name && boxesOf(grid).find((b) => data.features[b[1]] === name);
  const wide = Math.min(640, grid.bw * grid.pw), high = wide / 2.4;
  let x, y;
  if (held) [x, y] = [(held[2] + held[3]) / 2, (held[4] + held[5]) / 2];
  else {
    const best = grid.values.reduce((most, v, i) => (v > grid.values[most] ? i : most), 0);
    [x, y] = [((best % grid.bw) + 0.5) * grid.pw, (Math.floor(best / grid.bw) + 0.5) * grid.ph];
  }
  const within = (middle, size, whole) => Math.max(0, Math.min(whole - size, middle - size / 2));
  return { box: [within(x, wide, grid.bw * grid.pw), within(y, high, grid.bh * grid.ph), wide, high], held };
}
function paint(target, { box: [x, y, wide, high], held }, grid, map, shot) {
  const pen = target.getContext("2d"), { width, height } = target;
  pen.imageSmoothingEnabled = false;
  pen.fillStyle = "#100e16";
  pen.fillRect(0, 0, width, height);
  if (shot) {
    const k = shot.naturalWidth / grid.shot[2];
    pen.drawImage(shot, x * k, y * k, wide * k, high * k, 0, 0, width, height);
  }
  pen.drawImage(map, x / grid.pw, y / grid.ph, wide / grid.pw, high / grid.ph, 0, 0, width, height);
  if (held) {
    pen.strokeStyle = "#fff"; pen.lineWidth = 2;
    pen.strokeRect(((held[2] - x) * width) / wide, ((held[4] - y) * height) / high, ((held[3] - held[2]) * width) / wide, ((held[5] - held[4]) * height) / high);
  }
}
async function crop(card, target) { // the map is drawn beside the page, never in its view
  const page = data.pages.indexOf(card.dataset.page), layer = card.dataset.layer, [bucket] = widthsOf(layer, page);
  if (bucket === undefined) return;
  const choice = { layer, sessions: false, fixed: 0, page, bucket }, made = render(choice, { kind: data.scale }), map = document.createElement("canvas");
  colour(map, made);
  const grid = { ...made.grid, choice }, at = cropOf(card.dataset.feature, grid);
  let shot = null;
  if (grid.shot) { shot = new Image(); shot.src = grid.shot[4]; await shot.decode(); }
  paint(target, at, grid, map, shot);
  card.querySelector(".crop-n").textContent = bound(`${nameOf(layer)}, ${count(grid, choice)}, ${widthTold(bucket)}; brightest: ${comma(made.top)} in ${grid.pw} x ${grid.ph} px`);
  target.hidden = false;
}
function lines(pen, text, width) {
  const out = [""];
  for (const word of text.split(" ")) {
    const longer = out.at(-1) ? `${out.at(-1)} ${word}` : word;
    if (pen.measureText(longer).width <= width) out[out.length - 1] = longer; else out.push(word);
  }
  return out;
}
function pictureOf(text, part) {
  const made = document.createElement("canvas"), pen = made.getContext("2d");
  made.width = 960;
  pen.font = "20px sans-serif";
  const told = lines(pen, text, 912);
  made.height = 40 + 28 * told.length + (part ? 420 : 0);
  pen.fillStyle = "#fff"; pen.fillRect(0, 0, made.width, made.height);
  pen.font = "20px sans-serif"; pen.fillStyle = "#1c1d24";
  told.forEach((line, i) => pen.fillText(line, 24, 36 + 28 * i));
  if (part) pen.drawImage(part, 24, 40 + 28 * told.length, 912, 380);
  return new Promise((done) => made.toBlob(done, "image/png"));
}
function finding(card) {
  const text = card.dataset.text, said = card.querySelector("[role=status]"), target = card.querySelector("canvas");
  const { page, layer } = card.dataset;
  if (target && page) {
    crop(card, target);
    card.querySelector("a").addEventListener("click", () => { $("view-search").value = ""; pages(""); pick(page, layer); });
  }
  card.querySelector(".copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); said.textContent = "copied"; } catch { said.textContent = text; }
  });
  card.querySelector(".png").addEventListener("click", async () => {
    const blob = await pictureOf(text, target && !target.hidden ? target : null);
    try { await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]); said.textContent = "picture copied"; } catch {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob); link.download = "finding.png"; link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      said.textContent = "picture saved";
    }
  });
}
