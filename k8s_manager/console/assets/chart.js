// The chart of a model: requests per second, and the limit, from the page's own series.
"use strict";
(() => {
  const box = document.getElementById("chart");
  const note = document.getElementById("chart-note");
  const EVERY = 10_000;
  if (!box) return;
  let plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const common = () => {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    return {
      width: box.clientWidth - 16,
      scales: { y: { range: (_, low, high) => [0, Math.max(1, (high || 0) * 1.1)] } },
      axes: [axis, { ...axis, size: 56 }],
      cursor: { sync: { key: "model" } },
    };
  };

  function options() {
    return [
      { ...common(), height: 250, series: [
        {},
        { label: "demand", stroke: colour("--accent"), width: 2 },
        { label: "admitted", stroke: colour("--good"), width: 1.5, dash: [6, 3] },
        { label: "limited", stroke: colour("--warm"), width: 1.5, fill: colour("--warm-ground") },
        { label: "limit", stroke: colour("--hot"), width: 2, paths: uPlot.paths.stepped({ align: 1 }) },
      ] },
      { ...common(), height: 150, series: [
        {},
        { label: "p50, ms", stroke: colour("--good"), width: 1.5 },
        { label: "p95, ms", stroke: colour("--accent"), width: 1.5 },
        { label: "p99, ms", stroke: colour("--warm"), width: 1.5 },
      ] },
      { ...common(), height: 120, series: [
        {},
        { label: "replicas asked for", stroke: colour("--accent"), width: 1.5, paths: uPlot.paths.stepped({ align: 1 }) },
        { label: "warm", stroke: colour("--good"), width: 2, paths: uPlot.paths.stepped({ align: 1 }) },
      ] },
    ];
  }

  function draw(data) {
    for (const plot of plots) plot.destroy();
    plots = data.map((columns, number) => new uPlot(options()[number], columns, box));
  }

  function show(found) {
    const c = found.columns;
    const data = [[c.time, c.demand, c.admitted, c.limited, c.limit]];
    if (c.p50) data.push([c.time, c.p50, c.p95, c.p99]);
    if (c.p50 && c.replicas) data.push([c.time, c.replicas, c.warm]);
    if (plots.length) plots.forEach((plot, number) => plot.setData(data[number]));
    else draw(data);
    const last = found.changes[found.changes.length - 1];
    note.textContent = found.gaps.length
      ? "Requests may be missing: " + found.gaps.join("; ")
      : last ? "Last change, " + new Date(last.time).toLocaleTimeString() + ": " + last.message : "";
  }

  async function load() {
    if (document.hidden) return;
    try {
      const answer = await fetch(box.dataset.source, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) throw new Error(answer.statusText || "you are signed out");
      show(await answer.json());
    } catch (error) {
      note.textContent = "The chart is not live: " + error.message;
    }
  }

  if (box.dataset.columns) {
    show({ columns: JSON.parse(box.dataset.columns), changes: [], gaps: [] });
  } else {
    load();
    setInterval(load, EVERY);
  }
  window.addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: box.clientWidth - 16, height: plot.height })));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.length && draw(plots.map((plot) => plot.data)));
})();
