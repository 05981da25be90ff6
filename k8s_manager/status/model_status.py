"""Status of a model: its URL, versions, limit and warm-up, and whether it serves. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Version
from istio_templates.facts import LimitKey, Manifest, ServedModel
from k8s_manager.autoscaling.scale_agreement import agreement_conditions
from k8s_manager.autoscaling.scale_status import autoscale_status, scaling_conditions
from k8s_manager.autoscaling.scale_view import ScaleView
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.override_text import override_sentence
from k8s_manager.limits.prometheus_replicas import ONE_SOURCE, SourceDoubt
from k8s_manager.release.registry.registry_status import RegistryView, registry_condition, registry_status
from k8s_manager.release.release_status import release_condition
from k8s_manager.release.selection_status import selection_condition
from k8s_manager.status.callers.caller_status import guarding
from k8s_manager.status.document_status import DocumentInputs, condition_before, rendered_status, undated
from k8s_manager.status.limit_status import cap_of, limit_status
from k8s_manager.status.rollout_status import DeploymentState, rollout_conditions
from k8s_manager.status.stage_status import stage_condition
from k8s_manager.warmup_gate.progress import PodProgress, warm, warmup_status
from k8s_manager.world.condition import Condition
from k8s_manager.world.rollout import UnplacedReplicas
from k8s_manager.world.world import Stored
from ratelimiter.autoscaler import Scaler
from ratelimiter.overrides import takes_away

SCALING_CONDITIONS = ("ScalingActive", "ScalingLimited", "AutoscalerAgrees")
REASONS = {
    "Capacity": "the limit is what the ready replicas can serve",
    "Floor": "the ready replicas can serve less than the floor, so the limit is the floor; add replicas",
    "Ceiling": "the ready replicas can serve more than the ceiling, so the limit is the ceiling",
    "TenantCeiling": "the tenant's models together can serve more than its ceiling, so each gets its share of it",
    "Cold": "no replica is ready, so the limit is the fallback for cold models; check the pods",
    "Override": "an override sets the limit",
    "Frozen": "an override has frozen the limit",
    "Stale": "the pods have not been observed for too long, so the limit is the fallback for stale data; check that "
    "the manager reaches the API server",
}
"""Where a limit comes from, by its reason."""


class ModelInputs(NamedTuple):
    """What the status of a model is made from.

    `ready` are the ready replicas of each version, `scalers` its autoscalers, `declared` the numbers of replicas that
    the document sets and the manager sets back. `source_doubt` says why Prometheus and the watch may differ,
    `unfollowed` why its traffic is not that of its VirtualService, `warmup` how far replicas with a gate have come
    (None without gates), `draining` which versions drain, `rollouts` the Deployments of its versions, `without_pods`
    its gateways if none of them has a ready pod, `scales` the decisions on its replicas, `unplaced` by version replicas
    that have found no node for too long, `release_flaw` what is wrong in what was asked of its release, `selection`
    which version should serve, `registry` how it is with the registered model that its versions come from.
    `unguarded`: its tenant asks who calls, and no gateway can. `before_scales`: this manager has not looked at any
    replicas yet. `limit_mark` differs whenever the limit is shown differently.
    """

    spec: ModelSpec
    identity: LimitKey
    served: ServedModel | None
    ready: tuple[tuple[str, int], ...]
    scalers: tuple[tuple[str, Scaler], ...]
    declared: tuple[tuple[str, int], ...]
    source_doubt: SourceDoubt | None
    unfollowed: str | None
    warmup: tuple[PodProgress, ...] | None
    draining: tuple[Manifest, ...]
    limit_mark: object
    rollouts: tuple[DeploymentState, ...] = ()
    without_pods: tuple[str, ...] = ()
    scales: tuple[ScaleView, ...] = ()
    release_flaw: str | None = None
    unplaced: tuple[tuple[str, UnplacedReplicas], ...] = ()
    before_scales: bool = False
    selection: Manifest | None = None
    selected: Manifest | None = None
    registry: RegistryView | None = None
    unguarded: bool = False


def model_status(
    stored: Stored, document: DocumentInputs, inputs: ModelInputs, limit: Mapping[str, LimitView]
) -> Manifest:
    """Return the status of a model, with its limit on each of its gateways."""
    spec, ready = inputs.spec, dict(inputs.ready)
    body = {
        "url": _url(inputs.served, spec),
        "versions": [
            {"name": v.name, "desired": _desired(v, inputs.scales), "ready": ready[v.name]} for v in spec.versions
        ],
        "limit": limit_status(limit, stored.status.get("limit")),
    }
    conditions = [
        _ready(spec, ready, document.written, inputs.without_pods, inputs.scales),
        _limited(limit),
        *_scaling(inputs, limit, stored),
        *_sources_agree(inputs.source_doubt, stored),
        *_traffic_followed(inputs.unfollowed, stored, spec),
        *_traffic_matched(spec, ready),
        *_counted_together(inputs.served, spec, stored),
        *rollout_conditions(inputs.rollouts, stored),
        *((guarding(spec),) if inputs.unguarded else ()),
    ]
    if spec.rollout is not None:
        rollout = stored.status.get("rollout")
        conditions.append(release_condition(rollout, inputs.release_flaw))
        body |= {"rollout": rollout} if rollout is not None else {}
    if inputs.selection is not None:
        conditions.append(selection_condition(inputs.selection))
        body["selection"] = inputs.selection
        body |= {"selected": inputs.selected} if inputs.selected is not None else {}
    if inputs.registry is not None and spec.selection is not None and spec.selection.registry is not None:
        before = condition_before(stored, "RegistryRead")
        conditions.append(registry_condition(spec.selection.registry, inputs.registry, before))
        body["registry"] = registry_status(inputs.registry, stored.status.get("registry"))
    if inputs.scales:
        body["autoscale"] = autoscale_status(inputs.scales)
    elif _awaits_scales(inputs) and "autoscale" in stored.status:
        body["autoscale"] = stored.status["autoscale"]
    if inputs.warmup is not None and inputs.served and inputs.served.warmup:
        body["warmup"] = warmup_status(inputs.served.warmup.mode, inputs.served.warmup.hash, inputs.warmup)
        conditions.append(warm(inputs.warmup))
    if inputs.draining:
        body["draining"] = list(inputs.draining)
    return rendered_status(stored, document, body, conditions)


def _scaling(inputs: ModelInputs, limit: Mapping[str, LimitView], stored: Stored) -> list[Condition]:
    """Return the conditions of its replicas; until this manager has looked at them, those that there were."""
    others, declared, unplaced = dict(inputs.scalers), dict(inputs.declared), dict(inputs.unplaced)
    agreement = agreement_conditions(inputs.spec, limit, others, declared, inputs.scales, unplaced)
    if not _awaits_scales(inputs):
        return [*scaling_conditions(inputs.scales), *agreement]
    before = [found for name in SCALING_CONDITIONS if (found := condition_before(stored, name))]
    return [undated(one) for one in before] or agreement


def _awaits_scales(inputs: ModelInputs) -> bool:
    return inputs.before_scales and any(version.autoscale for version in inputs.spec.versions)


def _desired(version: Version, scales: Sequence[ScaleView]) -> int | None:
    """Return how many replicas a version is to have, as far as the manager decides on that."""
    scaled = (view.decision.replicas for view in scales if view.target.key.version == version.name)
    return next(scaled, version.workload.replicas if version.workload else None)


def _url(served: ServedModel | None, spec: ModelSpec) -> str | None:
    if served is None or served.attached:
        return None
    route = spec.routes[0]
    claim = names.claim_of(served.tenant, route.host)
    listener = names.listener_for(served.tenant.gateways[0], route.host, claim.credential if claim else None)
    if listener is None:
        return None
    return f"{listener.protocol.lower()}://{route.host}:{listener.port}{route.path}"


def _counted_together(served: ServedModel | None, spec: ModelSpec, stored: Stored) -> list[Condition]:
    """Report whether one count of requests is the whole model's; nothing where it always was.

    Envoy has a bucket for each filter chain of a listener, and each certificate has a chain of its own.
    """
    if served is None or spec.rate_limit is None or served.attached:
        return []
    hosts = {route.host: claim for route in served.routes if (claim := names.claim_of(served.tenant, route.host))}
    for pool in served.tenant.gateways:
        found = {names.server_of(pool, host, claim) for host, claim in hosts.items()} - {None}
        if len(found) > 1:
            message = (
                f"gateway {pool.name} serves {', '.join(sorted(hosts))} under {len(found)} certificates or ports, and "
                f"each counts by itself: up to {len(found)} times the limit is admitted; put the hosts under one "
                "certificate, or give each a model of its own"
            )
            return [Condition("CountedTogether", False, "SeveralServers", message)]
    if condition_before(stored, "CountedTogether"):
        return [Condition("CountedTogether", True, "OneServer", "one server takes all requests of the model")]
    return []


def _ready(
    spec: ModelSpec,
    ready: Mapping[str, int],
    written: bool,
    without_pods: tuple[str, ...],
    scales: Sequence[ScaleView],
) -> Condition:
    if spec.paused:
        message = f"the model is paused and its routes answer 503 ({spec.paused}); remove spec.paused to resume"
        return Condition("Ready", False, "Paused", message)
    carrying = [share.version for share in spec.traffic if share.weight]
    empty = [version for version in carrying if not ready.get(version)]
    asleep = {view.target.key.version for view in scales if view.decision.replicas == 0}
    if empty and asleep.issuperset(empty):
        message = "no replica runs, as nothing is asked for; the first requests are answered 503 and wake one"
        return Condition("Ready", False, "ScaledToZero", message)
    if empty:
        message = f"version {', '.join(empty)} has traffic but no ready replica; scale it up, or check its pods"
        if len(empty) < len(carrying):
            message += "; until then the other versions serve its share"
        return Condition("Ready", False, "NoReadyReplica", message)
    if not written:
        message = "the routes of the model are not written yet; correct what condition Programmed names"
        return Condition("Ready", False, "NotServed", message)
    if without_pods:
        message = (
            f"gateway {', '.join(without_pods)} has no ready pod, so no request reaches the model; start one, or see "
            "the gateway's conditions"
        )
        return Condition("Ready", False, "NoGatewayPod", message)
    return Condition("Ready", True, "Ready", "every version with traffic has a ready replica")


def _limited(limit: Mapping[str, LimitView]) -> Condition:
    if not limit:
        return Condition("Limited", False, "Off", "the model has no limit")
    first = next(iter(limit.values()))
    if first.holders is not None or first.stage is not None:
        return stage_condition(first)
    override = f" ({override_sentence(first.override)})" if first.override else ""
    if first.lifted and takes_away(first.override):
        return Condition(
            "Limited", False, "Lifted", f"an override lifts the limit{override}; delete it to restore the limit"
        )
    if first.lifted:
        return Condition("Limited", False, "Off", f"the model has no limit{override}")
    if first.in_force is None:
        message = (
            "the limit is not in a slot of the gateway yet, so the route waits for it; wait, or correct what rejects it"
        )
        return Condition("Limited", False, "Pending", message)
    reason, cap = first.wanted.target.total.reason, cap_of(first)
    return Condition("Limited", True, reason, REASONS[reason] + override + (f"; {cap}" if cap else ""))


def _sources_agree(doubt: SourceDoubt | None, stored: Stored) -> list[Condition]:
    """Report whether Prometheus and the watch count the same replicas; nothing where they always did."""
    before = condition_before(stored, "SourcesAgree")
    if doubt and doubt.reason == "Disagree":
        message = f"{doubt.said}; the manager uses the watch, check kube-state-metrics and its scrapes"
        return [Condition("SourcesAgree", False, "Disagree", message)]
    if before is None or doubt is ONE_SOURCE:
        return []
    if doubt is None:
        return [Condition("SourcesAgree", True, "Agree", "the watch and Prometheus count the same replicas")]
    if doubt.reason == "Settling":
        return [undated(before)]
    message = (
        f"{doubt.said}, so it is not known whether the watch and Prometheus count the same replicas; check Prometheus "
        "and kube-state-metrics"
    )
    return [Condition("SourcesAgree", None, "NotRead", message)]


def _traffic_matched(spec: ModelSpec, ready: Mapping[str, int]) -> list[Condition]:
    """Report whether every match leads to its version; nothing where a model has none."""
    cold = {match.version: match.arm for match in spec.traffic_matches if not ready.get(match.version)}
    if cold:
        message = (
            f"version {', '.join(cold)} has no ready replica, so the requests of match {', '.join(cold.values())} are "
            "divided by the weights; scale it up, or check its pods"
        )
        return [Condition("TrafficMatched", False, "NoReadyReplica", message)]
    if spec.traffic_matches:
        return [Condition("TrafficMatched", True, "Matched", "every match leads to a version with a ready replica")]
    return []


def _traffic_followed(problem: str | None, stored: Stored, spec: ModelSpec) -> list[Condition]:
    """Report whether the traffic of an attached model follows its route; nothing where it always did."""
    if problem:
        return [Condition("TrafficFollowed", False, "Unmapped", problem)]
    if condition_before(stored, "TrafficFollowed") and spec.attach_to:
        message = f"the traffic is what {spec.attach_to} sends to each version"
        return [Condition("TrafficFollowed", True, "Followed", message)]
    return []
