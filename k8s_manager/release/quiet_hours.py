"""Whether a release may take its next step now: freezes, windows, and quiet hours that are chosen by the load. Pure.

Quiet hours are chosen once for a release and kept in its state: asked again in the middle of a quiet night, a search
would rather choose the next one.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from k8s_manager.release.decision.state import ReleaseState, ReleaseWindow
from k8s_manager.release.release_times import ReleaseTimes
from k8s_manager.release.windows.live_guard import LiveLoad, may_progress
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.release.windows.next_window import guard_figures, next_window
from k8s_manager.release.windows.window_decision import WindowDecision, WindowReason
from k8s_manager.release.windows.window_rules import WindowRules

LOOKED_AGAIN = timedelta(hours=1)
"""After which quiet hours are looked for again where there were none."""


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """The requests of a model: of the weeks behind (None: not read yet, and `flaw` may say why), and in requests/s
    those of the last five minutes (None: not known)."""

    history: LoadHistory | None = None
    rate: float | None = None
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class StepPermission:
    """Whether steps may begin: `hindrance` says why not, and is empty where they may. `window` are the quiet hours of
    the release; `is_over` tells that no window is open."""

    hindrance: str = ""
    window: ReleaseWindow | None = None
    is_over: bool = False


def step_permission(times: ReleaseTimes, state: ReleaseState | None, load: ModelLoad, now: datetime) -> StepPermission:
    """Return whether a release may take a step `now`, which is aware."""
    if times.quiet is None:
        hindrance = times.hindrance(now)
        return StepPermission(hindrance, is_over=bool(hindrance) and not times.is_open(now))
    if state is None or not state.is_under_way:
        return StepPermission("Quiet hours are chosen for a release that has begun; wait.")
    window, has_ended = state.window, state.window is not None and now.timestamp() >= state.window.end
    if window is None or has_ended:
        window = _chosen(times, times.quiet, state, load, now)
    if window is None:
        said = load.flaw or "the requests of the last weeks are being read; wait"
        return StepPermission(f"Quiet hours are not chosen yet: {said}.", state.window, is_over=True)
    found = _guarded(times, times.quiet, window, load, now)
    return replace(found, is_over=found.is_over or has_ended)


def _chosen(
    times: ReleaseTimes, rules: WindowRules, state: ReleaseState, load: ModelLoad, now: datetime
) -> ReleaseWindow | None:
    """Return the next quiet hours; None while the load is not known."""
    if load.history is None:
        return None
    deadline = datetime.fromtimestamp(state.started, UTC) + rules.max_delay
    found = next_window(rules, load.history, times.freezes, now, deadline=deadline)
    if found.start is None or found.end is None:
        return ReleaseWindow(None, (now + LOOKED_AGAIN).timestamp(), found.sentence)
    return ReleaseWindow(found.start.timestamp(), found.end.timestamp(), found.sentence)


def _guarded(
    times: ReleaseTimes,
    rules: WindowRules,
    window: ReleaseWindow,
    load: ModelLoad,
    now: datetime,
) -> StepPermission:
    if window.start is None:
        return StepPermission(window.message, window, is_over=True)
    hours = WindowDecision(
        datetime.fromtimestamp(window.start, UTC),
        datetime.fromtimestamp(window.end, UTC),
        WindowReason.LOW_TRAFFIC,
        window.message,
        guard_figures(rules, load.history, now) if load.history else None,
    )
    may, said = may_progress(rules, hours, times.freezes, LiveLoad(now, load.rate))
    return StepPermission("" if may else said, window, is_over=now.timestamp() < window.start)
