"""The condition AutoscalerAgrees of a model: whether its document, limit, quota and autoscalers fit together. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from istio_templates.documents import ModelSpec
from istio_templates.documents.autoscale_signal import QUANTILE
from k8s_manager.autoscaling.scale_view import ScaleView
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.world.condition import Condition
from k8s_manager.world.rollout import UnplacedReplicas
from ratelimiter.autoscale.saturation import NEAR
from ratelimiter.autoscaler import Scaler, declared_twice, disagreement, own_scaler

Disagreement = tuple[str, str]
"""Reason and message."""


def agreement_conditions(
    spec: ModelSpec,
    limit: Mapping[str, LimitView],
    others: Mapping[str, Scaler],
    declared: Mapping[str, int],
    scales: Sequence[ScaleView],
    unplaced: Mapping[str, UnplacedReplicas],
) -> list[Condition]:
    """Return the condition; none where nothing scales the model, or an autoscaler of others a model without a limit.

    `others` are the autoscalers of others by version, `declared` the numbers of replicas that the document sets,
    `scales` the decisions on versions with `autoscale`, `unplaced` by version the replicas that find no node.
    """
    own = {version.name: own_scaler(version.autoscale) for version in spec.versions if version.autoscale}
    first = next(iter(limit.values()), None)
    scalers = {**own, **others}
    full = next(_nodes_full(scalers, unplaced), None)
    found = declared_twice(declared, others) or full or next(_disagreements(first, scalers, scales), None)
    if found:
        return [Condition("AutoscalerAgrees", False, *found)]
    if not own and (not others or first is None):
        return []
    said = (
        "the autoscalers can follow the load that the limit admits"
        if first
        else "nothing that is known keeps replicas from max"
    )
    return [Condition("AutoscalerAgrees", True, "Agrees", said)]


def _disagreements(
    limit: LimitView | None, scalers: Mapping[str, Scaler], scales: Sequence[ScaleView]
) -> Iterator[Disagreement]:
    limits = [limit, *limit.own] if limit else []
    yield from _figures_too_high(limits, scales)
    for one in limits:
        if found := disagreement(one.wanted.terms, one.wanted.target.loads, scalers, _refuses(one)):
            yield found
    yield from _quotas_too_small(scales)


def _nodes_full(scalers: Mapping[str, Scaler], unplaced: Mapping[str, UnplacedReplicas]) -> Iterator[Disagreement]:
    for version, found in unplaced.items():
        if scaler := scalers.get(version):
            who = "" if scaler.own else f" of autoscaler {scaler.name}"
            why = found.said.rstrip(".") or "no reason is given"
            said = (
                f"{scaler.bound}{who} is {scaler.most}, and nodes hold {found.placed} replicas of version {version}: "
                f"{found.waiting} more find none ({why}); add nodes, let replicas request less, or "
                f"lower {scaler.bound}"
            )
            yield "NodesFull", said


def _refuses(limit: LimitView) -> bool:
    """Tell whether requests beyond a limit are refused, be it in part."""
    is_tried = limit.holders is not None or (limit.stage is not None and limit.stage.enforced == 0)
    return not limit.lifted and not is_tried


def _figures_too_high(limits: Sequence[LimitView], scales: Sequence[ScaleView]) -> Iterator[Disagreement]:
    for view in scales:
        version, found = view.target.key.version, view.saturation
        if found is None or not all(_admits_near(limit, version) for limit in limits):
            continue
        latency = next(signal for signal in view.target.document.signals if signal.kind == "latency")
        said = (
            f"at {found.load:.4g} requests/s per replica of version {version} the "
            f"p{100 * (latency.quantile or QUANTILE):g} is {_milliseconds(found.latency)}, above its target "
            f"{_milliseconds(found.target)}; measure what a replica bears (tidegate measure), then lower perReplicaQps "
            "or raise the target"
        )
        yield "FigureTooHigh", said


def _admits_near(limit: LimitView, version: str) -> bool:
    """Tell whether a limit admits as much as proves something of a version: a ceiling or an override below keeps its
    load lower than its demand."""
    total = limit.wanted.target.total.value
    if limit.lifted or total is None:
        return True
    loads = [load for load in limit.wanted.target.loads if load.name == version]
    return all(load.share * total >= NEAR * float(load.served) for load in loads)


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.4g} ms"


def _quotas_too_small(scales: Sequence[ScaleView]) -> Iterator[Disagreement]:
    for view in scales:
        if found := view.short_of_quota:
            said = (
                f"max of version {view.target.key.version} is {view.target.document.max}, and quota {found.room.quota} "
                f"({found.resource}: {found.room.hard}) bears {found.replicas} replicas beside what else it holds; "
                "raise the quota, or lower max"
            )
            yield "QuotaTooSmall", said
