"use strict";
// Where the panels of a figure of curves are, and how their axes look.

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axisName = (letter, panel) => letter + (panel ? panel + 1 : "");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// A label in lines of at most 28 characters.
const wrapped = (text) => escaped(text).replace(/(.{1,28})( |$)/g, "$1<br>").replace(/<br>$/, "");

// The panels by their place: as in the image, with gaps; on a phone below each other, without.
function gridOf(figure, width) {
  const full = new Set(figure.lines.map((line) => line.panel));
  const panels = figure.panels.map((title, panel) => ({ title, panel }));
  const isNarrow = width < 560;
  const across = isNarrow ? 1 : figure.across;
  const placed = (isNarrow ? panels.filter(({ panel }) => full.has(panel)) : panels)
    .map((item, place) => ({ ...item, row: Math.floor(place / across), column: place % across }))
    .filter(({ panel }) => full.has(panel));
  return { placed, across, down: Math.max(...placed.map(({ row }) => row)) + 1 };
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
  const [top, bottom] = [28, 24]; // pixels around each panel, for its title and its ticks
  const inner = placed.length === 1 ? 364 : (across === 1 ? 210 : Math.max(230, Math.min(300, width / across))) * down;
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
  for (const { title, panel, row, column } of placed) {
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
      nticks: 6,
    };
    layout[axisName("yaxis", panel)] = {
      ...axisLook(),
      domain: [low, high],
      anchor: axisName("x", panel),
      type: figure.logy ? "log" : "linear",
      exponentformat: "power",
      range: figure.logy ? figure.range.map(Math.log10) : figure.range,
      ...(axisName("y", panel) === first ? {} : { matches: first }),
      showticklabels: isFirst,
      title: { text: isFirst ? wrapped(figure.y) : "", standoff: 6 },
    };
    if (title) {
      const place = { x: (left + right) / 2, y: high, xref: "paper", yref: "paper" };
      const look = { xanchor: "center", yanchor: "bottom", showarrow: false, font: { size: 13, color: text } };
      layout.annotations.push({ ...place, ...look, text: escaped(title) });
    }
  }
  return layout;
}
