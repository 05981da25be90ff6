"""The state of a release as it stands in `status.rollout` of a Model, from which any leader goes on. Pure.

What others have written there in another shape is no state: the release is then found again from the live weights.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from istio_templates.documents.override import moment, moment_text
from istio_templates.facts import Manifest
from k8s_manager.release.decision.rules import ReleaseRules
from k8s_manager.release.decision.state import (
    BlockedVersion,
    CheckResult,
    CheckVerdict,
    ReleasePhase,
    ReleaseReason,
    ReleaseState,
    ReleaseWindow,
)
from k8s_manager.traffic.release_record import RecordedBlock, ReleaseRecord

_MOMENTS = ("started", "since", "paused")


def rollout_in(model: Manifest) -> Manifest | None:
    """Return `status.rollout` of a Model; None where there is none."""
    found = (model.get("status") or {}).get("rollout")
    return found if isinstance(found, dict) else None


def status_of(state: ReleaseState, rules: ReleaseRules) -> Manifest:
    """Return what the status of a model says of its release."""
    found = {
        "phase": str(state.phase),
        "reason": str(state.reason),
        "message": state.message,
        "stable": state.stable,
        "version": state.version,
        "weights": [{"version": name, "weight": weight} for name, weight in state.weights.items() if weight],
        "weight": state.weight,
        "mirror": state.mirror,
        "step": state.step + 1,
        "steps": rules.last + 1,
        "begun": state.begun,
        "reached": state.reached + 1,
        "live": state.is_live,
        "forced": state.is_forced,
        "kept": state.kept,
        "plan": state.plan,
        "handled": state.handled,
        "approved": [step + 1 for step in state.approved],
        "checks": [_check(result) for result in state.results],
        "blocked": [{"version": one.version, "reason": one.reason, "at": _text(one.at)} for one in state.blocked],
    }
    if state.previous:
        found["previous"] = state.previous
    if state.window is not None and state.is_under_way:
        found["window"] = _window_text(state.window)
    return {**found, **{name: _text(at) for name in _MOMENTS if (at := getattr(state, name))}}


def record_of(state: ReleaseState, wanted: str) -> ReleaseRecord | None:
    """Return what of a state has to outlive the status; None where the document, which points at the version `wanted`,
    says it all."""
    if state.stable == wanted and not state.blocked:
        return None
    blocked = tuple(RecordedBlock(one.version, one.reason, one.at) for one in state.blocked)
    return ReleaseRecord(state.stable, blocked, state.handled)


def state_of(found: Any) -> ReleaseState | None:
    """Return the state in a status; None where there is none that can be read."""
    try:
        return ReleaseState(
            stable=_word(found["stable"]),
            version=_word(found["version"]),
            phase=ReleasePhase(found["phase"]),
            step=_count(found["step"], least=1) - 1,
            begun=found["begun"] is True,
            reached=_count(found["reached"]) - 1,
            weight=_count(found["weight"], most=100),
            mirror=_count(found.get("mirror", 0), most=100),
            is_live=found["live"] is True,
            kept=_count(found["kept"]),
            is_forced=found["forced"] is True,
            plan=str(found["plan"]),
            reason=ReleaseReason(found["reason"]),
            message=str(found["message"]),
            results=tuple(_results(found.get("checks") or [])),
            approved=tuple(_count(step, least=1) - 1 for step in found.get("approved") or []),
            handled=str(found.get("handled") or ""),
            blocked=tuple(_blocked(found.get("blocked") or [])),
            started=_moment_of(found, "started"),
            since=_moment_of(found, "since"),
            paused=_moment_of(found, "paused"),
            window=_window(found.get("window")),
            previous=str(found.get("previous") or ""),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _check(result: CheckResult) -> Manifest:
    figures = {"value": result.value, "bound": result.bound, "stable": result.stable, "requests": result.requests}
    return {
        "name": result.name,
        "verdict": str(result.verdict),
        "message": result.sentence,
        "at": _text(result.at),
        "failures": result.failures,
        **({"final": True} if result.is_final else {}),
        **{name: _rounded(value) for name, value in figures.items() if value is not None},
    }


def _window_text(window: ReleaseWindow) -> Manifest:
    start = {} if window.start is None else {"start": _text(window.start)}
    return {**start, "end": _text(window.end), "message": window.message}


def _window(found: Any) -> ReleaseWindow | None:
    if found is None:
        return None
    start = moment(found["start"]).timestamp() if "start" in found else None
    return ReleaseWindow(start, moment(found["end"]).timestamp(), str(found["message"]))


def _results(found: Any) -> Iterator[CheckResult]:
    for one in found:
        yield CheckResult(
            name=_word(one["name"]),
            verdict=CheckVerdict(one["verdict"]),
            sentence=str(one["message"]),
            at=moment(one["at"]).timestamp(),
            value=_figure(one.get("value")),
            bound=_figure(one.get("bound")),
            stable=_figure(one.get("stable")),
            requests=None if one.get("requests") is None else _count(one["requests"]),
            failures=_count(one["failures"]),
            is_final=one.get("final") is True,
        )


def _blocked(found: Any) -> Iterator[BlockedVersion]:
    for one in found:
        yield BlockedVersion(_word(one["version"]), str(one["reason"]), moment(one["at"]).timestamp())


def _text(at: float) -> str:
    return moment_text(datetime.fromtimestamp(at, UTC))


def _moment_of(found: Manifest, name: str) -> float:
    return moment(found[name]).timestamp() if name in found else 0.0


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def _count(value: Any, least: int = 0, most: int = 2**31) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} is no count")
    return value


def _figure(value: Any) -> float | None:
    if value is not None and type(value) not in (int, float):
        raise ValueError(f"{value!r} is no figure")
    return None if value is None else float(value)


def _rounded(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.4g}")
