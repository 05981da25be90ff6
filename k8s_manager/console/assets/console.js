// What keeps an open page true: it listens for changes, loads its live part again, and says when it cannot.
"use strict";
(() => {
  const line = document.getElementById("line");
  const part = document.getElementById("live");
  const SILENT = 40_000, AGAIN = 10_000;
  const began = Date.now();
  let heard = 0, behind = 0, again = 0, isSignedOut = false;
  let mark = document.body.dataset.mark || "", source = null;

  function say(kind, words) {
    if (!line || line.textContent === words) return;
    line.className = "live " + kind;
    line.textContent = words;
  }

  function clock(moment) { return new Date(moment).toLocaleTimeString(); }

  function judge() {
    if (isSignedOut) say("stale", "signed out; load the page again");
    else if (Date.now() - (heard || began) > SILENT) say("stale", "not live since " + clock(heard || began));
    else if (behind) say("stale", "not up to date since " + clock(behind));
    else if (heard) say("on", "live");
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

  function reload() {
    if (!document.hidden) document.body.dispatchEvent(new Event("changed"));
    else document.body.dataset.missed = "yes";
  }

  function listen() {
    const about = encodeURIComponent(part.dataset.about || "");
    source = new EventSource("/console/live?about=" + about + "&after=" + encodeURIComponent(mark));
    const hear = (event) => { heard = Date.now(); mark = event.lastEventId || mark; judge(); };
    source.addEventListener("open", (event) => { if (event.data) hear(event); });
    source.addEventListener("beat", hear);
    source.addEventListener("changed", (event) => { hear(event); reload(); });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN * (1 + Math.random()));
    });
  }

  function failed(event) {
    if (event.detail.elt.id !== "live") return;
    behind = behind || Date.now();
    clearTimeout(again);
    again = setTimeout(reload, AGAIN);
    judge();
  }

  showTimes(document);
  for (const name of ["responseError", "sendError", "timeout"]) document.body.addEventListener("htmx:" + name, failed);
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.elt.id !== "live" || !event.detail.shouldSwap) return;
    if (event.detail.serverResponse.includes('id="live"')) {
      clearTimeout(again);
      behind = 0;
      return;
    }
    event.detail.shouldSwap = false;  // the sign-in has come instead
    isSignedOut = true;
    judge();
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    showTimes(event.target.parentNode || document);
    if (line && part) judge();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && document.body.dataset.missed) {
      delete document.body.dataset.missed;
      reload();
    }
  });
  if (part && line) {
    listen();
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
    setInterval(judge, 5_000);
  } else if (line) {
    line.hidden = true;
  }
})();
