"use strict";
// Where the panels of a figure are, and how their axes look.

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axisName = (letter, panel) => letter + (panel ? panel + 1 : "");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const NARROW = 560; // pixels; a figure of fewer has its panels below each other
const PANEL = 200; // a panel has at least as many pixels
const LETTER = 7; // pixels of a letter, about

// A label in lines of at most `most` characters.
const wrapped = (text, most = 28) =>
  escaped(text.replace(RegExp(`(.{1,${most}})( |$)`, "g"), "$1\n").trim()).replaceAll("\n", "<br>");

// The panels by their place: as in the image, with gaps; without where fewer fit beside each other.
function gridOf(figure, width) {
  const full = new Set(figure.lines.map((line) => line.panel));
  const panels = figure.panels.map((title, panel) => ({ title, panel }));
  const across = width < NARROW ? 1 : Math.min(figure.across, Math.floor(width / PANEL));
  const placed = (across < figure.across ? panels.filter(({ panel }) => full.has(panel)) : panels)
    .map((item, place) => ({ ...item, row: Math.floor(place / across), column: place % across }))
    .filter(({ panel }) => full.has(panel));
  return { placed, across, down: Math.max(...placed.map(({ row }) => row)) + 1 };
}

// The values to label on an axis of `pixels`: all, or those that leave room for each other.
function ticksOf(values, isLog, pixels) {
  const [low, ...places] = values.map((value) => isLog ? Math.log(value) : value);
  const span = places.length ? places.at(-1) - low : 1;
  const needed = (value) => LETTER * String(value).length + 8;
  let [end, kept] = [-Infinity, []];
  values.forEach((value, k) => {
    const middle = (k ? places[k - 1] - low : 0) / span * pixels;
    if (middle - needed(value) / 2 < end) return;
    end = middle + needed(value) / 2;
    kept.push(value);
  });
  return { tickmode: "array", tickvals: kept, ticktext: kept.map(String), tickangle: 0 };
}

function axisLook() {
  return {
    gridcolor: variable("--line"),
    linecolor: variable("--muted"),
    zeroline: false,
    showline: true,
    tickfont: { size: 11 },
    automargin: true,
  };
}

function layoutOf(figure, width) {
  const { placed, across, down } = gridOf(figure, width);
  const letters = Math.floor((width - 74) / across / LETTER) - 2;
  const titles = placed.map(({ title }) => wrapped(title, letters));
  const rows = Math.max(...titles.map((title) => title.split("<br>").length));
  const [top, bottom] = [12 + 16 * rows, 24]; // pixels around each panel, for its title and its ticks
  const inner = placed.length === 1 ? 364 : (across === 1 ? 194 + 16 * rows : Math.max(230, Math.min(300, width / across))) * down;
  const text = variable("--text");
  const layout = {
    width,
    height: inner + 36,
    margin: { l: 62, r: 12, t: 12, b: 24 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: getComputedStyle(document.body).fontFamily, size: 12 },
    hoverlabel: { bgcolor: variable("--soft"), bordercolor: variable("--muted"), font: { color: text }, align: "left" },
    hovermode: "closest",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    showlegend: false,
    annotations: [],
  };
  const gap = across > 1 ? 0.03 : 0;
  const first = axisName("y", placed[0].panel);
  const ends = figure.logy ? figure.range.map(Math.log10) : figure.range;
  const decades = ends[1] - ends[0];
  for (const [place, { panel, row, column }] of placed.entries()) {
    const title = titles[place];
    const values = figure.ticks[panel]?.filter((value) => value > 0 || !figure.logx);
    const left = column / across + (column ? gap / 2 : 0);
    const right = (column + 1) / across - (column < across - 1 ? gap / 2 : 0);
    const high = 1 - row / down - (title ? top / inner : 0);
    const low = 1 - (row + 1) / down + bottom / inner;
    const isLast = !placed.some((other) => other.column === column && other.row > row);
    const isFirst = !placed.some((other) => other.row === row && other.column < column);
    layout[axisName("xaxis", panel)] = {
      ...axisLook(),
      domain: [left, right],
      anchor: axisName("y", panel),
      type: figure.logx ? "log" : "linear",
      title: { text: isLast ? escaped(figure.x) : "", standoff: 8 },
      ...(values ? ticksOf(values, figure.logx, 0.9 * (right - left) * (width - 74)) : { nticks: 6 }),
    };
    layout[axisName("yaxis", panel)] = {
      ...axisLook(),
      domain: [low, high],
      anchor: axisName("x", panel),
      type: figure.logy ? "log" : "linear",
      exponentformat: "power",
      range: ends,
      ...(figure.logy && decades > 0.5 && decades < 3 ? { dtick: "D2", tickformat: "~g" } : {}), // as in the image
      ...(axisName("y", panel) === first ? {} : { matches: first }),
      showticklabels: isFirst,
      title: { text: isFirst ? wrapped(figure.y) : "", standoff: 6 },
    };
    if (title) {
      const above = { x: (left + right) / 2, y: high, xref: "paper", yref: "paper" };
      const look = { xanchor: "center", yanchor: "bottom", showarrow: false, font: { size: 13, color: text } };
      layout.annotations.push({ ...above, ...look, text: title });
    }
  }
  return layout;
}
