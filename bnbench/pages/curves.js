"use strict";
// Curves to hover over, zoom into and show arm by arm, drawn where a figure scrolls into view.
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
        fillcolor: legible(line.colour, 0.18),
        line: { width: 0 },
        mode: "lines",
        hoverinfo: "skip",
      });
    }
    const hover = { text: line.x.map((_, k) => hoverText(figure, line, k)), hovertemplate: "%{text}<extra></extra>" };
    const width = line.low ? line.width : 0.9;
    const dash = line.dash.map((length) => `${length * 2}px`).join(",") || "solid";
    traces.push({ ...common, ...hover, x: line.x, y: line.y, mode: "lines", line: { color: colour, width, dash } });
    if (line.diverged) traces.push({ ...common, ...endOf(figure, line, hover, colour) });
  }
  return traces;
}

// Where a diverged run ended, or left the axes.
function endOf(figure, line, hover, color) {
  const last = line.x.length - 1;
  const [low, high] = figure.range;
  const y = Math.min(Math.max(line.y[last], low), high);
  const place = { x: [line.x[last]], y: [y], text: [hover.text[last]] };
  return { ...hover, ...place, mode: "markers", marker: { symbol: "x", size: 9, color }, cliponaxis: false };
}

function hoverText(figure, line, k) {
  const words = [`<b>${escaped(line.name)}</b>`, escaped(line.arm)];
  words.push(`${escaped(figure.x)} ${line.x[k].toLocaleString("en")}`);
  let value = `${escaped(figure.y)} <b>${line.y[k]}</b>`;
  if (line.low && line.low[k] !== null) value += ` [${line.low[k]}, ${line.high[k]}]`;
  words.push(value);
  const outcome = line.diverged ? ", diverged" : "";
  words.push(line.seed === undefined ? `n = ${line.n[k]} seeds` : `seed ${line.seed}${outcome}`);
  return words.join("<br>");
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
  const look = { stroke: legible(line.colour), "stroke-width": 3, "stroke-dasharray": dash || "none" };
  for (const [name, value] of Object.entries({ d: "M0 5H26", ...look })) stroke.setAttribute(name, value);
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

const HINT = "Point at a line for its arm, mean and interval. A name above hides and shows its lines; "
  + "double-click it to see them alone. Drag to zoom, double-click to see all again.";

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
