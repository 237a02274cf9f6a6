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
    if ((head.scope === "rowgroup" && head.colSpan > 1) || head.querySelector("a")) return;
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

  // The value of the line that is nearest to the pointer.
  const told = make("div", "", { class: "value", role: "status" });
  document.body.append(told);
  const points = (shape) => {
    if (shape.tagName === "use") return [[Number(shape.getAttribute("x")), Number(shape.getAttribute("y"))]];
    const found = [];
    for (const [, letter, text] of (shape.getAttribute("d") || "").matchAll(/([Ml])([^Mlz]*)/g)) {
      const numbers = (text.match(/-?\d+(\.\d+)?/g) || []).map(Number);
      for (let i = 0; i + 1 < numbers.length; i += 2) {
        const [x, y] = letter === "M" ? [0, 0] : found[found.length - 1];
        found.push([x + numbers[i], y + numbers[i + 1]]);
      }
    }
    return found;
  };
  const between = (line, x) => {
    const i = line.findIndex((point) => point[0] >= x);
    if (i < 0 || (i === 0 && line[0][0] - x > 4)) return null;
    const [before, after] = [line[Math.max(i - 1, 0)], line[i]];
    const share = after[0] === before[0] ? 1 : (x - before[0]) / (after[0] - before[0]);
    return line.length < 2 ? line[0] : [x, before[1] + share * (after[1] - before[1])];
  };
  const number = (axis, share) => {
    const [low, high, scale] = axis.split(" ");
    const ends = [Number(low), Number(high)];
    const value = scale === "log"
      ? ends[0] * (ends[1] / ends[0]) ** share
      : ends[0] + share * (ends[1] - ends[0]);
    return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
  };
  const nearest = (axes, x, y) => all("[data-cell]:not(.away)", axes).flatMap((group) =>
    all("path, use", group).map((shape) => [group.dataset.cell, between(points(shape), x)])
  ).filter(([, at]) => at && Math.hypot(at[0] - x, at[1] - y) < 12)
    .sort(([, a], [, b]) => Math.hypot(a[0] - x, a[1] - y) - Math.hypot(b[0] - x, b[1] - y))[0];
  all("figure svg").forEach((svg) => {
    svg.addEventListener("pointerleave", () => told.classList.remove("shown"));
    svg.addEventListener("pointermove", (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const found = all("[data-box]", svg).map((axes) => {
        const [left, top, width, height] = axes.dataset.box.split(" ").map(Number);
        const [a, b] = [(x - left) / width, 1 - (y - top) / height];
        const near = a >= 0 && a <= 1 && b >= 0 && b <= 1 && nearest(axes, x, y);
        return near && [near[0], number(axes.dataset.x, (near[1][0] - left) / width), number(axes.dataset.y, 1 - (near[1][1] - top) / height)];
      }).find(Boolean);
      told.classList.toggle("shown", Boolean(found));
      if (!found) return;
      told.textContent = `${found[0]}: ${found[2]} at ${found[1]}`;
      told.style.left = `${Math.min(event.clientX + 12, root.clientWidth - told.offsetWidth - 4)}px`;
      told.style.top = `${event.clientY + 14}px`;
    });
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
  const name = make("input", "", { type: "search", placeholder: "rows with …", "aria-label": "Show rows whose name has" });
  const isLength = (text) => /^\w+ = \d+$/.test(text);  // T = 100, L = 3
  const lengths = [...new Set(all("thead th").map((head) => head.textContent).filter(isLength))];
  const length = make("select", "", { "aria-label": "Show one length" });
  length.append(make("option", "every length", { value: "" }), ...lengths.map((text) => make("option", text, { value: text })));
  const filter = () => {
    const wanted = name.value.trim().toLowerCase();
    marked.forEach((element) => {
      element.classList.toggle("away", !element.dataset.cell.toLowerCase().includes(wanted));
    });
    all("table").forEach((table) => {
      all("thead th", table).forEach((head, column) => {
        const gone = length.value !== "" && isLength(head.textContent) && head.textContent !== length.value;
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
