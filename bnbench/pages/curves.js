"use strict";
// Figures to hover over, zoom into and show line by line, drawn where they scroll into view.
// The image of the figure stays for print, and wherever this cannot run.

const dark = matchMedia("(prefers-color-scheme: dark)");

// The colour of the images; on a dark page a third of it is white, which gives each a contrast of 3.
function legible(hex, opacity = 1) {
  const white = dark.matches ? 1 / 3 : 0;
  const channels = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${channels.map((value) => Math.round(value + (255 - value) * white))},${opacity})`;
}

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
    if (line.low && !figure.bars) {
      // a point without an interval has a band of no height
      const low = line.low.map((value, k) => value ?? line.y[k]);
      const high = line.high.map((value, k) => value ?? line.y[k]);
      const floor = figure.logy ? figure.range[0] : -Infinity; // below it there is no logarithm
      traces.push({
        ...common,
        x: [...line.x, ...[...line.x].reverse()],
        y: [...high, ...low.reverse()].map((value) => Math.max(value, floor)),
        fill: "toself",
        fillcolor: legible(line.colour, 0.18),
        line: { width: 0 },
        mode: "lines",
        hoverinfo: "skip",
      });
    }
    const hover = { text: line.x.map((_, k) => hoverText(figure, line, k)), hovertemplate: "%{text}<extra></extra>" };
    const isMarked = line.marker || line.dots;
    const mode = [line.width && "lines", isMarked && "markers"].filter(Boolean).join("+");
    const dash = line.dash.map((length) => `${length * 2}px`).join(",") || "solid";
    const look = {
      line: { color: colour, width: line.width, dash },
      marker: { color: colour, symbol: line.marker ?? "circle", size: line.marker ? 7 : 1.3 * line.dots },
      error_y: figure.bars && line.low ? barsOf(line, colour) : {},
    };
    if (mode) traces.push({ ...common, ...hover, ...look, x: placesOf(figure, line), y: line.y, mode });
    if (line.diverged) traces.push({ ...common, ...endsOf(figure, line, hover, colour) });
  }
  return traces;
}

// Marks at one value of x stand side by side; on a phone twice as far apart as in the image.
function placesOf(figure, { x, told }) {
  if (!told || figure.plot.clientWidth >= NARROW) return x;
  return x.map((place, k) => figure.logx ? place * (place / told[k]) : 2 * place - told[k]);
}

// The intervals at the points; a point without one has no bar.
function barsOf(line, color) {
  const [array, arrayminus] = [line.high, line.low].map((end) => end.map((value, k) => value === null ? null : Math.abs(value - line.y[k])));
  return { type: "data", symmetric: false, array, arrayminus, color, thickness: 1.3, width: 3 };
}

// Where a diverged run ended, or left the axes; of values without a line each is the end of a run.
function endsOf(figure, line, hover, color) {
  const from = line.width ? line.x.length - 1 : 0;
  const [low, high] = figure.range;
  const y = line.y.slice(from).map((value) => Math.min(Math.max(value ?? low, low), high));
  const place = { x: placesOf(figure, line).slice(from), y, text: hover.text.slice(from) };
  return { ...hover, ...place, mode: "markers", marker: { symbol: "x", size: 9, color }, cliponaxis: false };
}

const at = (value, k) => Array.isArray(value) ? value[k] : value;

function hoverText(figure, line, k) {
  const isNarrow = figure.plot.clientWidth < NARROW;
  const words = [`<b>${isNarrow ? wrapped(line.name) : escaped(line.name)}</b>`, escaped(at(line.arm, k))];
  words.push(`${escaped(figure.x)} ${(line.told ?? line.x)[k].toLocaleString("en", { maximumSignificantDigits: 15 })}`);
  words.push(isNarrow ? `${wrapped(figure.y)}<br>` : `${escaped(figure.y)} `);
  words.push(`${words.pop()}<b>${line.y[k] ?? "not finite"}</b>`);
  if (line.low && line.low[k] !== null) words.push(`${words.pop()} [${line.low[k]}, ${line.high[k]}]`);
  const outcome = line.diverged ? ", diverged" : "";
  words.push(line.n ? `n = ${line.n[k]} seed${line.n[k] > 1 ? "s" : ""}` : `seed ${at(line.seed, k)}${outcome}`);
  return words.join("<br>");
}

function draw(figure) {
  const layout = layoutOf(figure, figure.plot.clientWidth);
  const config = { displayModeBar: false, doubleClick: "reset" };
  return window.Plotly.react(figure.plot, tracesOf(figure), layout, config);
}

// ---- the legend: a button for each name

function swatch(figure, line) {
  const shape = (name, looks) => {
    const item = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [look, value] of Object.entries(looks)) item.setAttribute(look, value);
    return item;
  };
  const mark = shape("svg", { width: 26, height: 10, "aria-hidden": "true" });
  const dash = line.dash.map((length) => length * 2).join(" ");
  const colour = legible(line.colour);
  const width = line.marker ? 2 : 3;
  mark.append(shape("path", { d: "M0 5H26", stroke: colour, "stroke-width": width, "stroke-dasharray": dash || "none" }));
  if (line.marker) mark.append(shape("path", { d: figure.outlines[line.marker], fill: colour, transform: "translate(13 5) scale(7)" }));
  return mark;
}

function legendOf(figure) {
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Lines to show" });
  for (const [name, line] of figure.named) {
    const button = element("button", { type: "button", "aria-pressed": "true" }, swatch(figure, line), name);
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
  if (figure.lines.some((line) => line.diverged)) legend.append(element("span", {}, "× diverged run"));
  return legend;
}

// ---- from an image to a plot, and back

const HINT = "Point at a line or a mark for its arm, mean and interval. A name above hides and shows its lines; "
  + "double-click it to see them alone. Drag to zoom, double-click to see all again.";

function makeLive(source) {
  const holder = source.closest("figure");
  const still = holder.querySelector(".card");
  const figure = JSON.parse(source.textContent);
  figure.named = new Map();
  for (const line of figure.lines) if (!figure.named.has(line.name)) figure.named.set(line.name, line);
  figure.hidden = new Set();
  figure.buttons = new Map();
  figure.plot = element("div", { class: "plot", role: "img", "aria-label": still.querySelector("img").alt });
  const title = element("h4", {}, still.getAttribute("aria-label"));
  const live = element("div", { class: "live" }, title, legendOf(figure), figure.plot);
  const other = element("button", { type: "button", class: "switch" }, "Show as image");
  other.addEventListener("click", () => {
    const isLive = holder.classList.toggle("curved");
    other.textContent = isLive ? "Show as image" : "Show as plot";
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
      for (const [name, button] of figure.buttons) button.firstChild.replaceWith(swatch(figure, figure.named.get(name)));
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
