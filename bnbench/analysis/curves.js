"use strict";
// Curves to hover over, zoom into and show arm by arm, drawn where a figure scrolls into view.
// The image of the figure stays for print, and wherever this cannot run.

const dark = matchMedia("(prefers-color-scheme: dark)");
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ---- colours: those of the images, on a dark page as light as it takes to be seen

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

// WCAG 2.2: relative luminance and contrast.
function luminance(hex) {
  const [r, g, b] = channels(hex).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function legible(hex) {
  const page = luminance(variable("--page"));
  if (!dark.matches) return hex;
  for (let white = 0; white < 1; white += 0.05) {
    const mixed = channels(hex).map((value) => Math.round(value + (255 - value) * white));
    const colour = `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
    if ((luminance(colour) + 0.05) / (page + 0.05) >= 3) return colour;
  }
  return "#ffffff";
}

const faint = (hex) => `rgba(${channels(hex).join(",")},0.18)`;

// ---- plotly: once per page, when it is first needed

let loading = null;

function loadPlotly() {
  loading ??= (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    return window.Plotly;
  })();
  return loading;
}

// ---- one figure

const axisName = (letter, panel) => letter + (panel ? panel + 1 : "");

function tracesOf(figure) {
  const traces = [];
  for (const line of [...figure.lines].reverse()) { // the first on top, as in the image
    const colour = legible(line.colour);
    const common = {
      type: "scatter",
      xaxis: axisName("x", line.panel),
      yaxis: axisName("y", line.panel),
      name: line.name,
      visible: !figure.hidden.has(line.name),
    };
    if (line.low) {
      // a point without an interval has a band of no height
      const low = line.low.map((value, k) => value ?? line.y[k]);
      const high = line.high.map((value, k) => value ?? line.y[k]);
      const floor = figure.logy ? figure.range[0] : -Infinity; // below it there is no logarithm
      traces.push({
        ...common,
        x: [...line.x, ...[...line.x].reverse()],
        y: [...high, ...low.reverse()].map((value) => Math.max(value, floor)),
        fill: "toself",
        fillcolor: faint(colour),
        line: { width: 0 },
        mode: "lines",
        hoverinfo: "skip",
      });
    }
    const width = line.low ? line.width : 0.9;
    traces.push({
      ...common,
      x: line.x,
      y: line.y,
      mode: line.diverged ? "lines+markers" : "lines",
      marker: { symbol: "x", color: colour, size: line.x.map((_, k) => (k === line.x.length - 1 ? 9 : 0)) },
      line: { color: colour, width, dash: line.dash.map((length) => `${length * 2}px`).join(",") || "solid" },
      text: line.x.map((_, k) => hoverText(figure, line, k)),
      hovertemplate: "%{text}<extra></extra>",
    });
  }
  return traces;
}

function hoverText(figure, line, k) {
  const words = [`<b>${escaped(line.name)}</b>`, escaped(line.arm)];
  words.push(`${escaped(figure.x)} ${line.x[k].toLocaleString("en")}`);
  let value = `${escaped(figure.y)} <b>${line.y[k]}</b>`;
  if (line.low && line.low[k] !== null) value += ` [${line.low[k]}, ${line.high[k]}]`;
  words.push(value);
  words.push(line.seed === undefined ? `n = ${line.n[k]} seeds` : `seed ${line.seed}${line.diverged ? ", diverged" : ""}`);
  return words.join("<br>");
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function layoutOf(figure, width) {
  const across = width < 560 ? 1 : figure.across;
  const down = Math.ceil(figure.panels.length / across);
  const [top, bottom] = [28, 24]; // pixels around each panel, for its title and its ticks
  const height = figure.panels.length === 1 ? 400 : (across === 1 ? 210 : Math.max(230, Math.min(300, width / across))) * down + 36;
  const text = variable("--text");
  const axis = {
    gridcolor: variable("--line"),
    linecolor: variable("--muted"),
    zeroline: false,
    showline: true,
    tickfont: { size: 11 },
    automargin: true,
  };
  const layout = {
    width,
    height,
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
  const gapX = across > 1 ? 0.03 : 0;
  const inner = height - 36;
  figure.panels.forEach((title, panel) => {
    const [row, column] = [Math.floor(panel / across), panel % across];
    const left = column / across + (column ? gapX / 2 : 0);
    const right = (column + 1) / across - (column < across - 1 ? gapX / 2 : 0);
    const high = 1 - row / down - (title ? top / inner : 0);
    const low = 1 - (row + 1) / down + bottom / inner;
    const [from, to] = spanOf(figure, panel);
    const isLast = panel + across >= figure.panels.length;
    layout[axisName("xaxis", panel)] = {
      ...axis,
      domain: [left, right],
      anchor: axisName("y", panel),
      type: figure.logx ? "log" : "linear",
      title: { text: isLast ? escaped(figure.x) : "", standoff: 8 },
      range: [from, to],
      ...(figure.logx ? { dtick: to - from > 2 ? 1 : "D2" } : { nticks: 6 }),
    };
    layout[axisName("yaxis", panel)] = {
      ...axis,
      domain: [low, high],
      anchor: axisName("x", panel),
      type: figure.logy ? "log" : "linear",
      exponentformat: "power",
      range: figure.logy ? figure.range.map(Math.log10) : figure.range,
      ...(panel ? { matches: "y" } : {}),
      showticklabels: column === 0,
      title: { text: column === 0 ? escaped(figure.y) : "", standoff: 6 },
    };
    if (title) {
      const place = { x: (left + right) / 2, y: high, xref: "paper", yref: "paper", xanchor: "center", yanchor: "bottom" };
      layout.annotations.push({ ...place, text: escaped(title), showarrow: false, font: { size: 13, color: text } });
    }
  });
  return layout;
}

// The ends of a panel's x-axis; a little more than the points, for what marks the last of them.
function spanOf(figure, panel) {
  const x = figure.lines.filter((line) => line.panel === panel).flatMap((line) => line.x);
  const [low, high] = [Math.min(...x), Math.max(...x)].map(figure.logx ? Math.log10 : Number);
  const more = (high - low || 1) * 0.01;
  return [low - more, high + more];
}

function draw(figure) {
  const layout = layoutOf(figure, figure.plot.clientWidth);
  const config = { displayModeBar: false, doubleClick: "reset" };
  return window.Plotly.react(figure.plot, tracesOf(figure), layout, config);
}

// ---- the legend: a button for each name

function swatch(line) {
  const dash = line.dash.map((length) => length * 2).join(" ");
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  mark.setAttribute("width", 26);
  mark.setAttribute("height", 10);
  mark.setAttribute("aria-hidden", "true");
  const stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const attributes = { d: "M0 5H26", stroke: legible(line.colour), "stroke-width": 3, "stroke-dasharray": dash || "none" };
  for (const [name, value] of Object.entries(attributes)) stroke.setAttribute(name, value);
  mark.append(stroke);
  return mark;
}

function legendOf(figure) {
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Lines to show" });
  for (const [name, line] of figure.named) {
    const button = element("button", { type: "button", "aria-pressed": "true" }, swatch(line), name);
    const show = () => {
      for (const [other, item] of figure.buttons) item.setAttribute("aria-pressed", String(!figure.hidden.has(other)));
      draw(figure);
    };
    button.addEventListener("click", () => {
      figure.hidden.delete(name) || figure.hidden.add(name);
      show();
    });
    button.addEventListener("dblclick", () => {
      const others = [...figure.named.keys()].filter((other) => other !== name);
      const isAlone = others.every((other) => figure.hidden.has(other));
      figure.hidden = new Set(isAlone ? [] : others);
      show();
    });
    figure.buttons.set(name, button);
    legend.append(button);
  }
  return legend;
}

// ---- from an image to curves, and back

const HINT = "Point at a line for its arm, mean and interval. A name above hides and shows its lines; double-click it to see "
  + "them alone. Drag to zoom, double-click to see all again.";

function makeLive(source) {
  const holder = source.closest("figure");
  const still = holder.querySelector(".card");
  const figure = JSON.parse(source.textContent);
  figure.named = new Map(figure.lines.map((line) => [line.name, line]));
  figure.hidden = new Set();
  figure.buttons = new Map();
  figure.plot = element("div", { class: "plot", role: "img", "aria-label": still.querySelector("img").alt });
  const title = element("h4", {}, still.getAttribute("aria-label"));
  const live = element("div", { class: "live" }, title, legendOf(figure), figure.plot);
  const other = element("button", { type: "button", class: "switch" }, "Show as image");
  other.addEventListener("click", () => {
    const isLive = holder.classList.toggle("curved");
    other.textContent = isLive ? "Show as image" : "Show as curves";
    if (isLive) draw(figure);
  });
  still.before(live);
  holder.querySelector("figcaption").before(other);
  holder.classList.add("curved");
  figure.plot.style.minHeight = `${layoutOf(figure, figure.plot.clientWidth).height}px`;
  const watcher = new IntersectionObserver(async ([seen]) => {
    if (!seen.isIntersecting) return;
    watcher.disconnect();
    await loadPlotly();
    await draw(figure);
    figure.isDrawn = true;
  }, { rootMargin: "300px" });
  watcher.observe(figure.plot);
  return figure;
}

if (window.DecompressionStream && window.IntersectionObserver) {
  const figures = [...document.querySelectorAll("script.curves")].map(makeLive);
  figures[0].plot.after(element("p", { class: "note" }, HINT));
  const again = () => {
    for (const figure of figures) {
      for (const [name, button] of figure.buttons) button.firstChild.replaceWith(swatch(figure.named.get(name)));
      if (figure.isDrawn && figure.plot.clientWidth) draw(figure);
    }
  };
  dark.addEventListener("change", again);
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(again, 150);
  });
}
