"use strict";
// All of it is an extra: without this script everything can be read.
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, text, attributes = {}) => {
    const element = Object.assign(document.createElement(tag), { textContent: text });
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    return element;
  };
  const root = document.documentElement;

  // Light and dark: what the system says, until somebody chooses.
  const dark = make("button", "light / dark", { type: "button", "aria-pressed": "false" });
  const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches);
  dark.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    dark.setAttribute("aria-pressed", String(isDark()));
  });

  // One cell brought forward, in every table and figure.
  const cells = new Set(all("tr[data-cell]").map((row) => row.dataset.cell));
  const marked = all("[data-cell]").filter((element) => cells.has(element.dataset.cell));
  const picked = new Set();
  const pick = (cell) => {
    if (!picked.delete(cell)) picked.add(cell);
    root.classList.toggle("picking", picked.size > 0);
    marked.forEach((element) => {
      element.classList.toggle("picked", picked.has(element.dataset.cell));
    });
    all("tr[data-cell] > th > button").forEach((button) => {
      button.setAttribute("aria-pressed", String(picked.has(button.dataset.pick)));
    });
  };
  all("tr[data-cell] > th:first-child").forEach((head) => {
    const cell = head.parentElement.dataset.cell;
    if (head.scope === "rowgroup" && head.colSpan > 1) return;
    const button = make("button", head.textContent, {
      type: "button", "aria-pressed": "false", title: "bring this cell forward",
    });
    button.dataset.pick = cell;
    button.addEventListener("click", () => pick(cell));
    head.replaceChildren(button);
  });
  all("svg [data-cell]").forEach((element) => {
    if (cells.has(element.dataset.cell)) {
      element.addEventListener("click", () => pick(element.dataset.cell));
    }
  });

  // A click on a column's head sorts by it; another one turns it round.
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim().replace(/−/g, "-").replace(/,(?=\d{3})/g, "");
    const number = parseFloat(text.replace("∞", "1e999").replace("-1e999", "-1e308"));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const before = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  all("table.sortable").forEach((table) => {
    all("thead th", table).forEach((head, column) => {
      const button = make("button", head.textContent, { type: "button" });
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        [...table.tBodies].forEach((body) => {
          const rows = [...body.rows].filter((row) => row.dataset.cell !== undefined);
          rows.sort((a, b) => (up ? 1 : -1) * before(value(a, column), value(b, column)));
          body.append(...rows);
        });
      });
      head.replaceChildren(button);
    });
  });

  // Only some cells, only one length.
  const name = make("input", "", { type: "search", placeholder: "cells with …", "aria-label": "Show cells whose name has" });
  const lengths = [...new Set(all("thead th").map((head) => head.textContent).filter((text) => /^T = \d+$/.test(text)))];
  const length = make("select", "", { "aria-label": "Show one length" });
  length.append(make("option", "every length", { value: "" }), ...lengths.map((text) => make("option", text, { value: text })));
  const filter = () => {
    const wanted = name.value.trim().toLowerCase();
    marked.forEach((element) => {
      element.classList.toggle("away", !element.dataset.cell.toLowerCase().includes(wanted));
    });
    all("table").forEach((table) => {
      all("thead th", table).forEach((head, column) => {
        const gone = length.value !== "" && /^T = \d+$/.test(head.textContent) && head.textContent !== length.value;
        head.classList.toggle("away", gone);
        const last = table.tHead.rows[0].cells.length - column;
        [...table.tBodies].forEach((body) => [...body.rows].forEach((row) => {
          if (row.classList.contains("heading")) return;
          const cell = row.cells[row.cells.length - last];
          if (cell) cell.classList.toggle("away", gone);
        }));
      });
    });
  };
  name.addEventListener("input", filter);
  length.addEventListener("change", filter);

  const bar = make("div", "", { class: "bar", role: "toolbar", "aria-label": "This page" });
  bar.append(name, ...(lengths.length > 1 ? [length] : []), dark);
  document.body.prepend(bar);
  root.classList.add("alive");
})();
