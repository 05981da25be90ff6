"""Checks of a cluster, and what to run where one fails. Pure: from what `tidegate doctor` has read to findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from k8s_manager.admission.prior_conflicts import Conflict
from k8s_manager.autoscaling.api_service import API_SERVICE, INSTEAD, ApiServiceState
from k8s_manager.doctor.rbac import ACCOUNT
from k8s_manager.world.installation import SYSTEM
from k8s_manager.world.proxy_version import OLDEST_ISTIO, parsed, too_old

OLDEST_KUBERNETES = (1, 30)
DOCUMENT_KINDS = (
    "inferencegateways.tidegate.dev",
    "tenants.tidegate.dev",
    "models.tidegate.dev",
    "limitoverrides.tidegate.dev",
    "warmupplans.tidegate.dev",
    "accessgrants.tidegate.dev",
    "modelversions.tidegate.dev",
    "callers.tidegate.dev",
)
_ROUTES = ("gateways", "virtualservices", "destinationrules", "envoyfilters")
ISTIO_KINDS = tuple(f"{kind}.networking.istio.io" for kind in _ROUTES)
TELEMETRIES = "telemetries.telemetry.istio.io"
INSTALL = "kubectl apply -k manifests/"
WEBHOOK = "check the pods of istiod and its ValidatingWebhookConfiguration, then run this again"
INSTALL_ISTIO = "install Istio 1.30 or newer (istioctl install), then run this again"
SCALED_OBJECTS = "scaledobjects.keda.sh"
SERVE_METRICS = "start the managers with --external-metrics-listen (docs/external-metrics.md)"
API_SERVER = "see whether the API server is up; until it answers, traffic flows on and limits stay as they are"
Level = Literal["ok", "warning", "failure", "unknown"]
"""`unknown` is what was not looked at: no failure, and no proof that all is well."""


class CheckArea(StrEnum):
    """What a check is about, in the order in which to repair."""

    KUBERNETES = "Kubernetes"
    KINDS = "Kinds"
    ISTIO = "Istio"
    VALIDATION = "Validation"
    RIGHTS = "Rights"
    MANAGERS = "Managers"
    GATEWAYS = "Gateways"
    TRACING = "Tracing"
    AUTOSCALING = "Autoscaling"
    CLAIMS = "Hosts and paths"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; `remedy` says what to do unless the level is ok. `check` is the area that it belongs to."""

    level: Level
    what: str
    remedy: str = ""
    check: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why an area was not looked at, and what to do to have it looked at."""

    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """A gateway: its namespace and selector, its pods as (name, version of the proxy or None, ready), and the provider
    by which it traces requests, if it does."""

    name: str
    namespace: str
    selector: str
    namespace_exists: bool
    pods: tuple[tuple[str, str | None, bool], ...]
    tracing: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What was read from a cluster. `kubernetes` is its version, empty where the API server does not answer. `denied`
    are (verb, resource, purpose); None where rights could not be reviewed. `providers` are the mesh's extension
    providers; None where its configuration could not be read. `external_metrics` says who serves those, and `writers`
    which writers of replicas the models ask for. What is said of an area in `unseen` counts for nothing.
    """

    kubernetes: str = ""
    kinds: frozenset[str] = frozenset()
    denied: tuple[tuple[str, str, str], ...] | None = None
    istiod: tuple[tuple[str, str, int], ...] = ()
    webhook: str | None = None
    managers: tuple[int, int] | None = None
    leader: str = ""
    gateways: tuple[GatewayFacts, ...] = field(default=())
    conflicts: tuple[Conflict, ...] = field(default=())
    providers: frozenset[str] | None = None
    external_metrics: ApiServiceState = field(default=ApiServiceState())
    writers: frozenset[str] = frozenset()
    unseen: Mapping[CheckArea, Unseen] = field(default_factory=dict)


def findings(seen: ClusterFacts) -> list[Finding]:
    """Return the results of all checks, in the order in which to repair them."""
    return [
        replace(found, check=area.value)
        for area, check in _CHECKS.items()
        for found in (_not_looked_at(area, seen.unseen[area]) if area in seen.unseen else check(seen))
    ]


def worst(found: Iterable[Finding]) -> Level:
    """Return the worst level: what was not looked at is worse than what is well, and better than a warning."""
    return max((finding.level for finding in found), key=GRAVITY.index, default="ok")


GRAVITY: tuple[str, ...] = ("ok", "unknown", "warning", "failure")
"""All levels, the worst last."""


def _not_looked_at(area: CheckArea, unseen: Unseen) -> Iterator[Finding]:
    yield Finding("unknown", f"{area.value}: not looked at, {unseen.why}", unseen.remedy)


def _all_kinds(seen: ClusterFacts) -> Iterator[Finding]:
    yield from _kinds("Tidegate's kinds", DOCUMENT_KINDS, seen.kinds, INSTALL)
    yield from _kinds("Istio's kinds", ISTIO_KINDS, seen.kinds, INSTALL_ISTIO)


def _all_tracing(seen: ClusterFacts) -> Iterator[Finding]:
    for gateway in seen.gateways:
        if gateway.tracing and CheckArea.KINDS not in seen.unseen:
            yield from _tracing(gateway, seen)


def _kubernetes(version: str) -> Finding:
    if not version:
        return Finding("failure", "the API server does not answer", API_SERVER)
    number = parsed(version)
    if number is not None and number < OLDEST_KUBERNETES:
        return Finding("failure", f"Kubernetes {version} is too old", "upgrade to Kubernetes 1.30 or newer")
    return Finding("ok", f"the API server of Kubernetes {version} answers")


def _kinds(what: str, wanted: tuple[str, ...], there: frozenset[str], remedy: str) -> Iterator[Finding]:
    missing = [kind for kind in wanted if kind not in there]
    if missing:
        yield Finding("failure", f"{what} are not installed: {', '.join(missing)}", remedy)
    else:
        yield Finding("ok", f"{what} are installed")


def _istiod(found: tuple[tuple[str, str, int], ...]) -> Iterator[Finding]:
    if not found:
        yield Finding("failure", "no namespace has an istiod", INSTALL_ISTIO)
    for namespace, version, ready in found:
        number = parsed(version)
        if number is not None and number < OLDEST_ISTIO:
            yield Finding("failure", f"istiod {version} in {namespace} is too old", "upgrade Istio to 1.30 or newer")
        elif not ready:
            remedy = f"kubectl -n {namespace} describe deployment -l app=istiod"
            yield Finding("failure", f"istiod in {namespace} is not ready, and writes wait for it", remedy)
        else:
            yield Finding("ok", f"istiod {version} in {namespace} is ready")


def _webhook(problem: str | None) -> Finding:
    if problem is None:
        return Finding("ok", "Istio's validation webhook accepts an EnvoyFilter")
    return Finding("failure", f"Istio's validation webhook does not accept an EnvoyFilter: {problem}", WEBHOOK)


def _rights(denied: tuple[tuple[str, str, str], ...] | None) -> Iterator[Finding]:
    if denied is None:
        yield Finding(
            "warning", "the manager's rights could not be reviewed", "run tidegate doctor as a cluster administrator"
        )
    elif not denied:
        yield Finding("ok", f"service account {SYSTEM}/{ACCOUNT} has every right that it needs")
    for verb, resource, purpose in denied or ():
        yield Finding(
            "failure", f"service account {SYSTEM}/{ACCOUNT} may not {verb} {resource} (needed for: {purpose})", INSTALL
        )


def _managers(managers: tuple[int, int] | None, leader: str) -> Iterator[Finding]:
    if managers is None:
        yield Finding("failure", f"Deployment {SYSTEM}/tidegate does not exist", INSTALL)
        return
    ready, wanted = managers
    if ready == 0:
        yield Finding("failure", f"0 of {wanted} managers are ready", f"kubectl -n {SYSTEM} logs deployment/tidegate")
    elif ready < wanted:
        yield Finding("warning", f"{ready} of {wanted} managers are ready", f"kubectl -n {SYSTEM} get pods")
    else:
        yield Finding("ok", f"{ready} of {wanted} managers are ready")
    if leader:
        yield Finding("ok", f"{leader} is the leader")
    else:
        yield Finding("failure", "no manager is the leader", f"kubectl -n {SYSTEM} get lease tidegate -o yaml")


def _gateway(gateway: GatewayFacts) -> Iterator[Finding]:
    name, namespace = gateway.name, gateway.namespace
    if not gateway.namespace_exists:
        what = f"gateway {name}: namespace {namespace} does not exist"
        yield Finding("failure", what, f"kubectl create namespace {namespace}")
        return
    if not gateway.pods:
        what = f"gateway {name}: namespace {namespace} has no pod with {gateway.selector}"
        yield Finding("failure", what, "start the gateway's pods, or set spec.managed to let Tidegate run them")
        return
    ready = sum(is_ready for _, _, is_ready in gateway.pods)
    if ready < len(gateway.pods):
        remedy = f"kubectl -n {namespace} describe pods -l {gateway.selector}"
        level: Level = "warning" if ready else "failure"
        yield Finding(level, f"gateway {name}: {ready} of {len(gateway.pods)} pods are ready", remedy)
    else:
        yield Finding("ok", f"gateway {name}: {ready} of {len(gateway.pods)} pods are ready")
    yield from _proxies(gateway)


def _tracing(gateway: GatewayFacts, seen: ClusterFacts) -> Iterator[Finding]:
    """Yield why a gateway that is to trace requests does not: Istio says so in its log only."""
    name, provider = gateway.name, gateway.tracing
    if TELEMETRIES not in seen.kinds:
        what = f"gateway {name} is to trace requests, but the cluster has no {TELEMETRIES}"
        yield Finding("failure", what, INSTALL_ISTIO)
    elif seen.providers is None:
        what = f"gateway {name} traces by {provider}, and the mesh's extensionProviders could not be read"
        yield Finding("warning", what, f"see that meshConfig.extensionProviders has {provider}")
    elif provider not in seen.providers:
        what = f"gateway {name} traces nothing: the mesh has no extension provider {provider}"
        remedy = f"add {provider} to meshConfig.extensionProviders, or change spec.tracing.provider"
        yield Finding("failure", what, remedy)
    else:
        yield Finding("ok", f"gateway {name} traces requests by the mesh's extension provider {provider}")


def _autoscaling(seen: ClusterFacts) -> Iterator[Finding]:
    """Yield which writers of replicas can be used; one that cannot fails only where a model asks for it."""
    for writer, (why_not, remedy) in _writers(seen).items():
        if not why_not:
            yield Finding("ok", f"autoscale: writer {writer} can be used")
        elif writer in seen.writers:
            yield Finding("failure", f"autoscale: models ask for writer {writer}, but {why_not}", remedy)
        else:
            yield Finding("ok", f"autoscale: writer {writer} cannot be used, and no model asks for it: {why_not}")


def _writers(seen: ClusterFacts) -> Mapping[str, tuple[str, str]]:
    """Return by writer why it cannot be used, empty where it can, and what to do."""
    denied = any(resource == "deployments.apps/scale" for _, resource, _ in seen.denied or ())
    account = f"service account {SYSTEM}/{ACCOUNT} may not patch deployments/scale"
    return {
        "tidegate": (account if denied else "", INSTALL),
        "hpa": _hpa(seen.external_metrics),
        "keda": _keda(SCALED_OBJECTS in seen.kinds, seen.external_metrics),
    }


def _hpa(metrics: ApiServiceState) -> tuple[str, str]:
    if not metrics.holder:
        return f"there is no APIService {API_SERVICE.name}", SERVE_METRICS
    if not metrics.is_ours:
        why = f"APIService {API_SERVICE.name} is held by {metrics.holder}, and a cluster has only one"
        return why, INSTEAD
    if metrics.problem:
        why = f"the API server does not reach the manager's external metrics: {metrics.problem}"
        return why, f"kubectl describe apiservice {API_SERVICE.name}; {SERVE_METRICS}"
    return "", ""


def _keda(has_kind: bool, metrics: ApiServiceState) -> tuple[str, str]:
    """KEDA makes HPAs, and these read KEDA's own external metrics."""
    remedy = "install KEDA, or set another writer"
    if not has_kind:
        return f"the cluster has no {SCALED_OBJECTS}", remedy
    if not metrics.holder:
        return f"KEDA's HPAs read APIService {API_SERVICE.name}, and there is none", remedy
    if metrics.is_ours:
        why = f"KEDA's HPAs read APIService {API_SERVICE.name}, and the managers hold it"
        return why, f"take --external-metrics-listen out, delete that APIService and {remedy}"
    if metrics.problem:
        why = f"the API server does not reach the external metrics of {metrics.holder}: {metrics.problem}"
        return why, f"kubectl describe apiservice {API_SERVICE.name}"
    return "", ""


def _conflicts(found: tuple[Conflict, ...]) -> Iterator[Finding]:
    for key, message in found:
        remedy = (
            f"kubectl -n {key.namespace} edit {key.kind.lower()} {key.name}"
            if key.namespace
            else f"kubectl edit {key.kind.lower()} {key.name}"
        )
        yield Finding("warning", f"{key}: {message}", remedy)
    if not found:
        yield Finding("ok", "no two tenants claim the same host or path")


def _proxies(gateway: GatewayFacts) -> Iterator[Finding]:
    for pod, version, _ in gateway.pods:
        if too_old(version):
            what = f"gateway {gateway.name}: pod {pod} runs the proxy of Istio {version}, which rejects the limits"
            yield Finding("failure", what, "upgrade Istio to 1.30 or newer and restart the pod")


_CHECKS: Mapping[CheckArea, Callable[[ClusterFacts], Iterable[Finding]]] = {
    CheckArea.KUBERNETES: lambda seen: [_kubernetes(seen.kubernetes)],
    CheckArea.KINDS: _all_kinds,
    CheckArea.ISTIO: lambda seen: _istiod(seen.istiod),
    CheckArea.VALIDATION: lambda seen: [_webhook(seen.webhook)],
    CheckArea.RIGHTS: lambda seen: _rights(seen.denied),
    CheckArea.MANAGERS: lambda seen: _managers(seen.managers, seen.leader),
    CheckArea.GATEWAYS: lambda seen: (found for gateway in seen.gateways for found in _gateway(gateway)),
    CheckArea.TRACING: _all_tracing,
    CheckArea.AUTOSCALING: _autoscaling,
    CheckArea.CLAIMS: lambda seen: _conflicts(seen.conflicts),
}
"""The checks of each area."""
