// The blob: varints, deflated, in base64. A map is read when it is asked for.
const data = JSON.parse(document.getElementById("data").textContent);
let bytes = null;
async function inflate() {
  const text = atob(document.getElementById("cells").textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  bytes = new Uint8Array(await new Response(stream).arrayBuffer());
}
function numbers(at, count) {
  const found = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let value = 0, unit = 1, byte;
    do { byte = bytes[at++]; value += (byte & 127) * unit; unit *= 128; } while (byte & 128);
    found[i] = value;
  }
  return [found, at];
}
const [LAYER, PAGE, BUCKET, FIXED, PARTS, EVENTS, SESSIONS, WIDTH, AT, CELLS, COUNTED] = Array(11).keys();
function cellsOf(map, sessions) {
  const [steps, next] = numbers(map[AT], map[CELLS]);
  const [events, last] = numbers(next, map[CELLS]);
  const values = sessions ? numbers(last, map[CELLS])[0] : events;
  for (let i = 1; i < steps.length; i++) steps[i] += steps[i - 1];
  return { at: steps, values };
}
