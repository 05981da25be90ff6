"""Limit of a model, as statuses, answers and explanations show it. Pure."""

from collections.abc import Mapping
from fractions import Fraction

from istio_templates.facts import Bucket, Manifest
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.override_text import cap_sentence, number, override_sentence
from k8s_manager.status.stage_status import stage_status
from ratelimiter.capacity import VersionLoad
from ratelimiter.config_probe import PodConfigState
from ratelimiter.overrides import Override, takes_away


def limit_status(view: Mapping[str, LimitView], before: Manifest | None) -> Manifest | None:
    """Return the limit in a model's status; None without one."""
    if not view:
        return None
    first = next(iter(view.values()))
    if first.lifted and not takes_away(first.override):
        return None
    target = first.wanted.target
    bucket = first.in_force
    out: Manifest = {
        "total": None if bucket is None else number(bucket.rate * max(target.gateways, 1)),
        "perGateway": None if bucket is None else bucket_status(bucket),
        "mode": mode_of(first),
        "gateways": target.gateways,
        "capacity": number(target.total.capacity),
        "reason": "Lifted" if first.lifted else target.total.reason,
        "override": override_status(first.override),
        "cap": cap_of(first),
        "overruled": [override_status(other) for other in first.overruled] or None,
        "inputs": [_input(load) for load in target.loads],
        "refillBound": None if bucket is None else refill_bound(bucket, first.wanted.terms.burst),
    }
    out |= stage_status(first)
    if first.own:
        out["versions"] = [_version_limit(view) for view in first.own]
    same = before is not None and all(before.get(name) == out[name] for name in ("total", "perGateway"))
    since = before.get("since") if same and before else None
    return {**out, "since": since or (first.since.isoformat(timespec="seconds") if first.since else None)}


def mode_of(view: LimitView) -> str:
    """Return how a limit is enforced now: off, shadow, ramp or enforce."""
    if view.lifted:
        return "off"
    if view.stage is None or view.stage.enforced == 100:
        return "enforce"
    return "ramp" if view.stage.enforced else "shadow"


def cap_of(view: LimitView) -> str | None:
    """Return what keeps a limit from the figure that an override asks for; None without one."""
    total = view.wanted.target.total
    if view.override is None or view.lifted or total.cap is None or total.value is None:
        return None
    return cap_sentence(view.wanted.terms, total.cap, total.value)


def _input(load: VersionLoad) -> Manifest:
    older = [{"ready": count, "perReplicaQps": number(figure)} for count, figure in load.older]
    return {
        "version": load.name,
        "ready": load.replicas,
        "perReplicaQps": number(load.per_replica),
        "share": number(load.share),
        **({"older": older} if older else {}),
    }


def _version_limit(view: LimitView) -> Manifest:
    """Return the limit that a version has of its own."""
    bucket, version = view.in_force, view.wanted.terms.version
    if bucket is None:
        return {"version": version, "total": None, "perGateway": None}
    total = number(bucket.rate * max(view.wanted.target.gateways, 1))
    return {"version": version, "total": total, "perGateway": bucket_status(bucket)}


def override_status(override: Override | None) -> Manifest | None:
    """Return the override that is in force; None without one."""
    if override is None:
        return None
    expires = override.expires.isoformat(timespec="seconds")
    body = {"name": override.name, "author": override.author, "reason": override.reason, "expires": expires}
    return {**body, "sets": override_sentence(override).split(" by ", 1)[0]}


def refill_bound(bucket: Bucket, burst: Fraction) -> str:
    """Return how much one rewrite of the slot may admit beyond the limit."""
    seconds = max(burst, 2 / bucket.rate)
    return f"a rewrite of its slot may admit up to {number(seconds)} s worth of requests more"


def bucket_status(bucket: Bucket) -> Manifest:
    """Return a bucket as JSON."""
    return {
        "rate": number(bucket.rate),
        "tokens": bucket.tokens,
        "interval": f"{bucket.interval}s",
        "burst": bucket.burst,
    }


def pods_status(proofs: Mapping[str, PodConfigState], slot: int) -> list[Manifest]:
    """Return whether each gateway pod runs the slot of a limit."""
    return [{"pod": pod, "state": _state(proof, slot)} for pod, proof in sorted(proofs.items())]


def _state(proof: PodConfigState, slot: int) -> str:
    if proof.silent:
        return proof.state
    return "Rejected" if slot in proof.late else "Pending" if slot in proof.behind else "Applied"
