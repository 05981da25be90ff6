// Follows the log of a model's pods: the last lines stay, older ones go, and it says when no more come.
"use strict";
(() => {
  const bar = document.getElementById("follow"), box = document.getElementById("log");
  if (!bar || !box) return;
  const state = bar.querySelector("p"), button = bar.querySelector("button"), body = box.querySelector("tbody");
  const MOST = 1000, SILENT = 150_000, AGAIN = 10_000, FLUSH = 200;
  let source = null, waiting = [], flushing = 0, again = 0, heard = 0, isPaused = false, isFresh = false;

  function say(kind, words) {
    if (state.textContent === words) return;
    state.className = "live " + kind;
    state.textContent = words;
  }

  function cell(row, made, text) {
    const found = row.insertCell();
    if (made) found.className = "mono";
    found.append(text);
    return found;
  }

  function moment(time) {
    const found = new Date(time || NaN), shown = document.createElement("time");
    if (Number.isNaN(found.getTime())) return "\u2013";
    shown.dateTime = found.toISOString();
    shown.title = found.toISOString().slice(0, 19).replace("T", " ") + " UTC";
    const isToday = found.toDateString() === new Date().toDateString();
    shown.textContent = isToday ? found.toLocaleTimeString() : found.toLocaleString();
    return shown;
  }

  function add(line) {
    const row = body.insertRow(), link = document.createElement("a");
    link.href = location.pathname + "?pod=" + encodeURIComponent(line.pod);
    link.textContent = line.pod;
    cell(row, false, moment(line.time));
    cell(row, true, link);
    const text = document.createElement("span");
    text.textContent = line.problem || line.line || "";
    if (line.problem) text.className = "hot";
    cell(row, true, text);
  }

  function flush() {
    flushing = 0;
    const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 40;
    if (isFresh && waiting.length) {
      body.replaceChildren();
      isFresh = false;
    }
    waiting.sort((one, other) => ((one.time || "") < (other.time || "") ? -1 : (one.time || "") > (other.time || "") ? 1 : 0));
    waiting.forEach(add);
    waiting = [];
    while (body.rows.length > MOST) body.deleteRow(0);
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  function take(event) {
    heard = Date.now();
    waiting.push(JSON.parse(event.data));
    if (waiting.length > MOST) waiting.shift();
    flushing = flushing || setTimeout(flush, FLUSH);
  }

  function lost(why) {
    const since = heard ? " since " + new Date(heard).toLocaleTimeString() : "";
    say("stale", (why || "the line to the manager is lost") + since + "; trying again");
  }

  function open() {
    close();
    const line = new EventSource(bar.dataset.source);
    source = line;
    line.addEventListener("begin", () => { heard = Date.now(); isFresh = true; say("on", "following"); });
    line.addEventListener("beat", () => { heard = Date.now(); say("on", "following"); });
    line.addEventListener("message", take);
    line.addEventListener("refused", (event) => {
      line.close();
      lost("not followed: " + JSON.parse(event.data));
      again = setTimeout(open, AGAIN * (1 + Math.random()));
    });
    line.addEventListener("error", () => {
      lost();
      if (line.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN * (1 + Math.random()));
    });
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  function pause(asked) {
    isPaused = asked;
    button.textContent = asked ? "Go on" : "Pause";
    if (!asked) { open(); return; }
    close();
    say("", "paused");
  }

  bar.hidden = false;
  button.addEventListener("click", () => pause(!isPaused));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted && !isPaused) open(); });
  document.addEventListener("visibilitychange", () => {
    if (isPaused) return;
    if (document.hidden) { close(); say("", "paused while this page is hidden"); } else open();
  });
  setInterval(() => { if (source && heard && Date.now() - heard > SILENT) { lost(); open(); } }, 5_000);
  box.scrollTop = box.scrollHeight;
  if (!document.hidden) open();
})();
