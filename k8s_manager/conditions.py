"""conditions: what each document is told about itself. Pure: from plan, results and limits to statuses.

Accepted    the document holds what it asks for              Accepted | Invalid | Conflict | NotFound
Programmed  everything that follows from it is written       Programmed | Pending | Waiting | FieldConflict
                                                             | Refused | Forbidden | ValidatorUnavailable | Unavailable
Ready       it serves                                        Ready | NoReadyReplica | NoGatewayPod | NotServed
Limited     (models) where the limit comes from              Capacity | Floor | Ceiling | TenantCeiling
                                                             | Cold | Stale | Off
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from istio_templates import names
from istio_templates.documents import InferenceGatewaySpec, ModelSpec, TenantSpec
from istio_templates.errors import TidegateError
from istio_templates.facts import Bucket, Manifest, ObjectKey
from k8s_manager.apply import Failure, Results
from k8s_manager.claims import gateway_name, namespace_of
from k8s_manager.kube.errors import Absent, FieldConflict, Forbidden, Refused, Unavailable
from k8s_manager.limits import LimitView
from k8s_manager.plan import Owner, Plan, Verdict
from k8s_manager.world import Stored, World

Views = Mapping[str, Mapping[str, LimitView]]


@dataclass(frozen=True, slots=True)
class Told:
    """One condition before it is dated."""

    type: str
    holds: bool
    reason: str
    message: str


def statuses(
    world: World, plan: Plan, results: Results, views: Views, routed: frozenset[ObjectKey]
) -> dict[ObjectKey, Manifest]:
    """Return the status of every document; `routed` are the VirtualServices that exist."""
    repairs = _repairs(results)
    out: dict[ObjectKey, Manifest] = {}
    for stored in world.documents():
        if stored.document is None:
            out[stored.key] = _status(stored, {}, [_accepted(plan.verdicts[stored.key])])
        elif isinstance(stored.document.spec, InferenceGatewaySpec):
            out[stored.key] = _gateway(stored, world, plan, results)
        elif isinstance(stored.document.spec, TenantSpec):
            out[stored.key] = _tenant(stored, stored.document.spec, plan, results)
        else:
            out[stored.key] = _model(stored, stored.document.spec, world, plan, results, views, routed)
        _note_repair(out[stored.key], stored, repairs)
    return out


def _gateway(stored: Stored, world: World, plan: Plan, results: Results) -> Manifest:
    name = stored.key.name
    pods = world.gateway_pods.get(name, ())
    ready = [pod for pod in pods if pod.ready and not pod.leaving]
    spec = stored.document.spec if stored.document else None
    assert isinstance(spec, InferenceGatewaySpec)
    addresses = sorted(f"{pod.address}:{listener.port}" for pod in ready if pod.address for listener in spec.listeners)
    serves = Told("Ready", bool(ready), "Ready", f"{len(ready)} of {len(pods)} gateway pods are ready")
    if not ready:
        message = f"no gateway pod with {spec.selector} is ready in namespace {spec.namespace}; start or mend them"
        serves = Told("Ready", False, "NoGatewayPod", message)
    body = {"pods": {"total": len(pods), "ready": len(ready)}, "addresses": addresses}
    told = [_accepted(plan.verdicts[stored.key]), _programmed(plan, stored, (name, "", ""), results, True), serves]
    return _status(stored, body, told)


def _tenant(stored: Stored, spec: TenantSpec, plan: Plan, results: Results) -> Manifest:
    name = stored.key.name
    body = {"namespace": namespace_of(name, spec), "gateway": gateway_name(name, spec)}
    told = [
        _accepted(plan.verdicts[stored.key]),
        _programmed(plan, stored, ("", name, ""), results, name in plan.tenants),
    ]
    return _status(stored, body, told)


def _model(
    stored: Stored,
    spec: ModelSpec,
    world: World,
    plan: Plan,
    results: Results,
    views: Views,
    routed: frozenset[ObjectKey],
) -> Manifest:
    namespace, name = stored.key.namespace, stored.key.name
    served = plan.models.get((namespace, name))
    tenant = served.tenant.name if served else ""
    ready = {version.name: world.ready.get((namespace, name, version.name), 0) for version in spec.versions}
    identity = names.identity(namespace, name)
    view = views.get(identity, {})
    body = {
        "url": _url(served, spec),
        "versions": [
            {"name": v.name, "desired": v.workload.replicas if v.workload else None, "ready": ready[v.name]}
            for v in spec.versions
        ],
        "limit": limit_status(view, stored.status.get("limit")),
    }
    there = ObjectKey("VirtualService", namespace, name) in routed
    told = [
        _accepted(plan.verdicts[stored.key]),
        _programmed(plan, stored, ("", tenant, name), results, there),
        _serves(spec, ready, there),
        _limited(view),
    ]
    return _status(stored, body, told)


def _url(served: Any, spec: ModelSpec) -> str | None:
    if served is None:
        return None
    route = spec.routes[0]
    owned = next((host for host in served.tenant.hosts if names.covers(host.name, route.host)), None)
    listener = names.listener_for(served.tenant.gateways[0], route.host, owned.credential if owned else None)
    if listener is None:
        return None
    return f"{listener.protocol.lower()}://{route.host}:{listener.port}{route.path}"


def _accepted(verdict: Verdict) -> Told:
    if verdict.accepted:
        return Told("Accepted", True, "Accepted", "holds what it asks for")
    said = "; ".join(str(problem) for problem in verdict.problems)
    return Told("Accepted", False, verdict.reason or "Invalid", f"{said}. What was there before is kept")


def _programmed(plan: Plan, stored: Stored, owner: Owner, results: Results, there: bool) -> Told:
    failed = {key: failure for key, failure in results.failures.items() if failure.owner == owner}
    leaving = next((leaving for leaving in plan.leaving if leaving.stored.key == stored.key), None)
    if leaving and leaving.waits:
        return Told("Programmed", False, "Waiting", f"is not deleted yet: {leaving.waits}")
    if failed:
        key, failure = min(failed.items())
        return Told("Programmed", False, _reason(failure.error), _sentence(key, failure))
    if stored.key in plan.waiting:
        return Told("Programmed", False, "Waiting", plan.waiting[stored.key])
    if not plan.verdicts[stored.key].accepted or not there:
        return Told("Programmed", False, "Pending", "not everything is written yet")
    return Told("Programmed", True, "Programmed", "everything is written")


def _reason(error: TidegateError) -> str:
    match error:
        case FieldConflict():
            return "FieldConflict"
        case Unavailable() if error.validator:
            return "ValidatorUnavailable"
        case Unavailable():
            return "Unavailable"
        case Forbidden():
            return "Forbidden"
        case Absent():
            return "KindAbsent"
        case Refused():
            return "Refused"
    return "WriteConflict"


def _sentence(key: ObjectKey, failure: Failure) -> str:
    if isinstance(failure.error, FieldConflict):
        owners = ", ".join(failure.error.managers)
        return f"{key} is held by {owners}; delete it or let {owners} give up its fields"
    return f"{key}: {failure.error}"


def _serves(spec: ModelSpec, ready: Mapping[str, int], there: bool) -> Told:
    empty = [share.version for share in spec.traffic if share.weight and not ready.get(share.version)]
    if empty:
        message = f"version {', '.join(empty)} has traffic but no ready replica; scale it up or look at its pods"
        return Told("Ready", False, "NoReadyReplica", message)
    if not there:
        return Told("Ready", False, "NotServed", "its routes are not written yet")
    return Told("Ready", True, "Ready", "every version with traffic has a ready replica")


def _limited(view: Mapping[str, LimitView]) -> Told:
    if not view:
        return Told("Limited", False, "Off", "no limit is set")
    first = next(iter(view.values()))
    return Told("Limited", True, first.wanted.target.total.reason, REASONS[first.wanted.target.total.reason])


REASONS = {
    "Capacity": "the limit is what the ready replicas can serve",
    "Floor": "the ready replicas can serve less than the floor; the floor holds",
    "Ceiling": "the ready replicas can serve more than the ceiling; the ceiling holds",
    "TenantCeiling": "the tenant's models together exceed its ceiling; all are scaled down alike",
    "Cold": "no replica is ready; the fallback for cold holds",
    "Stale": "the pods have not been heard of for too long; the fallback for stale holds",
}


def limit_status(view: Mapping[str, LimitView], before: Manifest | None) -> Manifest | None:
    """Return what a model's status says of its limit; None without one."""
    if not view:
        return None
    first = next(iter(view.values()))
    target = first.wanted.target
    bucket = first.in_force
    out: Manifest = {
        "total": None if bucket is None else number(bucket.rate * max(target.gateways, 1)),
        "perGateway": None if bucket is None else bucket_status(bucket),
        "gateways": target.gateways,
        "capacity": number(target.total.capacity),
        "reason": target.total.reason,
        "inputs": [
            {
                "version": load.name,
                "ready": load.replicas,
                "perReplicaQps": number(load.per_replica),
                "share": number(load.share),
            }
            for load in target.loads
        ],
        "refillBound": None if bucket is None else refill_bound(bucket, first.wanted.terms.burst),
    }
    same = before is not None and all(before.get(name) == out[name] for name in ("total", "perGateway"))
    since = before.get("since") if same and before else None
    return {**out, "since": since or (first.since.isoformat(timespec="seconds") if first.since else None)}


def refill_bound(bucket: Bucket, burst: Fraction) -> str:
    """Return how much one rewrite of the slot may admit beyond the limit."""
    seconds = max(burst, 2 / bucket.rate)
    return f"a rewrite of its slot may admit up to {number(seconds)} s worth of requests more"


def bucket_status(bucket: Bucket) -> Manifest:
    """Return a bucket as people read it."""
    return {
        "rate": number(bucket.rate),
        "tokens": bucket.tokens,
        "interval": f"{bucket.interval}s",
        "burst": bucket.burst,
    }


def number(value: Fraction) -> int | float:
    """Return a figure for JSON: whole where it is whole, else to six digits."""
    return int(value) if value.denominator == 1 else round(float(value), 6)


def _repairs(results: Results) -> dict[tuple[str, str], str]:
    out: dict[tuple[str, str], str] = {}
    for key, writers in results.repaired.items():
        out[key.namespace, key.name] = f"{key} was changed by {', '.join(writers) or 'somebody'} and set back"
    return out


def _note_repair(status: Manifest, stored: Stored, repairs: Mapping[tuple[str, str], str]) -> None:
    note = repairs.get((stored.key.namespace, stored.key.name))
    before = next((c for c in stored.status.get("conditions", []) if c["type"] == "Drift"), None)
    if note:
        status["conditions"].append(_dated(Told("Drift", True, "Repaired", note), stored))
    elif before:
        status["conditions"].append(before)


def _status(stored: Stored, body: Manifest, told: list[Told]) -> Manifest:
    conditions = [_dated(condition, stored) for condition in told]
    return {**body, "observedGeneration": stored.generation, "conditions": conditions}


def _dated(told: Told, stored: Stored) -> Manifest:
    """Date a condition: a status that has not changed keeps its date; an empty one is filled in on writing."""
    holds = "True" if told.holds else "False"
    before = next((c for c in stored.status.get("conditions", []) if c["type"] == told.type), None)
    since = before["lastTransitionTime"] if before and before["status"] == holds else ""
    return {
        "type": told.type,
        "status": holds,
        "reason": told.reason,
        "message": told.message,
        "observedGeneration": stored.generation,
        "lastTransitionTime": since,
    }
