"""Checks of a cluster, and what to run where one fails. Pure: from what `tidegate doctor` has read to findings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from k8s_manager.admission.prior_conflicts import Conflict
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
)
_ROUTES = ("gateways", "virtualservices", "destinationrules", "envoyfilters")
ISTIO_KINDS = tuple(f"{kind}.networking.istio.io" for kind in _ROUTES)
TELEMETRIES = "telemetries.telemetry.istio.io"
INSTALL = "kubectl apply -k manifests/"
WEBHOOK = "check the pods of istiod and its ValidatingWebhookConfiguration, then run this again"
INSTALL_ISTIO = "install Istio 1.30 or newer (istioctl install), then run this again"
Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; `remedy` says what to do unless the level is ok."""

    level: Level
    what: str
    remedy: str = ""


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
    """What was read from a cluster. `denied` are (verb, resource, purpose); None where rights could not be reviewed.
    `providers` are the mesh's extension providers; None where its configuration could not be read."""

    kubernetes: str
    kinds: frozenset[str]
    denied: tuple[tuple[str, str, str], ...] | None
    istiod: tuple[tuple[str, str, int], ...]
    webhook: str | None
    managers: tuple[int, int] | None
    leader: str
    gateways: tuple[GatewayFacts, ...] = field(default=())
    conflicts: tuple[Conflict, ...] = field(default=())
    providers: frozenset[str] | None = None


def findings(seen: ClusterFacts) -> list[Finding]:
    """Return the results of all checks, in the order in which to repair them."""
    return [
        _kubernetes(seen.kubernetes),
        *_kinds("Tidegate's kinds", DOCUMENT_KINDS, seen.kinds, INSTALL),
        *_kinds("Istio's kinds", ISTIO_KINDS, seen.kinds, INSTALL_ISTIO),
        *_istiod(seen.istiod),
        _webhook(seen.webhook),
        *_rights(seen.denied),
        *_managers(seen.managers, seen.leader),
        *(found for gateway in seen.gateways for found in _gateway(gateway)),
        *(found for gateway in seen.gateways if gateway.tracing for found in _tracing(gateway, seen)),
        *_conflicts(seen.conflicts),
    ]


def _kubernetes(version: str) -> Finding:
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
        yield Finding("warning", "the manager's rights could not be reviewed", "run this as a cluster administrator")
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
