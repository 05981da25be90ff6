"""Explanation of a limit, of warm replicas and of how many there are, in words and figures. Pure."""

from collections.abc import Mapping, Sequence

from istio_templates.facts import Manifest, WarmupFacts
from k8s_manager.autoscaling.scale_status import autoscale_status, replica_sentences
from k8s_manager.autoscaling.scale_view import ScaleView
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.override_text import number, override_sentence
from k8s_manager.status.limit_status import bucket_status, cap_of, limit_status, mode_of, refill_bound
from k8s_manager.status.model_status import REASONS
from k8s_manager.status.stage_status import stage_condition
from k8s_manager.warmup_gate.progress import PodProgress
from ratelimiter.capacity import VersionLoad
from ratelimiter.overrides import takes_away


def limit(
    subject: str,
    view: Mapping[str, LimitView],
    status: Manifest | None,
    pods: Sequence[Manifest] = (),
    trouble: Sequence[str] = (),
) -> Manifest:
    """Return a model's limit with its inputs, formula, state, and what each gateway pod enforces; `trouble` are
    sentences on a rollout that does not go well."""
    found = _limit(subject, view, status, pods)
    return {**found, "explanation": [*found["explanation"], *trouble]}


def _limit(subject: str, view: Mapping[str, LimitView], status: Manifest | None, pods: Sequence[Manifest]) -> Manifest:
    if not view:
        return {
            "model": subject,
            "mode": "off",
            "explanation": [f"{subject} has no limit: spec.rateLimit is absent or off; set it to limit the model."],
        }
    first = next(iter(view.values()))
    if first.holders is not None:
        return {"model": subject, "mode": "off", "explanation": [f"{subject}: {stage_condition(first).message}."]}
    if first.lifted and not takes_away(first.override):
        return {
            "model": subject,
            "mode": "off",
            "explanation": [
                f"{subject} has no limit: spec.rateLimit.mode is off; set it to enforce to limit the model."
            ],
        }
    target, terms = first.wanted.target, first.wanted.terms
    bounds = terms.bounds
    return {
        "model": subject,
        "mode": mode_of(first),
        **(limit_status(view, status) or {}),
        "formula": _formula(first),
        "bounds": {
            "floor": number(bounds.floor),
            "ceiling": None if bounds.ceiling is None else number(bounds.ceiling),
            "tenantCeiling": None if terms.tenant_ceiling is None else number(terms.tenant_ceiling),
        },
        "sources": _sources(first),
        "debounce": {name: _debounce(one) for name, one in view.items()},
        "pods": list(pods),
        "explanation": [*_sentences(subject, first, REASONS[target.total.reason]), *_probed(pods)],
    }


def _sources(view: LimitView) -> Manifest:
    """Return where each input comes from, and when it was observed."""
    heard = view.last_seen.isoformat(timespec="seconds") if view.last_seen else None
    override = view.override
    return {
        "replicas": {"from": "the pods, by watch", "asOf": heard},
        "gatewayPods": {"from": "the gateway's pods, by watch; starting and terminating ones count", "asOf": heard},
        "perReplicaQps": {"from": f"override {override.name}" if override and override.per_replica else "the Model"},
        "inForce": {
            "from": "the gateway's slot",
            "asOf": view.since.isoformat(timespec="seconds") if view.since else None,
        },
    }


def _share(view: LimitView) -> str:
    """Return how the total becomes the share of one gateway pod, and how exact that is."""
    bucket, total = view.in_force, view.wanted.target.total.value
    if bucket is None or total is None or view.pending is not None:
        return ""
    share = total / max(view.wanted.target.gateways, 1)
    exact = "exactly" if share == bucket.rate else f"rounded down from {float(share):.9g}/s, never up"
    each = "second" if bucket.interval == 1 else f"{bucket.interval} s"
    return f"A gateway pod's share is {bucket.tokens} requests each {each}, {exact}."


def _formula(view: LimitView) -> str:
    loads = [load for load in view.wanted.target.loads if load.share > 0]
    bounding = [load for load in loads if not load.own]
    parts = [f"{_served(load)} / {number(load.share)}" for load in bounding]
    whole = f"min({', '.join(parts)})" if len(parts) > 1 else parts[0] if parts else "0"
    if loads and not bounding:
        whole = " + ".join(map(_served, loads))
    return f"{whole} = {number(view.wanted.target.total.capacity)}/s, over {view.wanted.target.gateways} gateway pods"


def _served(load: VersionLoad) -> str:
    """Return replicas times figure, in brackets where some replicas have another figure."""
    new = load.replicas - sum(count for count, _ in load.older)
    groups = [(new, load.per_replica), *load.older] if new or not load.older else [*load.older]
    parts = [f"{count} x {number(figure)}" for count, figure in groups]
    return f"({' + '.join(parts)})" if len(parts) > 1 else parts[0]


def _debounce(view: LimitView) -> Manifest:
    if view.pending is None:
        return {"state": "settled"}
    due = None if view.due_in is None else round(view.due_in, 3)
    return {"state": "pending", "target": bucket_status(view.pending), "dueInSeconds": due}


def _probed(pods: Sequence[Manifest]) -> list[str]:
    if not pods:
        return []
    applied = sum(pod["state"] == "Applied" for pod in pods)
    others = ", ".join(f"{pod['pod']} {pod['state']}" for pod in pods if pod["state"] != "Applied")
    return [
        f"Confirmed by the config probe on {applied} of {len(pods)} gateway pods{f' ({others})' if others else ''}."
    ]


def _sentences(subject: str, view: LimitView, reason: str) -> list[str]:
    target = view.wanted.target
    sentences = [
        f"Version {load.name}: {load.replicas} ready replicas, {number(load.per_replica)}/s each, "
        f"{number(load.share * 100)} % of the traffic."
        for load in target.loads
    ]
    sentences += [
        f"{count} replicas of version {load.name} run an earlier pod template and count with the figure that was "
        f"declared for it, {number(figure)}/s each."
        for load in target.loads
        for count, figure in load.older
    ]
    sentences.append(f"Together they can serve {number(target.total.capacity)}/s; {reason}.")
    if view.override:
        sentences.append(f"Override {view.override.name}: {override_sentence(view.override)}.")
        sentences += [f"But {cap}." for cap in [cap_of(view)] if cap]
    sentences += [
        f"Override {other.name} is not in force, as that one is stronger: {override_sentence(other)}."
        for other in view.overruled
    ]
    if view.lifted:
        return [*sentences, "The override lifts the limit: every request is admitted. Delete it to restore the limit."]
    if view.in_force is not None:
        bucket = view.in_force
        whole = number(bucket.rate * max(target.gateways, 1))
        since = f" since {view.since.isoformat(timespec='seconds')}" if view.since else ""
        holds = {"shadow": "Counted and not enforced", "ramp": "In force for a part"}.get(mode_of(view), "In force")
        sentences.append(
            f"{holds}{since}: {whole}/s, {number(bucket.rate)}/s on each of {target.gateways} gateway pods."
        )
        sentences += [share] if (share := _share(view)) else []
        sentences.append(
            f"At most {bucket.burst} requests at once per gateway pod; {refill_bound(bucket, view.wanted.terms.burst)}."
        )
    else:
        sentences.append(
            f"Nothing is in force yet: the slot of {subject} is not written. Wait for the next reconcile pass."
        )
    if view.stage is not None:
        condition = stage_condition(view)
        sentences.append(f"{condition.reason}: {condition.message}.")
    if view.pending is not None:
        due = "now" if not view.due_in else f"in {view.due_in:.1f} s"
        sentences.append(
            f"A change to {number(view.pending.rate)}/s per gateway pod is due {due}, unless the replicas change again."
        )
    return sentences


def ready(
    subject: str, warmup: WarmupFacts | None, pods: Sequence[PodProgress], trouble: Sequence[str] = ()
) -> Manifest:
    """Return the warm-up state of each replica of a model, and whether it takes requests; `trouble` as for `limit`."""
    found = _ready(subject, warmup, pods)
    return {**found, "explanation": [*found["explanation"], *trouble]}


def _ready(subject: str, warmup: WarmupFacts | None, pods: Sequence[PodProgress]) -> Manifest:
    if warmup is None:
        none = f"{subject} has no warm-up: a replica takes requests as soon as its own readiness probe passes."
        return {"model": subject, "mode": "none", "explanation": [none], "replicas": []}
    head = f"{subject} is warmed up in mode {warmup.mode}" + (f" by plan {warmup.hash}." if warmup.hash else ".")
    if warmup.mode != "gate":
        return {"model": subject, "mode": warmup.mode, "plan": warmup.hash, "explanation": [head], "replicas": []}
    opened = [pod for pod in pods if pod.is_open]
    sentences = [head, f"{len(opened)} of {len(pods)} replicas take requests; only those count for the limit."]
    sentences += [f"{pod.name} (version {pod.version}) {_warm(pod)}" for pod in pods]
    replicas = [pod.live() for pod in pods]
    return {"model": subject, "mode": "gate", "plan": warmup.hash, "explanation": sentences, "replicas": replicas}


def _warm(pod: PodProgress) -> str:
    state = pod.live()
    took = f", after {state['seconds']:g} s" if "seconds" in state else ""
    first = f" Its first request came at {state['firstRequest']}." if "firstRequest" in state else ""
    return f"is {pod.state} since {pod.since or 'its start'}{took}: {state['message']}.{first}"


def replicas(subject: str, views: Sequence[ScaleView]) -> Manifest:
    """Return how many replicas the autoscaled versions of a model should have, with the formula term by term."""
    if not views:
        none = f"{subject} has no autoscale: workload.replicas or another owner says how many replicas there are."
        return {"model": subject, "mode": "off", "explanation": [none], "versions": []}
    sentences = [sentence for view in views for sentence in replica_sentences(view)]
    return {"model": subject, "mode": "autoscale", "explanation": sentences, "versions": autoscale_status(views)}
