"""The replicas of autoscaled versions, as statuses, answers and explanations show them. Pure.

ScalingActive   signals decide how many replicas there are    Following | SignalMissing | NoSignal | ForeignAutoscaler
                                                              | WriterUnavailable | MetricsHeldByOther | NotApplied
                                                              | WriteFailed
ScalingLimited  they ask for more than there may be           WithinBounds | AtMost | Quota
"""

from collections.abc import Iterator, Mapping, Sequence

from istio_templates.facts import Manifest
from k8s_manager.autoscaling.api_service import API_SERVICE, INSTEAD
from k8s_manager.autoscaling.saturation_record import saturation_entry
from k8s_manager.autoscaling.scale_view import ScaleView
from k8s_manager.world.condition import Condition
from ratelimiter.autoscale.decision import Hold
from ratelimiter.autoscale.signals import SignalTerm

HOLDS: Mapping[Hold, str] = {
    Hold.NO_SIGNAL: "no signal can be read, so the replicas stay",
    Hold.SIGNAL_MISSING: "a signal is missing, and none goes until it is back",
    Hold.WARMING: "replicas are warming up, and none goes meanwhile",
    Hold.RELEASING: "a release is under way, and none goes meanwhile",
    Hold.WINDOW: "what goes is what the whole window of scaleDown would have borne",
    Hold.STEP: "a step of scaleUp or scaleDown bounds the change",
    Hold.AT_MOST: "max bounds it",
    Hold.AT_LEAST: "min bounds it",
    Hold.QUOTA: "the quota bears no more",
}
"""Why there are other replicas than the signals ask for."""
WITHOUT_KEDA = "install KEDA, the manager then continues, or set writer: tidegate"
APPLIED_BY = {"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}
"""The object by which a writer applies the number; it has the name of the Deployment."""
_NOT_APPLIED = {
    "hpa": "tidegate doctor says whether writer hpa can be used",
    "keda": "the log of KEDA's operator says more; the token of --keda-auth has to be that of a viewer",
}
_WRITERS = {
    "tidegate": "the manager writes the number",
    "hpa": "its HorizontalPodAutoscaler applies the number",
    "keda": "its ScaledObject applies the number",
}


def autoscale_status(views: Sequence[ScaleView]) -> list[Manifest]:
    """Return what a model's status says of its autoscaled versions."""
    return [_version(view) for view in views]


def _version(view: ScaleView) -> Manifest:
    decision, target = view.decision, view.target
    found = {
        "version": target.key.version,
        "writer": target.document.writer,
        "min": target.document.min,
        "max": target.document.max,
        "replicas": decision.replicas,
        "current": target.replicas,
        "warm": target.warm,
        "holds": [str(hold) for hold in decision.holds],
        "ratio": _rounded(decision.weighing.ratio),
        "need": _rounded(decision.need),
        "needAhead": _rounded(decision.ahead),
        "signals": [_signal(term, view) for term in decision.weighing.terms],
        "tooHigh": saturation_entry(target, view.saturation) if view.saturation else None,
        "at": view.at.isoformat(timespec="seconds"),
    }
    return _without_gaps(found)


def _signal(term: SignalTerm, view: ScaleView) -> Manifest:
    target = term.target
    found = {
        "name": target.name,
        "value": _rounded(term.value),
        "target": _rounded(target.target),
        "ratio": _rounded(term.ratio),
        "weight": target.weight,
        "guard": target.guard,
        "missing": view.why_missing(target.name) if term.ratio is None else None,
    }
    return _without_gaps(found)


def _without_gaps(found: Manifest) -> Manifest:
    return {name: value for name, value in found.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def scaling_conditions(views: Sequence[ScaleView]) -> list[Condition]:
    """Return the conditions of a model's autoscaled versions; none without such versions."""
    return [_active(views), _limited(views)] if views else []


def _active(views: Sequence[ScaleView]) -> Condition:
    found = [trouble for view in views for trouble in _troubles(view)]
    if not found:
        return Condition("ScalingActive", True, "Following", "the replicas follow their signals")
    _, holds, reason, message = min(found, key=lambda trouble: trouble[0])
    return Condition("ScalingActive", holds, reason, message)


def _troubles(view: ScaleView) -> Iterator[tuple[int, bool, str, str]]:
    """Yield (rank, whether signals decide nevertheless, reason, message)."""
    version, count, writer = view.target.key.version, view.target.replicas, view.target.document.writer
    if view.target.foreign:
        message = (
            f"autoscaler {view.target.foreign.name} scales version {version} too, so Tidegate leaves its replicas "
            "alone; delete that autoscaler, or take autoscale out of the document"
        )
        yield 0, False, "ForeignAutoscaler", message
    if target_kind := view.target.lacking:
        message = (
            f"the cluster has no kind {target_kind}, so nothing writes the {count} replicas of version {version}; "
            f"{WITHOUT_KEDA}"
        )
        yield 1, False, "WriterUnavailable", message
    if view.held_by:
        message = (
            f"{_held(view)}, so the HorizontalPodAutoscaler of version {version} gets no number and its {count} "
            f"replicas stay; {INSTEAD}"
        )
        yield 1, False, "MetricsHeldByOther", message
    elif view.complaint:
        message = f"the {count} replicas of version {version} stay: {_complaint(view)}; {_NOT_APPLIED[writer]}"
        yield 1, False, "NotApplied", message
    if view.failure:
        yield 1, False, "WriteFailed", f"the replicas of version {version} cannot be written: {view.failure}"
    if view.decision.weighing.ratio is None:
        message = f"no signal of version {version} can be read, its {count} replicas stay: {_missing(view)}"
        yield 2, False, "NoSignal", message
    elif view.decision.weighing.missing:
        yield 3, True, "SignalMissing", f"no replica of version {version} goes until they are back: {_missing(view)}"


def _held(view: ScaleView) -> str:
    return f"APIService {API_SERVICE.name} is held by {view.held_by}"


def _complaint(view: ScaleView) -> str:
    target = view.target
    kind, namespace = APPLIED_BY[target.document.writer], target.key.namespace
    return f"{kind} {namespace}/{target.deployment} says {view.complaint!r}"


def _missing(view: ScaleView) -> str:
    return "; ".join(f"{name}: {view.why_missing(name)}" for name in view.decision.weighing.missing)


def _limited(views: Sequence[ScaleView]) -> Condition:
    for view in views:
        version, most = view.target.key.version, view.target.document.max
        wanted = f"version {version} needs {_text(view.decision.ahead)} replicas"
        if Hold.QUOTA in view.decision.holds:
            message = f"{wanted}, and the quota of its namespace bears {view.decision.replicas}; raise the quota"
            return Condition("ScalingLimited", True, "Quota", message)
        if Hold.AT_MOST in view.decision.holds:
            return Condition("ScalingLimited", True, "AtMost", f"{wanted}, and max is {most}; raise max")
    return Condition("ScalingLimited", False, "WithinBounds", "no bound keeps replicas from coming")


def replica_sentences(view: ScaleView) -> Iterator[str]:
    """Yield what an explanation says of a version: what was read, the formula term by term, and what holds it."""
    target, decision = view.target, view.decision
    each = "" if target.per_replica is None else f", {float(target.per_replica):g}/s each"
    yield (
        f"Version {target.key.version}: {target.replicas} replicas, {target.warm} of them warm{each}; between "
        f"{target.document.min} and {target.document.max}, {_WRITERS[target.document.writer]}."
    )
    for term in decision.weighing.terms:
        yield _term(term, view)
    if decision.weighing.ratio is not None:
        yield _formula(view)
    for hold in decision.holds:
        yield f"{hold}: {HOLDS[hold]}."
    if target.unplaced:
        yield f"{target.unplaced.waiting} of its replicas find no node: {target.unplaced.said.rstrip('.')}."
    if target.foreign:
        yield f"Autoscaler {target.foreign.name} scales this version too, so nothing is written."
    if target.lacking:
        yield f"The cluster has no kind {target.lacking}, so nothing writes the number; {WITHOUT_KEDA}."
    if view.held_by:
        yield f"{_held(view)}, so its HorizontalPodAutoscaler gets no number; {INSTEAD}."
    if view.complaint:
        yield f"{_complaint(view)}."
    if view.failure:
        yield f"The number cannot be written: {view.failure}."
    yield f"It asks for {decision.replicas} replicas."


def _term(term: SignalTerm, view: ScaleView) -> str:
    target = term.target
    role = ", ".join(
        part
        for part in (f"weight {target.weight:g}" if target.weight else "", "a guard" if target.guard else "")
        if part
    )
    if term.value is None or term.ratio is None:
        return f"Signal {target.name} ({role}) is missing: {view.why_missing(target.name)}."
    return (
        f"Signal {target.name} ({role}) is {_text(term.value)}, its target for a replica {_text(target.target)}: "
        f"{_text(term.ratio)} times what the warm replicas should carry."
    )


def _formula(view: ScaleView) -> str:
    weighing, warm = view.decision.weighing, max(view.target.warm, 1)
    parts = [
        f"mean {_text(weighing.mean)}" if weighing.mean is not None else "",
        f"guard {_text(weighing.guard)}" if weighing.guard is not None else "",
    ]
    named = ", ".join(part for part in parts if part)
    ahead = view.decision.ahead
    coming = f", {_text(ahead)} when new ones are warm" if ahead != view.decision.need else ""
    return f"max({named}) x {warm} warm = {_text(view.decision.need)} replicas needed{coming}."


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
