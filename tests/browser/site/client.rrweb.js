// rrweb as its users set it up, its events sent to the collector as lines.
let waiting = [];
function send(last) {
  if (waiting.length) {
    const body = waiting.map((one) => JSON.stringify(one) + "\n").join("");
    fetch("/collect/rrweb", { method: "POST", body, keepalive: last });
  }
  waiting = [];
}
rrweb.record({ emit: (event) => waiting.push(event) });
setInterval(send, 250);
addEventListener("pagehide", () => send(true));
window.routed = () => rrweb.record.addCustomEvent("$pageview", { href: location.href });
const tellSeen = window.flush;
window.flush = () => { send(false); tellSeen(); };
