"use strict";
// What is shown: the theme, panels that are chosen from, tables that are sorted.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const shown = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    dispatchEvent(new Event("colours"));
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    shown();
  });
  system.addEventListener("change", shown);
  button.hidden = false;

  // Canvases are drawn before they are printed, so they have to be light by then.
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    shown();
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    shown();
  });

  for (const form of document.querySelectorAll("form.choose")) {
    const panels = [...document.querySelectorAll(`[data-panel="${form.dataset.for}"]`)];
    const none = document.querySelector(`[data-none="${form.dataset.for}"]`);
    const choose = () => {
      const wanted = Object.fromEntries(new FormData(form));
      let found = false;
      for (const panel of panels) {
        const fits = Object.entries(wanted).every(([key, value]) => panel.dataset[key] === value);
        panel.hidden = !fits;
        found ||= fits;
      }
      if (none) none.hidden = found;
      dispatchEvent(new CustomEvent("chosen", { detail: { form, wanted } }));
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", choose);
    for (const select of form.querySelectorAll("select")) {
      if (select.options.length < 2) select.closest("label").hidden = true;
    }
    form.hidden = false;
    choose();
  }

  const value = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.textContent = head.textContent;
      head.replaceChildren(sorter);
      sorter.addEventListener("click", () => {
        // Numbers are looked at from the greatest down, names from A.
        const numbers = body.rows[0]?.cells[column]?.dataset.v !== undefined;
        const now = head.getAttribute("aria-sort");
        const up = now ? now === "descending" : !numbers;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
        rows.sort(([a], [b]) => (up ? compare(a, b) : compare(b, a)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
  shown();
})();
