"""How a limit in shadow or ramp is shown: in conditions, statuses and words. Pure."""

from istio_templates import names
from istio_templates.facts import Manifest
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.world.condition import Condition
from ratelimiter.modes import Evidence


def staged(view: LimitView) -> Condition:
    """Tell how far a limit has come that is not, or not yet, enforced for all requests."""
    by = f" (override {view.override.name})" if view.override and view.override.mode else ""
    if view.holders is not None:
        who = ", ".join("/".join(names.place_of(holder)) for holder in view.holders)
        said = f"shadow and ramp need a pinned slot, and all are taken by {who}; nothing is limited until one is free"
        return Condition("Limited", False, "NoPinnedSlot", f"{said}{by}")
    assert view.stage is not None
    verdict = view.wanted.terms.verdict
    if view.stage.awaits and verdict:
        asked = f"at most {float(verdict.at_most * 100):g} % over {_span(verdict.over)}"
        said = f"stays in shadow until that shows {asked}; so far: {counted(view.evidence)}"
        return Condition("Limited", False, "AwaitsVerdict", said)
    if view.stage.enforced == 0:
        return Condition("Limited", False, "Shadow", f"{counted(view.evidence)}; nothing is refused{by}")
    share = view.stage.enforced
    if share == 100:
        return Condition("Limited", True, "Ramp", "is enforced for all requests: the ramp is at its end")
    return Condition(
        "Limited", True, "Ramp", f"is enforced for {share} % of the requests; {counted(view.evidence, 'found')}{by}"
    )


def counted(evidence: Evidence | None, verb: str = "would have refused") -> str:
    """Return what gateway pods have counted, as a sentence without its subject."""
    if evidence is None:
        return "no gateway pod has shown its counters yet"
    beyond = " beyond the limit" if verb == "found" else ""
    return f"{verb} {evidence.refused} of {evidence.requests} requests{beyond} in the last {_span(evidence.over)}"


def stage_status(view: LimitView) -> Manifest:
    """Return what a limit's status says of its stage; empty where it is simply enforced."""
    if view.stage is None:
        return {}
    found = view.evidence
    seen = None if found is None else {"refused": found.refused, "requests": found.requests, "over": _span(found.over)}
    return {"enforcedPercent": view.stage.enforced, "awaitsVerdict": view.stage.awaits or None, "observed": seen}


def _span(seconds: float) -> str:
    if seconds >= 3600:
        return "hour"
    return f"{int(seconds)} s" if seconds < 60 else f"{int(seconds // 60)} min"
