"use strict";
// Tables that can be sorted, filtered and opened: a row shows the runs that its numbers rest on.
// Without this script they are plain tables with every row.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const rowsOf = (part) => [...part.rows].filter((row) => !row.matches(".detail, .family"));

// ---- sorting

const textOf = (cell) => cell.dataset.text ?? cell.textContent.trim();

// What a cell is sorted by: "97.21 ± 0.35" is 97.21, "not reached" beyond all numbers, "–" absent.
function sortKey(cell, isNumber) {
  const text = textOf(cell);
  if (text === "–" || text === "") return null;
  if (!isNumber) return text;
  const number = parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return Number.isNaN(number) ? Infinity : number;
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
  return a === b ? 0 : a < b ? -1 : 1;
}

function sort(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const header = headers[column];
  const isUp = header.getAttribute("aria-sort") !== "ascending";
  for (const other of headers) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  const isNumber = header.classList.contains("number");
  for (const body of table.tBodies) sortRows(body, column, isNumber, isUp); // inside each family
}

function sortRows(body, column, isNumber, isUp) {
  const keyed = rowsOf(body).map((row) => [sortKey(row.cells[column], isNumber), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // absent: always last
    return isUp ? compare(a, b) : compare(b, a);
  });
  for (const [, row] of keyed) {
    const detail = row.nextElementSibling?.matches(".detail") ? row.nextElementSibling : null;
    body.append(row, ...(detail ? [detail] : []));
  }
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.dataset.text = header.textContent.trim();
    const button = element("button", { type: "button", class: "sort" }, ...header.childNodes);
    button.addEventListener("click", () => sort(table, column));
    header.append(button);
  });
}

// ---- filtering

// What a row has under a name: the cells of columns and the settings whose names have a word that
// begins with it: "acc" is test accuracy, "batch" the batch size.
function valuesOf(table, row, name) {
  const isNamed = (text) => text.toLowerCase().split(/[^\p{L}\p{N}.]+/u).some((word) => word.startsWith(name));
  const headers = [...table.tHead.rows[0].cells].map((header) => header.dataset.text ?? header.textContent);
  const settings = Object.entries(JSON.parse(row.dataset.settings ?? "{}"));
  return [
    ...settings.filter(([setting]) => isNamed(setting)).map(([, value]) => value),
    ...headers.flatMap((header, k) => (isNamed(header) ? [textOf(row.cells[k])] : [])),
  ];
}

// The number that a cell begins with, or a setting is.
const numberIn = (text) => parseFloat(text.replaceAll(",", "").replace("−", "-").replace("×", ""));

const COMPARE = {
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "=": (a, b) => a === b,
};

// A word that a row has, or a condition such as acc>90, batch<=16 or norm=bn.
function passes(table, row, text, term) {
  const [, name, sign, wanted] = term.match(/^([^<>=]+)(>=|<=|=|>|<)(.+)$/) ?? [];
  if (!sign) return text.includes(term);
  const number = Number(wanted);
  return valuesOf(table, row, name).some((value) => {
    if (!Number.isNaN(number)) return COMPARE[sign](numberIn(value), number);
    return sign === "=" && value.toLowerCase().includes(wanted);
  });
}

function filter(table, query, count) {
  const words = query.toLowerCase().replace(/\s*(>=|<=|=|>|<)\s*/g, "$1").split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const body of table.tBodies) {
    const family = body.querySelector(".family");
    let own = 0;
    for (const row of rowsOf(body)) {
      const settings = Object.values(JSON.parse(row.dataset.settings ?? "{}")).join(" ");
      const text = `${family?.textContent ?? ""} ${row.textContent} ${settings}`.toLowerCase();
      row.hidden = !words.every((word) => passes(table, row, text, word));
      own += !row.hidden;
      all += 1;
      if (row.nextElementSibling?.matches(".detail")) row.nextElementSibling.hidden = row.hidden;
    }
    if (family) family.hidden = own === 0;
    shown += own;
  }
  count.textContent = words.length ? `${shown} of ${all} rows` : "";
}

function makeFilterable(table) {
  const frame = table.closest(".scroll");
  const label = `Filter: ${frame.getAttribute("aria-label")}`;
  const example = table.matches("[data-runs]") ? "Filter, such as acc>90 norm=bn" : "Filter rows";
  const box = element("input", { type: "search", placeholder: example, "aria-label": label });
  const count = element("span", { role: "status" });
  box.addEventListener("input", () => filter(table, box.value, count));
  const tools = element("div", { class: "filter" }, box, count);
  if (table.matches(".sortable")) tools.append(copies(table));
  const more = element("span", { class: "more" }, "more columns →");
  tools.append(more);
  frame.before(tools);
  const look = () => {
    const isMore = frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 1;
    more.hidden = !isMore;
    frame.classList.toggle("cut", isMore);
  };
  frame.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(frame);
}

// ---- copying: the rows that are shown, in their order

function shownCells(table) {
  const header = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.text ?? cell.textContent.trim());
  const rows = rowsOf(table.tBodies[0]).filter((row) => !row.hidden);
  return [header, ...rows.map((row) => [...row.cells].map(textOf))];
}

const ESCAPES = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
const SIGNS = { "±": "$\\pm$", "×": "$\\times$", "∝": "$\\propto$", "∞": "$\\infty$", "·": "$\\cdot$", "−": "$-$", "–": "--" };

function latex(text) {
  return text.replace(/[\\~^&%$#_{}±×∝∞·−–]/g, (sign) => ESCAPES[sign] ?? SIGNS[sign] ?? `\\${sign}`);
}

const FORMATS = {
  CSV: ([...rows]) => rows.map((row) => row.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")).join("\n") + "\n",
  Markdown: ([header, ...rows], isNumber) => {
    const line = (row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
    return [line(header), line(isNumber.map((number) => (number ? "---:" : "---"))), ...rows.map(line), ""].join("\n");
  },
  LaTeX: ([header, ...rows], isNumber) => {
    const line = (row) => `${row.map(latex).join(" & ")} \\\\`;
    const columns = isNumber.map((number) => (number ? "r" : "l")).join("");
    return [
      `\\begin{tabular}{${columns}}`, "\\toprule", line(header), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}", "",
    ].join("\n");
  },
};

function copies(table) {
  const group = element("span", { class: "copies" }, "Copy as");
  for (const [name, format] of Object.entries(FORMATS)) {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", async () => {
      const isNumber = [...table.tHead.rows[0].cells].map((cell) => cell.classList.contains("number"));
      await copy(format(shownCells(table), isNumber));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = name; }, 2000);
    });
    group.append(button);
  }
  return group;
}

// ---- what a row rests on

function numeral(value, column) {
  if (value === null) return "–";
  return value.toFixed(column.startsWith("steps") ? 0 : 2);
}

function runLink(root, runs, arm, seed) {
  const text = `seed ${seed}`;
  return runs.arms[arm].folders ? element("a", { href: `${root}runs/${arm}/seed-${seed}/` }, text) : text;
}

function smallTable(header, rows) {
  const cells = (tag, values) => values.map((value) => element(tag, tag === "th" ? { scope: "col" } : {}, value));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...cells("th", header))));
  table.append(element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))));
  return table;
}

function runsOfArm(root, runs, arm) {
  const rows = runs.arms[arm].runs.map(([seed, outcome, ...values]) => {
    return [runLink(root, runs, arm, seed), outcome, ...values.map((value, k) => numeral(value, runs.columns[k]))];
  });
  return smallTable(["run", "outcome", ...runs.columns], rows);
}

// The difference seed by seed, as the mean of the row was made of them.
function pairs(root, runs, treatment, baseline) {
  const of = new Map(runs.arms[baseline].runs.map((run) => [run[0], run]));
  const rows = runs.arms[treatment].runs
    .filter(([seed]) => of.has(seed))
    .map(([seed, , value]) => {
      const other = of.get(seed)[2];
      const difference = value === null || other === null ? null : value - other;
      const sides = [element("span", {}, `${numeral(value, "")} (`, runLink(root, runs, treatment, seed), ")")];
      sides.push(element("span", {}, `${numeral(other, "")} (`, runLink(root, runs, baseline, seed), ")"));
      return [`seed ${seed}`, ...sides, difference === null ? "–" : difference.toFixed(2)];
    });
  return smallTable(["pair", "treatment (%)", "baseline (%)", "difference (points)"], rows);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // a page that was opened as a file may not reach the clipboard by itself
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function commandOf(arm, command) {
  if (command) return copyable(element("pre", {}, element("code", {}, command)));
  return element("p", { class: "note" }, `${arm} is of another version of bnbench: its config.yaml says what it is.`);
}

// A command with a button that copies it.
function copyable(pre) {
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    await copy(pre.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return element("div", { class: "command" }, pre, button);
}

function detailOf(row, root, runs) {
  const arms = row.dataset.arms.split(" ");
  const content = element("div", { class: "content" });
  content.append(arms.length > 1 ? pairs(root, runs, ...arms) : runsOfArm(root, runs, arms[0]));
  for (const arm of arms) {
    const name = element("code", {}, arm);
    content.append(element("p", { class: "note" }, "To train ", name, " again, beside what is there:"));
    content.append(commandOf(arm, runs.arms[arm].command));
  }
  const cell = element("td", { colspan: row.cells.length }, content);
  return element("tr", { class: "detail" }, cell);
}

function makeOpenable(table) {
  const source = document.getElementById(table.dataset.runs);
  const runs = JSON.parse(source.textContent);
  for (const row of rowsOf(table.tBodies[0])) {
    const cell = row.cells[0];
    cell.dataset.text = cell.textContent.trim();
    const label = `Runs of ${cell.dataset.text}`;
    const button = element("button", { type: "button", class: "open", "aria-expanded": "false", "aria-label": label });
    const toggle = () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) row.nextElementSibling.remove();
      else row.after(detailOf(row, source.dataset.root, runs));
    };
    button.addEventListener("click", toggle);
    cell.prepend(button);
    row.classList.add("openable");
    for (const number of row.querySelectorAll("td.number")) number.addEventListener("click", toggle);
  }
}

for (const pre of document.querySelectorAll("main pre")) {
  const mark = document.createComment("");
  pre.replaceWith(mark);
  mark.replaceWith(copyable(pre));
}
for (const table of document.querySelectorAll("table[data-runs]")) makeOpenable(table);
for (const table of document.querySelectorAll("table.sortable, table.scoreboard")) makeSortable(table);
for (const table of document.querySelectorAll("table.sortable, table.scoreboard")) makeFilterable(table);

// ---- folded parts: a link to what is in one opens it, and paper shows them all

function reveal(hash) {
  const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (!target) return;
  let isHidden = false;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
    isHidden ||= !fold.open;
    fold.open = true;
  }
  if (isHidden) target.scrollIntoView();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link) reveal(link.hash); // also where the address has this hash already
});
window.addEventListener("hashchange", () => reveal(location.hash));
reveal(location.hash);

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const fold of opened) fold.open = true;
});
window.addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
  opened = [];
});
