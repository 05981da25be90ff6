"""Windows of cron, which come without looking at the load, and starts at once where there are none."""

from datetime import timedelta

from k8s_manager.release.windows.time_range import TimeRange, united, without
from k8s_manager.release.windows.window_decision import WindowDecision, WindowReason
from k8s_manager.release.windows.window_search import WindowSearch
from k8s_manager.release.windows.window_text import length_text, span_text

SHORTEST = timedelta(minutes=5)
"""What is left of a window beside freezes, and is shorter, is none."""


def by_cron(search: WindowSearch, lack: str) -> WindowDecision:
    """Return the first cron window, or part of one, that a release fits into; the longest where it fits into none.

    A release that does not fit goes on in the next window, or ends, by its own rule. `lack` says why the load does not
    choose.
    """
    rules, (begins, ends) = search.rules, search.horizon
    spans = united(
        TimeRange(max(begins, span.begins), span.ends)
        for window in rules.windows
        for span in window.spans(begins, ends)
        if span.begins <= search.deadline
    )
    if not spans:
        crons = ", ".join(sorted({f"{window.cron} ({window.zone})" for window in rules.windows}))
        return search.none(
            WindowReason.NO_CRON_WINDOW, f"{crons} has no moment until then; change it, or raise maxDelay"
        )
    free = [
        span
        for span in without(spans, search.frozen(max(span.ends for span in spans)))
        if span.length >= SHORTEST and span.begins <= search.deadline
    ]
    if not free:
        return search.frozen_over()
    fitting = next((span for span in free if span.length >= rules.length), None)
    chosen = fitting or max(free, key=lambda span: span.length)
    return WindowDecision(*chosen, WindowReason.STATIC, _sentence(search, chosen, lack, fits=fitting is not None))


def at_once(search: WindowSearch, lack: str) -> WindowDecision:
    """Return the first time outside freezes, with a warning that says what is missing."""
    whole = TimeRange(search.earliest, search.deadline + search.rules.length)
    free = (span for span in without([whole], search.frozen()) if span.begins <= search.deadline)
    found = next((span for span in free if span.length >= search.rules.length), None)
    if found is None:
        return search.frozen_over()
    span = TimeRange(found.begins, found.begins + search.rules.length)
    said = f"The release runs {span_text(span, search.rules.zone)} without regard to the load, since {lack}"
    return WindowDecision(
        *span, WindowReason.TOO_LITTLE_HISTORY, f"{said}; give static windows to choose another time."
    )


def _sentence(search: WindowSearch, span: TimeRange, lack: str, fits: bool) -> str:
    said = f"The next static window is {span_text(span, search.rules.zone)}, chosen without the load, since {lack}"
    short = (
        ""
        if fits
        else f"; it is shorter than the {length_text(search.rules.length)} that the release is estimated to run, so "
        "that it may not end within; lengthen the window, or shorten the steps"
    )
    return f"{said}{short}."
