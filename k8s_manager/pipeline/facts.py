"""From what people wrote (documents) to what renderers and limits need (facts)."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from types import MappingProxyType

from istio_templates import names
from istio_templates.arms.arm_facts import ArmFacts, StickyFacts
from istio_templates.arms.arm_rules import cookie_test
from istio_templates.documents import InferenceGatewaySpec, ModelSpec, TenantSpec
from istio_templates.documents.arms.traffic_match import TrafficMatch
from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.fields import exact, seconds
from istio_templates.documents.gateway import Managed
from istio_templates.documents.model import (
    MODEL_CONTAINER,
    TrafficPolicy,
    Version,
    Workload,
)
from istio_templates.documents.rate_limit import RateLimit, VersionLimit
from istio_templates.documents.route import Cors, HeaderChange, Route
from istio_templates.documents.warmup import SlowStart as SlowStartSpec
from istio_templates.documents.warmup import Target, Warmup
from istio_templates.facts import (
    DEFAULT_KEDA,
    AutoscalerFacts,
    CorsFacts,
    GatewayPods,
    GatewayPool,
    HeaderEdits,
    KedaFacts,
    LentHost,
    LimitKey,
    ListenerFacts,
    Manifest,
    OwnedHost,
    PodsOfVersion,
    PolicyFacts,
    RewriteFacts,
    RouteFacts,
    ScaledObjectFacts,
    ServedModel,
    SlowStartFacts,
    Tenancy,
    TracingFacts,
    VersionFacts,
    WarmupFacts,
)
from istio_templates.workloads.short_fields import merged
from k8s_manager.traffic.release_traffic import mirrored
from k8s_manager.traffic.weights import can_be_split, declared, split
from k8s_manager.world.labels import version_labels
from k8s_manager.world.replica_figures import NO_FIGURES, RunningFigures
from k8s_manager.world.tenant import adopted_by, namespace_of
from ratelimiter.capacity import VersionLoad
from ratelimiter.target import Terms
from ratelimiter.terms import bounds_of, rules_of, verdict_of
from warmup.plans.bundle import Bundle, hash_of
from warmup.protocols import dialect_of


def pool(name: str, spec: InferenceGatewaySpec, uid: str | None, missing: frozenset[str] = frozenset()) -> GatewayPool:
    """Return the facts of a gateway, of whose certificates some are `missing`. The probe's secret is derived from its
    UID, which no caller outside sees; without one (rendering for Git) there is no probe."""
    return GatewayPool(
        name=name,
        namespace=spec.namespace,
        selector=tuple(sorted(spec.selector.items())),
        listeners=tuple(
            ListenerFacts(listener.name, listener.port, listener.protocol, listener.domain, listener.credential_name)
            for listener in spec.listeners
        ),
        managed=_managed(spec.managed) if spec.managed else None,
        probe=hashlib.sha256(f"tidegate probe {uid}".encode()).hexdigest()[:32] if uid else None,
        endpoint_stats=spec.endpoint_stats,
        access_log=spec.logs_requests,
        tracing=TracingFacts(spec.tracing.provider, spec.tracing.sampling) if spec.tracing else None,
        missing=missing,
    )


def _managed(managed: Managed) -> GatewayPods:
    scale = managed.autoscale
    return GatewayPods(managed.replicas, scale.min if scale else None, scale.max if scale else None)


def tenancy(
    name: str,
    spec: TenantSpec,
    pools: tuple[GatewayPool, ...],
    missing: frozenset[str],
    guests: Mapping[str, tuple[str, ...]],
    lent: tuple[LentHost, ...],
    leaving: tuple[str, ...] = (),
) -> Tenancy:
    """Return the facts of a tenant; hosts whose certificate is `missing` stay out until it is there. `guests` are the
    namespaces that serve delegated paths of its hosts, `lent` the hosts of others of which it serves paths, `leaving`
    the gateways through which routes still lead to it."""
    hosts = [
        OwnedHost(host.name, host.tls.credential_name if host.tls else None, guests.get(host.name, ()))
        for host in spec.hosts
    ]
    return Tenancy(
        name=name,
        namespace=namespace_of(name, spec),
        gateways=pools,
        hosts=tuple(host for host in hosts if host.credential not in missing),
        strict=spec.isolation == "strict",
        lent=lent,
        adopted=adopted_by(spec),
        leaving=leaving,
    )


COLD_RETRY = 30
"""Seconds after which a caller may come again where no replica is ready: requests that were answered 503 are counted,
and two looks of the autoscaler later the first replica begins."""


def served(
    tenant: Tenancy,
    name: str,
    spec: ModelSpec,
    closed: str | None,
    plan: Bundle | None = None,
    weights: Mapping[str, int] | None = None,
    keda: KedaFacts = DEFAULT_KEDA,
    matches: tuple[TrafficMatch, ...] | None = None,
) -> ServedModel:
    """Return the facts of a model; `plan` is its warm-up plan with all that belongs to it, if it has one, `weights` are
    those that hold, if they are not the document's, likewise `matches`, and `keda` is how KEDA asks for numbers of
    replicas."""
    weights = declared(spec) if weights is None else weights
    return ServedModel(
        tenant=tenant,
        name=name,
        routes=tuple(_route(tenant, name, number, route) for number, route in enumerate(spec.routes)),
        versions=tuple(
            _version(name, version, weights.get(version.name, 0), mirrored(spec).get(version.name, 0), keda)
            for version in spec.versions
        ),
        policy=_policy(spec.traffic_policy, spec.warmup.slow_start),
        closed=closed,
        retry_after=COLD_RETRY if closed and not spec.paused else None,
        attached=spec.attach_to.key(tenant.namespace) if spec.attach_to else None,
        warmup=_warmup(spec.warmup, plan),
        arms=arms(spec.traffic_matches if matches is None else matches),
        sticky=StickyFacts(spec.sticky.header, spec.sticky.cookie.name if spec.sticky.cookie else None)
        if spec.sticky
        else None,
    )


def arms(matches: tuple[TrafficMatch, ...]) -> tuple[ArmFacts, ...]:
    """Return the facts of matches, in their order."""
    return tuple(ArmFacts(match.arm, match.version, _tests(match)) for match in matches)


def _tests(match: TrafficMatch) -> tuple[tuple[str, str, str], ...]:
    if match.cookie:
        return (cookie_test(match.cookie.name, match.cookie.value),)
    return tuple((name, *test.way) for name, test in sorted((match.headers or {}).items()))


def _warmup(warmup: Warmup, plan: Bundle | None) -> WarmupFacts | None:
    if warmup.how == "none":
        return None
    text = plan.text() if plan else ""
    port, path = _native(plan.spec.target, plan) if plan else (None, None)
    return WarmupFacts(
        mode=warmup.how,
        plan=text,
        hash=hash_of(text) if text else "",
        ready_port=port,
        ready_path=path,
        delay=ceil(seconds(warmup.restart_delay)),
        load=ceil(seconds(plan.spec.timeout if plan and warmup.how == "agent" else warmup.fixed_delay.load)),
        warm=ceil(seconds(warmup.fixed_delay.warm)),
        image=warmup.agent_image,
        restarts=plan is not None and plan.spec.on_timeout == "restart",
        deadline=_deadline(warmup, plan),
    )


def _deadline(warmup: Warmup, plan: Bundle | None) -> int:
    """Return the seconds that one replica may take to become warm, and a minute to be scheduled and pulled."""
    delayed = seconds(warmup.fixed_delay.load) + seconds(warmup.fixed_delay.warm)
    proved = seconds(plan.spec.timeout) + seconds(warmup.restart_delay) if plan else Fraction(0)
    return ceil(delayed if warmup.how == "fixedDelay" else proved) + 60


def _native(target: Target, plan: Bundle) -> tuple[int, str | None]:
    """Return the port, and over HTTP the path, where the server itself says that it is ready."""
    if target.protocol.endswith("grpc"):
        return target.port, None
    asked = dialect_of(target, plan.files).ready(plan.server)
    return target.port, asked.path if asked else None


def identity_of(namespace: str, model: str, spec: ModelSpec) -> LimitKey:
    """Return the identity of the VirtualService or HTTPRoute that routes for a model."""
    return names.route_identity(spec.attach_to.key(namespace)) if spec.attach_to else names.identity(namespace, model)


def _route(tenant: Tenancy, model: str, number: int, route: Route) -> RouteFacts:
    return RouteFacts(
        name=f"{tenant.name}.{model}.{number}",
        host=route.host,
        path=route.path,
        headers=tuple(sorted(route.headers.items())),
        protocol=route.protocol,
        port=route.port,
        timeout=route.timeout,
        attempts=route.retries.attempts,
        per_try=route.retries.per_try_timeout,
        request=_edits(route.request_headers),
        response=_edits(route.response_headers),
        rewrite=RewriteFacts(asked.path, asked.prefix, asked.host) if (asked := route.rewrite) else None,
        cors=_cors(route.cors) if route.cors else None,
    )


def _cors(cors: Cors) -> CorsFacts:
    return CorsFacts(
        origins=tuple(pair for origin in cors.allow_origins for pair in origin.model_dump(exclude_none=True).items()),
        methods=cors.allow_methods,
        headers=cors.allow_headers,
        exposed=cors.expose_headers,
        max_age=int(seconds(cors.max_age)) if cors.max_age else None,
        credentials=cors.allow_credentials,
    )


def _edits(change: HeaderChange) -> HeaderEdits:
    return HeaderEdits(tuple(sorted(change.set.items())), tuple(sorted(change.add.items())), change.remove)


def _version(model: str, version: Version, weight: int, mirror: int, keda: KedaFacts) -> VersionFacts:
    workload = version.workload
    pods = _pods(workload, version.autoscale, keda) if workload else None
    return VersionFacts(version.name, version_labels(model, version), weight, pods, mirror)


def _pods(workload: Workload, scaled: VersionAutoscale | None, keda: KedaFacts) -> PodsOfVersion:
    return PodsOfVersion(
        replicas=workload.replicas,
        template=_pod_template(workload),
        budget=workload.disruption_budget,
        spare=workload.capacity_mode == "availability",
        autoscaler=AutoscalerFacts(scaled.min, scaled.max) if scaled and scaled.writer == "hpa" else None,
        scaled_object=ScaledObjectFacts(scaled.min, scaled.max, keda) if scaled and scaled.writer == "keda" else None,
    )


def _pod_template(workload: Workload) -> Manifest:
    """Return the template with the short fields merged into its container "model"."""
    given = workload.pod_template.get("spec", {})
    containers = list(given.get("containers", []))
    if not any(container["name"] == MODEL_CONTAINER for container in containers):
        containers.insert(0, {"name": MODEL_CONTAINER})
    short = workload.short_fields()
    containers = [merged(c, short) if c["name"] == MODEL_CONTAINER else c for c in containers]
    return {**workload.pod_template, "spec": {**given, "containers": containers}}


def _policy(policy: TrafficPolicy, slow: SlowStartSpec | None) -> PolicyFacts:
    outlier, balancing = policy.outlier_detection, policy.load_balancing
    return PolicyFacts(
        max_connections=policy.max_connections,
        max_requests=policy.max_requests,
        max_pending=policy.max_pending,
        consecutive_errors=outlier.consecutive_errors,
        interval=outlier.interval,
        ejection_time=outlier.ejection_time,
        max_ejection_percent=outlier.max_ejection_percent,
        balancing=balancing.policy,
        hash_header=balancing.header,
        hash_cookie=balancing.cookie,
        slow_start=SlowStartFacts(slow.duration, slow.minimum_percent, slow.aggression) if slow else None,
    )


def terms(tenant: Tenancy, model: str, spec: ModelSpec, ceiling: float | None) -> tuple[Terms, ...]:
    """Return what a model's document says of its limits: the whole one's, then those of versions with their own."""
    limit = spec.rate_limit
    if limit is None:
        return ()
    whole = _whole(tenant, model, spec, limit, ceiling)
    own = [version for version in spec.versions if version.rate_limit or version.name in spec.matched]
    return (whole, *(_own(whole, spec.routes[0].port, version) for version in own))


def _own(whole: Terms, port: int, version: Version) -> Terms:
    """Return the terms of a version's own limit: what its document says, or, where matches bring it an unknown share of
    the requests, what its replicas serve. Whether the model is closed without replicas is not for it to say."""
    cluster = names.cluster(whole.namespace, whole.model, port, version.name)
    return replace(
        whole,
        identity=whole.identity.of_part(cluster),
        bounds=bounds_of(version.rate_limit or VersionLimit()),
        tenant_ceiling=None,
        version=version.name,
        cold="floor" if whole.cold == "closed" else whole.cold,
        stale="floor" if whole.stale == "closed" else whole.stale,
    )


def _whole(tenant: Tenancy, model: str, spec: ModelSpec, limit: RateLimit, ceiling: float | None) -> Terms:
    return Terms(
        namespace=tenant.namespace,
        model=model,
        tenant=tenant.name,
        identity=identity_of(tenant.namespace, model, spec),
        pools=(*(pool.name for pool in tenant.gateways), *tenant.leaving),
        bounds=bounds_of(limit),
        burst=seconds(limit.burst),
        rules=rules_of(limit),
        cold=limit.fallback.cold,
        stale=limit.fallback.stale,
        tenant_ceiling=None if ceiling is None else exact(ceiling),
        weight=limit.weight,
        restless=any(_is_restless(version) for version in spec.versions),
        mode=limit.mode,
        ramp=float(seconds(limit.ramp.over)),
        verdict=verdict_of(limit.verdict) if limit.verdict else None,
    )


def _is_restless(version: Version) -> bool:
    """Tell whether another client scales a version's replicas; not so for a version of the manager's that has left its
    document and still serves."""
    if version.existing:
        return names.VERSION not in version.existing.labels
    return version.workload is None or version.workload.replicas is None


def figure(spec: ModelSpec, version: Version) -> Fraction:
    """Return the requests/s that a document declares for a replica of a version."""
    assert spec.rate_limit is not None
    return exact(version.per_replica_qps or spec.rate_limit.per_replica_qps)


def loads(
    spec: ModelSpec, ready: dict[str, int], own: str = "", running: Mapping[str, RunningFigures] = MappingProxyType({})
) -> tuple[VersionLoad, ...]:
    """Return what each version contributes, from its ready replicas by name; of the one version whose `own` limit is
    asked for, all that it serves. `running` are the figures of replicas that the document does not speak of."""
    assert spec.rate_limit is not None
    if own:
        found = loads(spec, ready, running=running)
        return tuple(replace(load, share=Fraction(1), own=False) for load in found if load.name == own)
    weights = declared(spec)
    if can_be_split(spec):
        weights = split(weights, [name for name, count in ready.items() if count])
    return tuple(
        VersionLoad(
            name=version.name,
            replicas=ready.get(version.name, 0),
            per_replica=running.get(version.name, NO_FIGURES).each or figure(spec, version),
            share=Fraction(weights.get(version.name, 0), 100),
            own=version.rate_limit is not None,
            older=running.get(version.name, NO_FIGURES).older,
        )
        for version in spec.versions
    )
