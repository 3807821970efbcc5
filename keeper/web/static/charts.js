// SPDX-License-Identifier: MIT
// Draws the charts of a vault from the columns in the page, with uPlot.
"use strict";
{
  const HEIGHT = 220; // pixels
  const DASHES = { main: [], other: [7, 4], band: [2, 3], limit: [10, 4, 2, 4] };
  const WIDTHS = { main: 2, other: 2, band: 1, limit: 1.5 };
  const plots = new Map();
  const known = new Map(); // chart and times by name, as they are drawn now
  let text = ""; // the columns that are drawn now

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const columns = () => {
    text = document.getElementById("columns").textContent;
    return JSON.parse(text);
  };
  const two = (value) => String(value).padStart(2, "0");
  const digits = (value, least, most) =>
    value.toLocaleString("en", { minimumFractionDigits: least, maximumFractionDigits: most });

  const words = (value, unit) => {
    if (value === null || value === undefined) return "none";
    if (unit === "percent") return `${digits(100 * value, 2, 3)} %`;
    return unit === "times" ? `${digits(value, 2, 2)} x` : digits(value, 2, 2);
  };
  const onAxis = (value, unit) => {
    if (unit === "percent") return `${digits(100 * value, 0, 2)} %`;
    return unit === "times" ? `${digits(value, 0, 1)} x` : digits(value, 0, 2);
  };

  const when = (at, step) => {
    const t = new Date(1000 * at);
    const day = `${two(t.getUTCMonth() + 1)}-${two(t.getUTCDate())}`;
    const time = `${two(t.getUTCHours())}:${two(t.getUTCMinutes())}`;
    if (step >= 86400) return day;
    return time === "00:00" ? day : step < 60 ? `${time}:${two(t.getUTCSeconds())}` : time;
  };

  const readOut = (figure, at) => {
    const { chart, times } = known.get(figure.dataset.chart);
    for (const output of figure.querySelectorAll("output")) {
      const line = chart.lines[Number(output.dataset.line)];
      output.textContent = at === null ? "" : words(line.values[at], chart.unit);
    }
    const plot = figure.querySelector(".plot");
    if (at === null) delete plot.dataset.when;
    else {
      const t = new Date(1000 * times[at]);
      const day = `${t.getUTCFullYear()}-${two(t.getUTCMonth() + 1)}-${two(t.getUTCDate())}`;
      plot.dataset.when = `${day} ${two(t.getUTCHours())}:${two(t.getUTCMinutes())} UTC`;
    }
  };

  const options = (figure, chart) => {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 } };
    axis.ticks = axis.grid;
    axis.font = "12px system-ui, sans-serif";
    return {
      width: Math.max(200, figure.querySelector(".plot").clientWidth),
      height: HEIGHT,
      tzDate: (at) => uPlot.tzDate(new Date(1000 * at), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { y: chart.limits ? { range: () => known.get(chart.name).chart.limits } : {} },
      axes: [
        { ...axis, space: 70, values: (_, ticks, __, ___, step) => ticks.map((at) => when(at, step)) },
        { ...axis, size: 70, values: (_, ticks) => ticks.map((tick) => onAxis(tick, chart.unit)) },
      ],
      series: [
        {},
        ...chart.lines.map((line) => ({
          label: line.label,
          stroke: colour(`--line-${line.style}`),
          width: WIDTHS[line.style],
          dash: DASHES[line.style],
          points: { show: false },
        })),
      ],
      bands: chart.band
        ? [{ series: [chart.band[0] + 1, chart.band[1] + 1], fill: colour("--band") }]
        : [],
      hooks: { setCursor: [(plot) => readOut(figure, plot.cursor.idx ?? null)] },
    };
  };

  const draw = () => {
    const { times, charts } = columns();
    for (const chart of charts) {
      const figure = document.querySelector(`[data-chart="${chart.name}"]`);
      if (!figure) continue;
      plots.get(chart.name)?.destroy();
      known.set(chart.name, { chart, times });
      const values = [times, ...chart.lines.map((line) => line.values)];
      const place = figure.querySelector(".plot");
      plots.set(chart.name, new uPlot(options(figure, chart), values, place));
    }
  };

  const refresh = () => {
    if (document.getElementById("columns").textContent === text) return;
    const { times, charts } = columns();
    if (charts.length && !document.querySelector("[data-chart]")) location.reload();
    for (const chart of charts) {
      known.set(chart.name, { chart, times });
      plots.get(chart.name)?.setData([times, ...chart.lines.map((line) => line.values)]);
    }
  };

  const read = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const plot = plots.get(event.target.closest("[data-chart]")?.dataset.chart);
    if (step === undefined || !plot) return;
    event.preventDefault();
    const last = plot.data[0].length - 1;
    const from = plot.cursor.idx ?? (step > 0 ? -1 : last + 1);
    const at = Math.max(0, Math.min(last, from + step));
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: 10 });
  };

  draw();
  document.addEventListener("fresh", refresh);
  document.addEventListener("themechange", draw);
  document.addEventListener("keydown", read);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) draw();
    width = innerWidth;
  });
}
