"""Limit in shadow or ramp, as statuses, conditions and explanations show it. Pure."""

from istio_templates.facts import Manifest
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.world.condition import Condition
from ratelimiter.modes import Evidence


def stage_condition(view: LimitView) -> Condition:
    """Return the condition Limited of a limit that is not, or not yet, enforced for all requests."""
    by = f" (override {view.override.name})" if view.override and view.override.mode else ""
    if view.holders is not None:
        holders = ", ".join("/".join(holder.place) for holder in view.holders)
        message = (
            f"nothing is limited: modes shadow and ramp need a pinned slot, and all are used by {holders}; end one of "
            f"these shadows or ramps{by}"
        )
        return Condition("Limited", False, "NoPinnedSlot", message)
    assert view.stage is not None
    verdict = view.wanted.terms.verdict
    if view.stage.awaits and verdict:
        asked = f"at most {float(verdict.at_most * 100):g} % over {_span(verdict.over)}"
        message = f"the limit stays in shadow until it would have rejected {asked}; so far: {counted(view.evidence)}"
        return Condition("Limited", False, "AwaitsVerdict", message)
    share = view.stage.enforced
    if share == 0:
        return Condition("Limited", False, "Shadow", f"{counted(view.evidence)}; no request is rejected{by}")
    if share == 100:
        return Condition("Limited", True, "Ramp", "the ramp has ended: the limit is enforced for all requests")
    found = counted(view.evidence, "found")
    return Condition("Limited", True, "Ramp", f"the limit is enforced for {share} % of the requests; {found}{by}")


def counted(evidence: Evidence | None, verb: str = "would have rejected") -> str:
    """Return what gateway pods have counted."""
    if evidence is None:
        return "no gateway pod has reported its counters yet"
    beyond = " beyond the limit" if verb == "found" else ""
    counts = f"{evidence.refused} of {evidence.requests} requests{beyond} in the last {_span(evidence.over)}"
    return f"the gateway pods {verb} {counts}"


def stage_status(view: LimitView) -> Manifest:
    """Return the stage in a limit's status; empty where the limit is simply enforced."""
    if view.stage is None:
        return {}
    found = view.evidence
    seen = None if found is None else {"refused": found.refused, "requests": found.requests, "over": _span(found.over)}
    return {"enforcedPercent": view.stage.enforced, "awaitsVerdict": view.stage.awaits or None, "observed": seen}


def _span(seconds: float) -> str:
    if seconds >= 3600:
        return "hour"
    return f"{int(seconds)} s" if seconds < 60 else f"{int(seconds // 60)} min"
