// A number stays with its unit: no line is broken between the two.
const bound = (text) => text.replace(/(\d\+?) (?=(?:%|px|s|ms|min|h|d)(?!\w))/g, "$1\u00a0");
// From counts to the entries of a colour table, and what a colour stands for.
const colors = Uint8Array.from(data.colors.match(/../g), (pair) => parseInt(pair, 16));
const comma = (value) => value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 2 : 0 });
function scaleOf(kind, values, top) {
  if (kind === "eq") {
    const sorted = Float64Array.from(values.filter((v) => v > 0)).sort();
    const below = (v) => { // how many are at most v
      let low = 0, high = sorted.length;
      while (low < high) { const mid = (low + high) >> 1; if (sorted[mid] <= v) low = mid + 1; else high = mid; }
      return low;
    };
    return { part: (v) => below(v) / Math.max(1, sorted.length), value: (p) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] || 0 };
  }
  if (kind === "log") return { part: (v) => Math.log1p(v) / Math.log1p(top), value: (p) => Math.expm1(p * Math.log1p(top)) };
  return { part: (v) => v / top, value: (p) => p * top };
}
function ticksOf(kind, scale, top, times) { // [place 0..1, what it stands for], whole where it can be
  const most = top * times;
  let marks = [];
  if (kind === "eq") return apart([0.25, 0.5, 0.75, 1].map((p) => [p, Math.round(scale.value(p) * times * 100) / 100]));
  if (kind === "log") {
    const decades = [];
    for (let d = 1; d < most; d *= 10) decades.push(d);
    marks = decades.length < 3 ? decades.flatMap((d) => [d, 2 * d, 5 * d]).filter((v) => v < most) : decades;
  } else {
    const power = 10 ** Math.floor(Math.log10(most / 4)), raw = [1, 2, 5, 10].map((m) => m * power).find((v) => v >= 0.249 * most);
    const step = most >= 1 ? Math.max(1, raw) : raw;
    for (let v = step; v < most - step * 1e-6; v += step) marks.push(v);
  }
  return apart([...marks.map((v) => [scale.part(v / times), v]), [1, most >= 10 ? Math.round(most) : Math.round(most * 100) / 100]]);
}
function apart(ticks) { // without those whose labels would touch; the last stays
  const kept = [];
  for (const tick of ticks.reverse()) if (!kept.length || (kept[0][0] - tick[0] >= 0.13 && kept[0][1] !== tick[1])) kept.unshift(tick);
  return kept;
}
const level = (part) => Math.max(1, Math.min(255, Math.round(255 * part)));
function smoothed(values, wide, high, sigma) { // Gaussian, cut at 4 sigma, nothing beyond the edges
  const reach = Math.ceil(4 * sigma), taps = [];
  for (let i = -reach; i <= reach; i++) taps.push(Math.exp((-i * i) / (2 * sigma * sigma)));
  const sum = taps.reduce((a, b) => a + b);
  const pass = (from, count, length, step, stride) => {
    const to = new Float64Array(from.length);
    for (let line = 0; line < count; line++)
      for (let i = 0; i < length; i++) {
        const v = from[line * stride + i * step];
        if (!v) continue;
        for (let k = Math.max(-reach, -i); k <= Math.min(reach, length - 1 - i); k++)
          to[line * stride + (i + k) * step] += (v * taps[k + reach]) / sum;
      }
    return to;
  };
  return pass(pass(values, high, wide, 1, wide), wide, high, wide, 1);
}
