"""Statuses of all documents, from plan, results and limits. Pure, but for what `StatusBuilder` remembers.

Accepted       the document is valid and conflicts with none   Accepted | Invalid | Conflict | NotFound
Programmed     all objects that follow from it are written     Programmed | Pending | Waiting | FieldConflict | Refused
                                                               | Forbidden | ValidatorUnavailable | Unavailable
                                                               | KindAbsent | NamespaceAbsent | WriteConflict
                                                               | NotCommitted | AwaitsGit
Ready          it serves                                       Ready | NoReadyReplica | NoGatewayPod | ProxyTooOld
                                                               | NotServed | Paused | ScaledToZero
Active         (overrides) it is in force for some model       Active | Overruled | WithoutEffect | NoModel
                                                               | Pending | Expired
               (callers) it may call some model                Active | Suspended | Expired | NoModel
                                                               | NoAuthentication
Served         (registered versions) requests go to it         Served | Blocked | NoModel | NotListed | NoTraffic
ResolvedRefs   (grants, callers) what it names exists          ResolvedRefs | TenantNotFound | ModelNotFound
CallersChecked (models) only where gateways cannot             HttpRoute
SlotsUnique    (gateways) no foreign EnvoyFilter in a slot     Unique | Duplicate
LimitsApplied  (gateways) every pod runs the written limits    Applied | Rejected | NoAnswer | NoGatewayPod
LoadEven       (gateways) no pod rejects while another idles   Even | Uneven | NotRead
Progressing    (models, managed gateways) replicas get the new NewReplicaSetAvailable | ReplicaSetUpdated
               pod template                                    | ProgressDeadlineExceeded | ReplicaFailure
Degraded       (models, managed gateways) a pod fails to start AsExpected | ImagePullBackOff | CrashLoopBackOff
                                                               | CreateContainerConfigError | Unschedulable | ...
                                                               | ReplicaFailure | ProgressDeadlineExceeded
Limited        (models) where the limit comes from             Capacity | Floor | Ceiling | TenantCeiling | Cold | Stale
                                                               | Override | Frozen | Off | Lifted | Shadow | Ramp
                                                               | AwaitsVerdict | NoPinnedSlot | Pending
ScalingActive  (models) signals decide on their replicas       Following | SignalMissing | NoSignal
                                                               | ForeignAutoscaler | WriterUnavailable
                                                               | MetricsHeldByOther | NotApplied | WriteFailed
ScalingLimited (models) signals ask for more than there may be WithinBounds | AtMost | Quota
Released       (models with a rollout) requests go where the   Complete | NotBegun | UnknownVerb | Warming | Quota
               document says                                   | Window | Measuring | TooFewRequests
                                                               | StatisticsMissing | Inconclusive | CheckFailed
                                                               | TooLong | NotApproved | ByHand | DocumentChanged
                                                               | VersionBlocked | Draining | ...
Selected       (models with a selection) the version that     Chosen | Expired | NotBetter | NoEligibleVersion
               should serve does                              | ServedVersionUnknown | WithinLimits | FiguresMissing
                                                               | NotDue | Pinned
                                                               | PinnedVersionBlocked | NothingPinned | ReleaseUnderWay
                                                               | AliasServes | NoVersionWithAlias
                                                               | AliasedVersionBlocked
RegistryRead   (models with a registry) their versions are     Read | SomeLeftOut | NotReadYet | NotConfigured
               those of MLflow                                 | NotAllowed | Unavailable | NotFound | OddAnswer
                                                               | NotWritten
SourcesAgree   (models) Prometheus counts what the watch does  Agree | Disagree | NotRead
AutoscalerAgrees (models) document, limit, quota and           Agrees | ReplicasDeclared | CeilingUnreachable
               autoscalers fit                                 | TargetAboveLimit | RefusalsHidden | FigureTooHigh
                                                               | QuotaTooSmall | NodesFull
TrafficFollowed (attached models) as the other's route splits Followed | Unmapped
TrafficMatched (models with trafficMatches) all lead somewhere Matched | NoReadyReplica
CountedTogether (models on hosts of several certificates)      OneServer | SeveralServers
Warm           (models with a gate) every replica is warm      Warm | Admitted | Waiting | Warming | TimedOut | Failed
                                                               | NoReplica
CertificatesValid (gateways, tenants) of what they serve       Valid | Absent | Unreadable | Expired | WrongHost
                                                               | Expiring
Drift          other writers have changed objects              Repaired | Contested | Reported | Adopted
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from istio_templates import names
from istio_templates.documents import (
    AccessGrantSpec,
    CallerSpec,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    ModelVersionSpec,
    TenantSpec,
)
from istio_templates.facts import Manifest, ObjectKey, ServedModel
from k8s_manager.limits.override_reach import reach_of
from k8s_manager.pipeline.apply import Failure, Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.pipeline.plan import Plan, owner_of_document
from k8s_manager.release.registry.registry_status import RegistryView
from k8s_manager.release.release_request import unknown_verb
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.release.selection_document import Registered, VersionReader
from k8s_manager.release.selection_status import selected_version
from k8s_manager.runtime.memo import Memo
from k8s_manager.status.callers.caller_status import (
    CallerInputs,
    GuardedTenant,
    caller_inputs,
    caller_status,
    guarded_tenants,
    is_unguarded,
)
from k8s_manager.status.document_status import DocumentInputs, accepted_status, condition_before, unreadable_status
from k8s_manager.status.drift_status import DriftNotes
from k8s_manager.status.gateway_status import GatewayInputs, gateway_status
from k8s_manager.status.model_status import ModelInputs, model_status
from k8s_manager.status.override_status import OverrideInputs, override_status
from k8s_manager.status.rollout_status import gateway_rollout, model_rollouts
from k8s_manager.status.sources import GateSource, LimitSource, StatusSources
from k8s_manager.status.tenant_status import GrantInputs, TenantInputs, grant_status, tenant_status
from k8s_manager.status.versions.selection_memo import SelectionMemo
from k8s_manager.status.versions.version_status import VersionInputs, version_inputs, version_status
from k8s_manager.traffic.drain import Draining
from k8s_manager.traffic.route_gateways import routes_through
from k8s_manager.warmup_gate.progress import PodProgress
from k8s_manager.world import certificate
from k8s_manager.world.owner import Owner, owner_of
from k8s_manager.world.rollout import NODE_GRACE, UnplacedReplicas
from k8s_manager.world.tenant import namespace_of
from k8s_manager.world.world import Stored, World

KindInputs = (
    GatewayInputs | TenantInputs | ModelInputs | OverrideInputs | GrantInputs | VersionInputs | CallerInputs | None
)


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """One reconcile pass, as far as statuses report it."""

    world: World
    plan: Plan
    results: Results
    sources: StatusSources
    owned: Mapping[ObjectKey, Manifest]
    draining: Draining
    now: datetime
    tenants: frozenset[str]
    registered: Registered
    approvers: Mapping[str, int]
    selections: SelectionMemo
    guarded: Mapping[str, GuardedTenant]


class StatusBuilder:
    """Builds statuses pass after pass; one whose inputs have not changed is not built again.

    Inputs are named tuples: they are made and compared for every document in every pass.
    """

    def __init__(self) -> None:
        self._memo, self._versions, self._selections = Memo(), VersionReader(), SelectionMemo()
        self._drift = DriftNotes()

    def drift_ends(self, now: datetime) -> timedelta | None:
        """Return in how long the next condition Drift is over; None without one."""
        return self._drift.next_end(now)

    def statuses(
        self,
        world: World,
        plan: Plan,
        results: Results,
        sources: StatusSources,
        owned: Mapping[ObjectKey, Manifest],
        changes: Changes,
        now: datetime,
    ) -> dict[ObjectKey, Manifest]:
        """Return the status of every document at `now`."""
        tenants = frozenset(stored.key.name for stored in world.tenants)
        registered = self._memo.get(
            "registered", (world.model_versions,), partial(self._versions.read, world.model_versions)
        )
        approvers = {namespace_of(t.key.name, t.spec): t.spec.pin_approvers for t in world.tenants if t.spec}
        done = PassOutcome(
            world,
            plan,
            results,
            sources,
            owned,
            changes.draining,
            now,
            tenants,
            registered,
            approvers,
            self._selections,
            guarded_tenants(plan.access),
        )
        drift = self._drift.conditions(results, changes, plan, owned, now)
        failures, terminating = _failures(results), {found.stored.key: found for found in plan.terminating}
        put_off = _put_off(changes, results, plan, owned)
        out: dict[ObjectKey, Manifest] = {}
        for stored in world.documents():
            key, found = stored.key, terminating.get(stored.key)
            owner = found.owner if found else owner_of_document(key, plan)
            document = DocumentInputs(
                admission=plan.admission[key],
                written=_is_written(key, plan, owned),
                failure=failures.get(owner),
                terminating=found,
                waiting=plan.waiting.get(key) or world.handovers.get((key.namespace, key.name)),
                awaiting_git=results.behind.get(owner),
                certificates=certificate.validity(plan.certificates.get(key, {}), world.certificates, now),
                drift=drift.get(owner) or self._drift.lasting(owner, condition_before(stored, "Drift"), now),
                put_off=put_off.get(owner),
            )
            inputs = _inputs(stored, done)
            build = partial(_build, stored, document, inputs, sources.limits)
            out[key] = self._memo.get(key, (stored, stored.status, document, inputs), build)
        self._memo.end_round()
        self._selections.end_round()
        return out


def _build(stored: Stored, document: DocumentInputs, inputs: KindInputs, limits: LimitSource) -> Manifest:
    if stored.document is None:
        return unreadable_status(stored, document)
    match inputs:
        case GatewayInputs():
            return gateway_status(stored, document, inputs)
        case TenantInputs():
            return tenant_status(stored, document, inputs)
        case ModelInputs():
            return model_status(stored, document, inputs, limits.view(inputs.identity))
        case OverrideInputs():
            return override_status(stored, document, inputs)
        case GrantInputs():
            return grant_status(stored, document, inputs)
        case VersionInputs():
            return version_status(stored, document, inputs)
        case CallerInputs():
            return caller_status(stored, document, inputs)
    return accepted_status(stored, document)


def _inputs(stored: Stored, done: PassOutcome) -> KindInputs:
    match stored.document.spec if stored.document else None:
        case InferenceGatewaySpec() as spec:
            return _gateway_inputs(stored.key.name, spec, done)
        case TenantSpec() as spec:
            return TenantInputs(spec, done.world.bindings.get(stored.key.name))
        case ModelSpec() as spec:
            return _model_inputs(stored, spec, done)
        case LimitOverrideSpec():
            override = done.plan.overrides.get(stored.key)
            active = override is not None and done.now < override.expires
            matches = done.plan.override_matches.get(stored.key, ())
            reach = reach_of(override, [done.sources.limits.facts(i) for i in matches]) if override else None
            return OverrideInputs(len(matches), override, active, reach)
        case ModelVersionSpec() as spec:
            served = done.plan.models.get((stored.key.namespace, spec.model))
            return version_inputs(stored, spec, served)
        case CallerSpec() as spec:
            return caller_inputs(stored, spec, done.guarded.get(stored.key.namespace))
        case AccessGrantSpec() as spec:
            return GrantInputs(len(spec.tenants or ()), tuple(sorted(set(spec.tenants or ()) - done.tenants)))
    return None


def _gateway_inputs(name: str, spec: InferenceGatewaySpec, done: PassOutcome) -> GatewayInputs:
    sources = done.sources
    trouble = sources.proofs.trouble(name)
    rolled_back = tuple(slot for gateway, slot in sources.limits.rolled_back if gateway == name)
    return GatewayInputs(
        spec=spec,
        pods=done.world.gateway_pods.get(name, ()),
        duplicates=done.world.duplicate_slot_filters.get(name, ()),
        trouble=trouble,
        rolled_back=rolled_back,
        rejects=tuple(sorted((sources.proofs.rejects or {}).items())) if trouble or rolled_back else (),
        uneven=sources.counters.uneven(name),
        unread=sources.counters.unread(name),
        probed=sources.proofs.started,
        rollouts=gateway_rollout(name, spec, done.world),
    )


def _model_inputs(stored: Stored, spec: ModelSpec, done: PassOutcome) -> ModelInputs:
    namespace, model = stored.key.namespace, stored.key.name
    world, limits, identity = done.world, done.sources.limits, identity_of(stored)
    served = done.plan.models.get((namespace, model))
    scalers = ((v.name, world.scalers.get((namespace, names.deployment(model, v.name)))) for v in spec.versions)
    return ModelInputs(
        spec=spec,
        identity=identity,
        served=served,
        ready=tuple((v.name, world.ready.get((namespace, model, v.name), 0)) for v in spec.versions),
        scalers=tuple((version, scaler) for version, scaler in scalers if scaler),
        declared=_declared(served, spec, done.plan),
        source_doubt=limits.source_doubt(identity),
        unfollowed=world.unfollowed.get((namespace, model)),
        warmup=_warmup(served, done.sources.gates),
        draining=tuple(done.draining.status(namespace, model)),
        limit_mark=limits.mark(identity),
        rollouts=model_rollouts(namespace, model, spec, world),
        without_pods=_without_pods(served, world),
        scales=done.sources.scales.in_status(namespace, model),
        release_flaw=unknown_verb(stored.release_request),
        selection=(selection := _selection(stored, spec, done)),
        selected=_selected(stored, selection, done),
        registry=_registry(spec, ModelPlace(namespace, model), done) if selection is not None else None,
        unplaced=_unplaced(namespace, model, spec, done),
        before_scales=not done.sources.scales.are_known,
        unguarded=is_unguarded(spec, done.guarded.get(namespace)),
    )


def _selection(stored: Stored, spec: ModelSpec, done: PassOutcome) -> Manifest | None:
    """Return which version should serve a model; None without a selection, or while it is not accepted."""
    if spec.selection is None or not done.plan.admission[stored.key].accepted:
        return None
    versions = done.registered.get((stored.key.namespace, stored.key.name), ())
    figures = done.sources.figures.of(stored.key.namespace, stored.key.name)
    approvers = done.approvers.get(stored.key.namespace, 0)
    return done.selections.selection(stored, spec, spec.selection, versions, figures, approvers, done.now)


def _selected(stored: Stored, selection: Manifest | None, done: PassOutcome) -> Manifest | None:
    """Return the version that a model's selection has put into its document; None where it has put none."""
    written = stored.written or stored.document
    if selection is None or written is None or not isinstance(written.spec, ModelSpec):
        return None
    versions = done.registered.get((stored.key.namespace, stored.key.name), ())
    return selected_version(written.spec, selection, stored.status, versions, done.now)


def _registry(spec: ModelSpec, place: ModelPlace, done: PassOutcome) -> RegistryView | None:
    """Return how it is with the registered model that a model's versions come from; None where they come from none."""
    source = spec.selection.registry if spec.selection else None
    return done.sources.registries.view(place, source.name) if source else None


def _without_pods(served: ServedModel | None, world: World) -> tuple[str, ...]:
    """Return the gateways of a model if none of them has a ready pod."""
    names_of = tuple(pool.name for pool in served.tenant.gateways) if served else ()
    pods = (pod for name in names_of for pod in world.gateway_pods.get(name, ()))
    return () if any(pod.ready and not pod.leaving for pod in pods) else names_of


def _unplaced(
    namespace: str, model: str, spec: ModelSpec, done: PassOutcome
) -> tuple[tuple[str, UnplacedReplicas], ...]:
    """Return by version the replicas that have found no node for too long."""
    found = ((v.name, done.world.unplaced.get((namespace, model, v.name))) for v in spec.versions)
    return tuple((version, one) for version, one in found if one and done.now - one.since >= NODE_GRACE)


def _declared(served: ServedModel | None, spec: ModelSpec, plan: Plan) -> tuple[tuple[str, int], ...]:
    """Return the numbers of replicas that are set back when others change them, by version."""
    if served is None or plan.drift_policies.get(served.tenant.name, "repair") != "repair":
        return ()
    return tuple((v.name, v.workload.replicas) for v in spec.versions if v.workload and v.workload.replicas is not None)


def _warmup(served: ServedModel | None, gates: GateSource) -> tuple[PodProgress, ...] | None:
    """Return how far the replicas of a model have come, without live progress; None where they have no gates."""
    if served is None or served.warmup is None or served.warmup.mode != "gate":
        return None
    found = gates.view(served.tenant.namespace, {version.name: version.labels for version in served.versions})
    return tuple(replace(pod, progress=None) for pod in found)


def _is_written(key: ObjectKey, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> bool:
    served = plan.models.get((key.namespace, key.name))
    if served and served.attached:
        return True
    if key.kind == "Model":
        return key._replace(kind="VirtualService") in owned
    return key.kind == "InferenceGateway" or key.name in plan.tenants


def _put_off(changes: Changes, results: Results, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> dict[Owner, str]:
    """Return, by owner, which object is not as it should be since its write waits: a route for its limit, or what two
    writers set back in turn."""
    out: dict[Owner, str] = {}
    for key in sorted(results.put_off):
        if key in owned:
            said = f"{key} was changed by others and set back so often that the next write waits; see condition Drift"
            out[owner_of(owned[key]["metadata"]["labels"])] = said
    for key, reason in sorted(changes.held.items()):
        if key.kind == "Gateway" and key in owned and routes_through(key, owned):
            owner = owner_of(owned[key]["metadata"]["labels"])
            out[owner] = f"the change of {key} waits: {reason}; see the conditions of that model"
        served = plan.models.get((key.namespace, key.name)) if key.kind == "VirtualService" else None
        if served:
            out["", served.tenant.name, served.name] = f"the change of {key} waits: {reason}; wait"
    return out


def _failures(results: Results) -> dict[Owner, tuple[ObjectKey, Failure]]:
    out: dict[Owner, tuple[ObjectKey, Failure]] = {}
    for key, failure in sorted(results.failures.items(), reverse=True):
        out[failure.owner] = (key, failure)
    return out
