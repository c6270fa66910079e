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
