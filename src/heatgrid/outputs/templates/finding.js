// A finding: a crop of the map it is about, the way to its view, its sentence as text and as a picture.
function cropOf(card) { // [x, y, width, height] of the page in px: around its feature, else the busiest place
  const name = card.dataset.feature, held = name && boxesOf(drawn).find((b) => data.features[b[1]] === name);
  const wide = Math.min(640, drawn.bw * drawn.pw), high = wide / 2.4;
  let x, y;
  if (held) [x, y] = [(held[2] + held[3]) / 2, (held[4] + held[5]) / 2];
  else {
    const best = drawn.values.reduce((most, v, i) => (v > drawn.values[most] ? i : most), 0);
    [x, y] = [((best % drawn.bw) + 0.5) * drawn.pw, (Math.floor(best / drawn.bw) + 0.5) * drawn.ph];
  }
  const within = (middle, size, whole) => Math.max(0, Math.min(whole - size, middle - size / 2));
  return { box: [within(x, wide, drawn.bw * drawn.pw), within(y, high, drawn.bh * drawn.ph), wide, high], held };
}
function paint(pen, { box: [x, y, wide, high], held }, width, height) {
  pen.imageSmoothingEnabled = false;
  pen.fillStyle = "#100e16";
  pen.fillRect(0, 0, width, height);
  if (drawn.shot && $("map-shot").complete && $("map-shot").naturalWidth) {
    const k = $("map-shot").naturalWidth / drawn.shot[2];
    pen.drawImage($("map-shot"), x * k, y * k, wide * k, high * k, 0, 0, width, height);
  }
  pen.drawImage(canvas, x / drawn.pw, y / drawn.ph, wide / drawn.pw, high / drawn.ph, 0, 0, width, height);
  if (held) {
    pen.strokeStyle = "#fff"; pen.lineWidth = 2;
    pen.strokeRect(((held[2] - x) * width) / wide, ((held[4] - y) * height) / high, ((held[3] - held[2]) * width) / wide, ((held[5] - held[4]) * height) / high);
  }
}
function lines(pen, text, width) {
  const out = [""];
  for (const word of text.split(" ")) {
    const longer = out.at(-1) ? `${out.at(-1)} ${word}` : word;
    if (pen.measureText(longer).width <= width) out[out.length - 1] = longer; else out.push(word);
  }
  return out;
}
function pictureOf(text, crop) {
  const made = document.createElement("canvas"), pen = made.getContext("2d");
  made.width = 960;
  pen.font = "20px sans-serif";
  const told = lines(pen, text, 912);
  made.height = 40 + 28 * told.length + (crop ? 420 : 0);
  pen.fillStyle = "#fff"; pen.fillRect(0, 0, made.width, made.height);
  pen.font = "20px sans-serif"; pen.fillStyle = "#1c1d24";
  told.forEach((line, i) => pen.fillText(line, 24, 36 + 28 * i));
  if (crop) pen.drawImage(crop, 24, 40 + 28 * told.length, 912, 380);
  return new Promise((done) => made.toBlob(done, "image/png"));
}
function finding(card) {
  const text = card.dataset.text, said = card.querySelector("[role=status]"), crop = card.querySelector("canvas");
  const { page, layer } = card.dataset;
  if (crop && page) {
    const kept = [$("view-page").value, $("view-kind").value, $("view-width").value];
    pick(page, layer);
    if ($("view-page").value === page) { paint(crop.getContext("2d"), cropOf(card), crop.width, crop.height); crop.hidden = false; }
    pick(...kept);
    card.querySelector("a").addEventListener("click", () => { $("view-search").value = ""; pages(""); pick(page, layer); });
  }
  card.querySelector(".copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); said.textContent = "copied"; } catch { said.textContent = text; }
  });
  card.querySelector(".png").addEventListener("click", async () => {
    const blob = await pictureOf(text, crop && !crop.hidden ? crop : null);
    try { await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]); said.textContent = "picture copied"; } catch {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob); link.download = "finding.png"; link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      said.textContent = "picture saved";
    }
  });
}
