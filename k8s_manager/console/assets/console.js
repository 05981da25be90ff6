// What keeps an open page true: it listens for changes, loads its live part again, and says when it cannot.
"use strict";
(() => {
  const line = document.getElementById("line");
  const part = document.getElementById("live");
  const SILENT = 40_000;
  let heard = Date.now();

  function say(kind, words) {
    if (!line || line.textContent === words) return;
    line.className = "live " + kind;
    line.textContent = words;
  }

  function showTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.getTime())) {
        const today = moment.toDateString() === new Date().toDateString();
        time.textContent = today ? moment.toLocaleTimeString() : moment.toLocaleString();
      }
    }
  }

  function listen() {
    const source = new EventSource("/console/live?about=" + encodeURIComponent(part.dataset.about || ""));
    const hear = () => { heard = Date.now(); say("on", "live"); };
    source.addEventListener("open", hear);
    source.addEventListener("beat", hear);
    source.addEventListener("changed", () => {
      hear();
      if (!document.hidden) document.body.dispatchEvent(new Event("changed"));
      else document.body.dataset.missed = "yes";
    });
    window.addEventListener("pagehide", () => source.close());
  }

  showTimes(document);
  document.body.addEventListener("htmx:afterSwap", (event) => showTimes(event.target.parentNode || document));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && document.body.dataset.missed) {
      delete document.body.dataset.missed;
      document.body.dispatchEvent(new Event("changed"));
    }
  });
  if (part && line) {
    listen();
    setInterval(() => {
      if (Date.now() - heard > SILENT) say("stale", "not live since " + new Date(heard).toLocaleTimeString());
    }, 5_000);
  } else if (line) {
    line.hidden = true;
  }
})();
