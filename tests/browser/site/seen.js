// What the page itself saw, apart from every client: the truth of the tests.
let seen = [];
for (const kind of ["click", "mousemove", "touchstart"]) {
  addEventListener(kind, (event) => {
    const target = event.target.closest("button, a, input") || event.target;
    seen.push({
      kind, time: Date.now(), x: event.clientX + scrollX, y: event.clientY + scrollY, path: location.pathname,
      target: target.id || target.dataset.testid || target.textContent.trim() || target.name || target.tagName,
    });
  }, { capture: true, passive: true });
}
seen.push({ kind: "load", time: Date.now(), path: location.pathname });
function tell(last) {
  if (seen.length) {
    const body = seen.map((one) => JSON.stringify(one) + "\n").join("");
    fetch("/collect/seen", { method: "POST", body, keepalive: last });
  }
  seen = [];
}
setInterval(tell, 250);
addEventListener("pagehide", () => tell(true));
window.routed = () => {}; // a client that must be told of routes sets it
window.flush = () => tell(false);
