// clarity-js as a site of its own collector sets it up, its payloads sent as lines; one instance a page.
let kept = [];
clarity("start", {
  projectId: "test", delay: 200, lean: false, content: true, cookies: [], track: true,
  upload: (data) => fetch("/collect/clarity", { method: "POST", body: data + "\n", keepalive: data.length < 60000 }),
});
const seenSo = window.flush;
window.flush = () => { clarity("event", "flush", "now"); seenSo(); };
addEventListener("pagehide", () => clarity("stop"));
