// Columns of a table sort it; the button in a column's head is its control.
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
