"use strict";
for (const table of document.querySelectorAll("table.list")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const down = now ? now === "ascending" : at > 0;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[at];
        return at ? Number(cell.dataset.v ?? -1) : cell.title || cell.textContent;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort((a, b) => (at ? a[0] - b[0] : a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * (down ? -1 : 1));
      body.append(...rows.map((pair) => pair[1]));
    });
  });
}
for (const box of document.querySelectorAll("input[type=search]")) {
  const rows = [...document.getElementById(box.dataset.table).tBodies[0].rows];
  const count = document.getElementById(box.dataset.table + "-count");
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const name = (row.cells[0].title || row.cells[0].textContent).toLowerCase();
      row.hidden = !name.includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown + " of " + rows.length + " rows";
  });
}
const dialog = document.querySelector("dialog");
for (const link of document.querySelectorAll(".frame a")) {
  link.addEventListener("click", (event) => {
    if (!dialog || !dialog.showModal) return;
    event.preventDefault();
    const figure = link.closest("figure");
    dialog.querySelector("h3").textContent = figure.querySelector("h3").textContent;
    dialog.querySelector(".n").textContent = figure.querySelector(".n").textContent;
    dialog.querySelector("img").src = link.querySelector("img").src;
    dialog.querySelector("img").alt = link.querySelector("img").alt;
    dialog.querySelector("img").className = link.querySelector("img").className || "narrow";
    dialog.showModal();
  });
}
