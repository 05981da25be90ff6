"""conditions: what each document is told about itself. Pure: from plan, results and limits to statuses.

Accepted    the document holds what it asks for              Accepted | Invalid | Conflict | NotFound
Programmed  everything that follows from it is written       Programmed | Pending | Waiting | FieldConflict
                                                             | Refused | Forbidden | ValidatorUnavailable | Unavailable
                                                             | KindAbsent | NamespaceAbsent
                                                             | NotCommitted | AwaitsGit
Ready       it serves              Ready | NoReadyReplica | NoGatewayPod | ProxyTooOld | NotServed
                                                             | Paused
Active      (overrides) it holds now                         Active | Expired
SlotsUnique (gateways) no other EnvoyFilter has a slot's name  Unique | Duplicate
LimitsApplied (gateways) every pod runs what was written        Applied | Rejected | NoAnswer
LoadEven    (gateways) no pod refuses while another idles       Even | Uneven
SourcesAgree (models) Prometheus with the watch                  Agree | Disagree
Warm        (models with a gate) every replica has proved it  Warm | Admitted | Waiting | Warming | TimedOut | Failed
AutoscalerAgrees (models) with the limit                     Agrees | CeilingUnreachable | TargetAboveLimit
CertificatesValid (gateways, tenants) what they serve      Valid | Absent | Unreadable | Expired | WrongHost | Expiring
Drift       somebody else has changed something of it       Repaired | Reported | Adopted
Limited     (models) where the limit comes from              Capacity | Floor | Ceiling | TenantCeiling
                                                             | Cold | Stale | Override | Frozen | Off | Lifted
                                                             | Shadow | Ramp | AwaitsVerdict | NoPinnedSlot
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from istio_templates import names
from istio_templates.documents import (
    AccessGrantSpec,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey, ServedModel
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.kube.errors import Absent, FieldConflict, Forbidden, Refused, Unavailable
from k8s_manager.kube.resources import ISTIO
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.pipeline.apply import Failure, Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.pipeline.plan import Plan, owner_of_document
from k8s_manager.pipeline.termination import Terminating
from k8s_manager.runtime.memo import Memo
from k8s_manager.status.drift_status import DriftNotes
from k8s_manager.status.gateway_status import even, gateway_status
from k8s_manager.status.limit_status import limit_status, override_sentence
from k8s_manager.status.sources import GateSource, LimitSource, StatusSources
from k8s_manager.status.stage_status import staged
from k8s_manager.traffic.drain import Draining
from k8s_manager.warmup_gate.progress import PodProgress, warm, warmup_status
from k8s_manager.world import certificate
from k8s_manager.world.binding import Binding
from k8s_manager.world.condition import Condition
from k8s_manager.world.owner import Owner
from k8s_manager.world.tenant import gateway_name, namespace_of
from k8s_manager.world.world import Stored, World
from ratelimiter.autoscaler import Scaler, disagreement
from ratelimiter.overrides import Override, takes_away


def _warmth(served: ServedModel | None, gates: GateSource) -> tuple[PodProgress, ...] | None:
    """Return how far the replicas of a model have come, live progress left out; None where they have no gates."""
    if served is None or served.warmup is None or served.warmup.mode != "gate":
        return None
    found = gates.view(served.tenant.namespace, {version.name: version.labels for version in served.versions})
    return tuple(replace(pod, progress=None) for pod in found)


class StatusBuilder:
    """Tells statuses pass after pass; what they come from and has not changed is not told anew."""

    def __init__(self) -> None:
        self._memo = Memo()
        self._drift = DriftNotes()

    def statuses(
        self,
        world: World,
        plan: Plan,
        results: Results,
        asked: StatusSources,
        owned: Mapping[ObjectKey, Manifest],
        changes: Changes,
        now: datetime,
    ) -> dict[ObjectKey, Manifest]:
        """Return the status of every document at `now`."""
        failures, leaving = _failures(results), {s.stored.key: s for s in plan.terminating}
        drift = self._drift.told(results, changes, plan, owned)
        out: dict[ObjectKey, Manifest] = {}
        for stored in world.documents():
            key = stored.key
            owner = leaving[key].owner if key in leaving else owner_of_document(key, plan)
            writing = Writing(
                plan.admission[key],
                failures.get(owner),
                leaving.get(key),
                plan.waiting.get(key) or world.handovers.get((key.namespace, key.name)),
                _is_there(key, plan, owned),
                results.behind.get(owner),
            )
            of_kind = self._inputs(stored, world, plan, asked, changes.draining, now)
            certified = certificate.told(plan.certificates.get(key, {}), world.certificates, now)
            out[key] = self._memo.get(
                key,
                (stored, stored.status, writing, of_kind, certified, drift.get(owner)),
                partial(_told, stored, writing, of_kind, asked.limits, certified, drift.get(owner)),
            )
        self._memo.end_round()
        return out

    def _inputs(
        self, stored: Stored, world: World, plan: Plan, asked: StatusSources, draining: Draining, now: datetime
    ) -> tuple[Any, ...]:
        limits, proofs = asked.limits, asked.proofs
        if stored.key.kind == "InferenceGateway":
            name = stored.key.name
            pods, twins = world.gateway_pods.get(name, ()), world.duplicate_slot_filters.get(name, ())
            uneven = asked.counters.uneven(name)
            trouble, back = proofs.trouble(name), _rolled_back(name, limits)
            rejects = tuple(sorted((proofs.rejects or {}).items())) if trouble or back else ()
            return (pods, twins, trouble, back, rejects, uneven, proofs.started)
        if stored.key.kind == "Tenant":
            return (world.bindings.get(stored.key.name),)
        if stored.key.kind == "LimitOverride":
            override = plan.overrides.get(stored.key)
            return (plan.override_matches[stored.key], override, override is not None and now < override.expires)
        if stored.document is None or stored.key.kind in ("WarmupPlan", "AccessGrant"):
            return ()
        key = (stored.key.namespace, stored.key.name)
        spec = stored.document.spec
        assert isinstance(spec, ModelSpec)
        ready = tuple(world.ready.get((*key, version.name), 0) for version in spec.versions)
        scaled = tuple((v.name, world.scalers.get((key[0], names.deployment(key[1], v.name)))) for v in spec.versions)
        identity = identity_of(stored)
        served = plan.models.get(key)
        warmth = _warmth(served, asked.gates)
        leaving = draining.status(*key)
        return (served, ready, scaled, limits.disagreement(identity), warmth, leaving, limits.mark(identity))


@dataclass(frozen=True, slots=True)
class Writing:
    """How far a document has come: its verdict, a write that failed, what it waits for, whether all is there, and what
    Git has yet to bring."""

    verdict: AdmissionResult
    failure: tuple[ObjectKey, Failure] | None
    leaving: Terminating | None
    waiting: str | None
    there: bool
    behind: Condition | None = None


def _is_there(key: ObjectKey, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> bool:
    served = plan.models.get((key.namespace, key.name))
    if served and served.attached:
        return True
    if key.kind == "Model":
        return key._replace(kind="VirtualService") in owned
    return key.kind == "InferenceGateway" or key.name in plan.tenants


def _failures(results: Results) -> dict[Owner, tuple[ObjectKey, Failure]]:
    out: dict[Owner, tuple[ObjectKey, Failure]] = {}
    for key, failure in sorted(results.failures.items(), reverse=True):
        out[failure.owner] = (key, failure)
    return out


def _told(
    stored: Stored,
    writing: Writing,
    of_kind: tuple[Any, ...],
    limits: LimitSource,
    certified: Condition | None,
    drift: Condition | None,
) -> Manifest:
    spec = stored.document.spec if stored.document else None
    match spec:
        case InferenceGatewaySpec():
            body, told = gateway_status(spec, *of_kind[:-2])
            told += even(of_kind[-2], _before(stored, "LoadEven") is not None)
        case TenantSpec():
            name = stored.key.name
            bound = of_kind[0] or Binding((gateway_name(name, spec),))
            body, told = {"namespace": namespace_of(name, spec), **bound.status()}, []
            if not writing.verdict.accepted:
                body |= _kept(stored)
        case WarmupPlanSpec() | AccessGrantSpec():
            accepted = _dated(_accepted(writing.verdict), stored)
            return {"observedGeneration": stored.generation, "conditions": [accepted]}
        case LimitOverrideSpec():
            return _override_status(stored, writing.verdict, *of_kind)
        case ModelSpec():
            view = limits.view(identity_of(stored))
            body, told = _model(stored, spec, of_kind[0], of_kind[1], view, writing)
            told += _autoscaled(view, {name: scaler for name, scaler in of_kind[2] if scaler})
            told += _sources(of_kind[3], stored)
            if of_kind[4] is not None and of_kind[0].warmup:
                body["warmup"] = warmup_status(of_kind[0].warmup.mode, of_kind[0].warmup.hash, of_kind[4])
                told.append(warm(of_kind[4]))
            if of_kind[5]:
                body["draining"] = of_kind[5]
        case _:
            body, told = _kept(stored), []
    told += [certified] if certified else []
    conditions = [_accepted(writing.verdict), *([] if spec is None else [_programmed(writing)]), *told]
    status = {**body, "observedGeneration": stored.generation, "conditions": [_dated(c, stored) for c in conditions]}
    _tell_drift(status, stored, drift)
    if isinstance(spec, InferenceGatewaySpec) and not of_kind[-1]:
        _keep_proof(status, stored)
    return status


def _keep_proof(status: Manifest, stored: Stored) -> None:
    """Let what was proved before stand until the gateway pods have been asked anew."""
    before = _before(stored, "LimitsApplied")
    if before and all(condition["type"] != "LimitsApplied" for condition in status["conditions"]):
        status["conditions"].append(before)


def _override_status(
    stored: Stored, verdict: AdmissionResult, meant: int, override: Override | None, active: bool
) -> Manifest:
    """Return the status of an override: how many models it is for, and whether it holds now."""
    told = [_accepted(verdict)]
    if override:
        until = override.expires.isoformat(timespec="seconds")
        said = f"holds until {until} unless a stronger one does" if active else f"ended at {until}; delete it"
        told.append(Condition("Active", active, "Active" if active else "Expired", said))
    conditions = [_dated(c, stored) for c in told]
    return {"models": meant, "observedGeneration": stored.generation, "conditions": conditions}


def _kept(stored: Stored) -> Manifest:
    """Return where a tenant is served, as it was: a document that is refused moves nobody."""
    return {name: stored.status[name] for name in ("namespace", "gateway", "moving") if name in stored.status}


def _rolled_back(gateway: str, limits: LimitSource) -> tuple[int, ...]:
    return tuple(slot for name, slot in limits.rolled_back if name == gateway)


def _model(
    stored: Stored,
    spec: ModelSpec,
    served: ServedModel | None,
    counts: tuple[int, ...],
    view: Mapping[str, LimitView],
    writing: Writing,
) -> tuple[Manifest, list[Condition]]:
    ready = {version.name: count for version, count in zip(spec.versions, counts, strict=True)}
    versions = [
        {"name": v.name, "desired": v.workload.replicas if v.workload else None, "ready": ready[v.name]}
        for v in spec.versions
    ]
    limit = limit_status(view, stored.status.get("limit"))
    body = {"url": _url(served, spec), "versions": versions, "limit": limit}
    return body, [_serves(spec, ready, writing.there), _limited(view)]


def _url(served: ServedModel | None, spec: ModelSpec) -> str | None:
    if served is None or served.attached:
        return None
    route = spec.routes[0]
    claim = names.claim_of(served.tenant, route.host)
    listener = names.listener_for(served.tenant.gateways[0], route.host, claim.credential if claim else None)
    if listener is None:
        return None
    return f"{listener.protocol.lower()}://{route.host}:{listener.port}{route.path}"


def _accepted(verdict: AdmissionResult) -> Condition:
    if verdict.accepted:
        return Condition("Accepted", True, "Accepted", "holds what it asks for")
    said = "; ".join(str(problem) for problem in verdict.problems)
    return Condition("Accepted", False, verdict.reason or "Invalid", f"{said}. What was there before is kept")


def _programmed(writing: Writing) -> Condition:
    if writing.leaving and writing.leaving.waits:
        return Condition("Programmed", False, "Waiting", f"is not deleted yet: {writing.leaving.waits}")
    if writing.failure:
        key, failure = writing.failure
        return Condition("Programmed", False, _reason(failure.error), _sentence(key, failure))
    if writing.waiting:
        return Condition("Programmed", False, "Waiting", writing.waiting)
    if writing.behind and (writing.verdict.accepted or writing.leaving):
        return writing.behind
    if not writing.verdict.accepted or not writing.there:
        return Condition("Programmed", False, "Pending", "not everything is written yet")
    return Condition("Programmed", True, "Programmed", "everything is written")


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
            return "NamespaceAbsent" if "namespaces" in str(error) else "KindAbsent"
        case Refused():
            return "Refused"
    return "WriteConflict"


def _sentence(key: ObjectKey, failure: Failure) -> str:
    if isinstance(failure.error, FieldConflict):
        owners = ", ".join(failure.error.managers)
        return f"{key} is held by {owners}; delete it or let {owners} give up its fields"
    match _reason(failure.error):
        case "KindAbsent" if key.kind in ISTIO:
            return f"{key}: the cluster has no {key.kind}; install Istio 1.30 or newer, it goes on by itself then"
        case "NamespaceAbsent":
            return f"{key}: namespace {key.namespace} does not exist; kubectl create namespace {key.namespace}"
    return f"{key}: {failure.error}"


def _serves(spec: ModelSpec, ready: Mapping[str, int], there: bool) -> Condition:
    if spec.paused:
        return Condition("Ready", False, "Paused", f"its routes answer 503: {spec.paused}; take paused away to resume")
    carried = [share.version for share in spec.traffic if share.weight]
    empty = [version for version in carried if not ready.get(version)]
    if empty:
        message = f"version {', '.join(empty)} has traffic but no ready replica; scale it up or look at its pods"
        if len(empty) < len(carried):
            message += "; until then its share goes to the others"
        return Condition("Ready", False, "NoReadyReplica", message)
    if not there:
        return Condition("Ready", False, "NotServed", "its routes are not written yet")
    return Condition("Ready", True, "Ready", "every version with traffic has a ready replica")


def _limited(view: Mapping[str, LimitView]) -> Condition:
    if not view:
        return Condition("Limited", False, "Off", "no limit is set")
    first = next(iter(view.values()))
    if first.holders is not None or first.stage is not None:
        return staged(first)
    by = f" ({override_sentence(first.override)})" if first.override else ""
    if first.lifted:
        return Condition("Limited", False, "Lifted" if takes_away(first.override) else "Off", f"no limit is set{by}")
    reason = first.wanted.target.total.reason
    return Condition("Limited", True, reason, REASONS[reason] + by)


def _sources(disagreement: str | None, stored: Stored) -> list[Condition]:
    """Tell whether Prometheus and the watch agree; where they always did, nothing is told."""
    if disagreement:
        said = f"{disagreement}; the watch counts. Look at kube-state-metrics and its scrapes"
        return [Condition("SourcesAgree", False, "Disagree", said)]
    if _before(stored, "SourcesAgree"):
        return [Condition("SourcesAgree", True, "Agree", "the watch and Prometheus count the same replicas")]
    return []


def _autoscaled(view: Mapping[str, LimitView], scalers: Mapping[str, Scaler]) -> list[Condition]:
    """Tell whether limit and autoscalers agree, where there are both."""
    if not view or not scalers:
        return []
    wanted = next(iter(view.values())).wanted
    if found := disagreement(wanted.terms, wanted.target.loads, scalers):
        return [Condition("AutoscalerAgrees", False, *found)]
    return [Condition("AutoscalerAgrees", True, "Agrees", "the autoscalers can follow what the limit lets through")]


REASONS = {
    "Capacity": "the limit is what the ready replicas can serve",
    "Floor": "the ready replicas can serve less than the floor; the floor holds",
    "Ceiling": "the ready replicas can serve more than the ceiling; the ceiling holds",
    "TenantCeiling": "the tenant's models together exceed its ceiling; each gets its share of it",
    "Cold": "no replica is ready; the fallback for cold holds",
    "Override": "somebody has overridden it for a time",
    "Frozen": "somebody has frozen it for a time",
    "Stale": "the pods have not been heard of for too long; the fallback for stale holds",
}


def _tell_drift(status: Manifest, stored: Stored, drift: Condition | None) -> None:
    """Tell what others have changed. What was set back stands until there is something else to tell."""
    before = _before(stored, "Drift")
    if drift:
        status["conditions"].append(_dated(drift, stored))
    elif before and before["reason"] == "Repaired":
        status["conditions"].append(before)


def _before(stored: Stored, type_: str) -> Manifest | None:
    """Return a condition as the document has it."""
    return next((c for c in stored.status.get("conditions", []) if c["type"] == type_), None)


def _dated(told: Condition, stored: Stored) -> Manifest:
    """Date a condition: a status that has not changed keeps its date; an empty one is filled in on writing."""
    holds = "True" if told.holds else "False"
    before = _before(stored, told.type)
    since = before["lastTransitionTime"] if before and before["status"] == holds else ""
    return {
        "type": told.type,
        "status": holds,
        "reason": told.reason,
        "message": told.message,
        "observedGeneration": stored.generation,
        "lastTransitionTime": since,
    }
