// A search box leaves the rows of its table whose name holds its words.
for (const box of document.querySelectorAll("input[data-table]")) {
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
