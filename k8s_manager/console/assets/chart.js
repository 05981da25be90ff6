// The chart of a model: requests per second, and the limit with its changes, from the page's own series.
"use strict";
(() => {
  const box = document.getElementById("chart");
  const note = document.getElementById("chart-note");
  const EVERY = 10_000;
  if (!box) return;
  const kept = new Map();  // what each span showed last, by its address: a span that was left keeps its figures
  let plots = [], marks = [], source = box.dataset.source, asked = 0;

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

  // A dashed line with a triangle at each change of the limit; its reason stands below while the cursor is near it.
  function drawMarks(plot) {
    const { ctx, bbox } = plot, ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--hot");
    ctx.lineWidth = ratio;
    for (const mark of marks) {
      const x = Math.round(plot.valToPos(mark.x, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.setLineDash([3 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 4 * ratio, bbox.top);
      ctx.lineTo(x + 4 * ratio, bbox.top);
      ctx.lineTo(x, bbox.top + 7 * ratio);
      ctx.fill();
    }
    ctx.restore();
  }

  const words = (mark) => new Date(mark.at * 1000).toLocaleTimeString() + ": " + mark.message;

  function point(plot) {
    const left = plot.cursor.left;
    if (left == null || left < 0) return;
    const near = (mark) => Math.abs(plot.valToPos(mark.x, "x") - left);
    const found = marks.filter((mark) => near(mark) < 12).sort((one, other) => other.at - one.at);
    if (found.length) note.textContent = found.slice(0, 3).map(words).join("; ");
  }

  function options() {
    return [
      { ...common(), height: 250, hooks: { draw: [drawMarks], setCursor: [point] }, series: [
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
    const first = c.time.length ? c.time[0] : Infinity, end = c.time[c.time.length - 1];
    marks = found.changes.map((one) => ({ ...one, at: Date.parse(one.time) / 1000 })).filter((one) => one.at >= first);
    for (const mark of marks) mark.x = Math.min(mark.at, end);  // the newest step has one point, where it begins
    box.dataset.marks = marks.length;
    box.dataset.shown = first + " " + end;
    if (plots.length === data.length) plots.forEach((plot, number) => plot.setData(data[number]));
    else draw(data);
    const last = marks[marks.length - 1];
    note.textContent = found.gaps.length
      ? "Requests may be missing: " + found.gaps.join("; ")
      : last ? "Last change, " + words(last) : "";
  }

  async function load() {
    if (document.hidden) return;
    const from = source, turn = ++asked;
    try {
      const answer = await fetch(from, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) throw new Error(answer.statusText || "you are signed out");
      kept.set(from, await answer.json());
      if (from === source) show(kept.get(from));
    } catch (error) {
      if (turn === asked) note.textContent = "The chart is not live: " + error.message;
    }
  }

  // Another span is shown at once as it was left, and its newest figures come after; the address follows.
  function turnTo(link) {
    const span = new URL(link.href).searchParams.get("span");
    for (const other of link.parentElement.children) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    source = source.replace(/span=[^&]*/, "span=" + encodeURIComponent(span));
    box.dataset.source = source;
    history.replaceState(null, "", link.href);
    if (kept.has(source)) show(kept.get(source));
    load();
  }

  if (box.dataset.columns) {
    show({ columns: JSON.parse(box.dataset.columns), changes: [], gaps: [] });
  } else {
    load();
    setInterval(load, EVERY);
    document.addEventListener("visibilitychange", load);
    document.querySelector(".spans")?.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      turnTo(link);
    });
  }
  window.addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: box.clientWidth - 16, height: plot.height })));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.length && draw(plots.map((plot) => plot.data)));
})();
