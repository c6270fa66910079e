// The recorder as its users set it up, its events sent to the collector; and, apart from it, what the page itself saw.
const session = new URLSearchParams(location.search).get("session") || sessionStorage.getItem("session");
sessionStorage.setItem("session", session);
let waiting = [];
let seen = [];
function send(last) {
  for (const [to, what] of [["events", waiting], ["seen", seen]]) {
    if (what.length) {
      const body = what.map((one) => JSON.stringify(one) + "\n").join("");
      fetch(`/collect/${to}/${session}`, { method: "POST", body, keepalive: last });
    }
  }
  waiting = [];
  seen = [];
}
for (const kind of ["click", "mousemove", "touchstart"]) {
  addEventListener(kind, (event) => {
    const target = event.target.closest("button, a, input") || event.target;
    seen.push({
      kind, time: Date.now(), x: event.clientX + scrollX, y: event.clientY + scrollY, path: location.pathname,
      target: target.id || target.dataset.testid || target.textContent.trim() || target.name || target.tagName,
    });
  }, { capture: true, passive: true });
}
rrweb.record({ emit: (event) => waiting.push(event) });
setInterval(send, 250);
addEventListener("pagehide", () => send(true));
window.flush = () => send(false);
