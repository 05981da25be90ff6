"""Names and labels of everything that is rendered: one place, so that nothing is named twice."""

import re
from zlib import crc32

from istio_templates.facts import (
    GatewayPool,
    LentHost,
    LimitKey,
    ListenerFacts,
    Manifest,
    ObjectKey,
    OwnedHost,
    ServedModel,
    Tenancy,
)

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "tidegate"
TENANT = "tidegate.dev/tenant"
MODEL = "tidegate.dev/model"
VERSION = "tidegate.dev/version"
GATEWAY = "tidegate.dev/gateway"
DIGEST = "tidegate.dev/digest"
APPLIED = "tidegate.dev/applied"
SENT = "tidegate.dev/sent"
FIGURES = "tidegate.dev/figures"
RELEASE = "tidegate.dev/release"
RELEASED = "tidegate.dev/released"
PROBE_HEADER = "x-tidegate-probe"
PROBE_HOST = "probe.tidegate.internal"
# Pinned slots come in pairs: the first counts a model's requests, the second limits some share of them.
PINNED_SLOTS = 8
QUIET_SLOTS = 4
SLOTS = 20
ACCESS_SLOTS = 8
CALLER_HEADER = "x-tidegate-caller"
"""The header by which a model learns of the verified caller."""


REQUESTS = "requests"  # the part of a key that counts a model's requests and limits nothing


def is_marked(obj: Manifest) -> bool:
    """Tell whether an object carries Tidegate's mark."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER)


def is_ours(label: str) -> bool:
    """Tell whether a label is one of those that mark Tidegate's objects."""
    return label == MANAGED_BY or label.startswith("tidegate.dev/")


def owned_by_gateway(pool: GatewayPool) -> dict[str, str]:
    """Return the labels of what belongs to a gateway."""
    return {MANAGED_BY: MANAGER, GATEWAY: pool.name}


def owned_by_tenant(tenant: Tenancy) -> dict[str, str]:
    """Return the labels of what belongs to a tenant."""
    return {MANAGED_BY: MANAGER, TENANT: tenant.name}


def owned_by_model(model: ServedModel) -> dict[str, str]:
    """Return the labels of what belongs to a model."""
    return {MANAGED_BY: MANAGER, TENANT: model.tenant.name, MODEL: model.name}


def manifest(api_version: str, kind: str, name: str, namespace: str, labels: dict[str, str]) -> Manifest:
    """Return the head of a manifest; an empty namespace means a cluster-scoped kind."""
    metadata: Manifest = {"name": name, "labels": dict(labels)}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def version_manifest(api_version: str, kind: str, model: ServedModel, version: str) -> Manifest:
    """Return the head of a manifest that is about one version of a model; it has the name of the version's
    Deployment."""
    labels = {**owned_by_model(model), VERSION: version}
    return manifest(api_version, kind, deployment(model.name, version), model.tenant.namespace, labels)


def key_of(obj: Manifest) -> ObjectKey:
    """Return the key of a manifest or of a live object."""
    metadata = obj["metadata"]
    return ObjectKey(obj["kind"], metadata.get("namespace", ""), metadata["name"])


def tenant_gateway(tenant: str, pool: GatewayPool, adopted: tuple[str, str] | None) -> str:
    """Return the name of the Gateway that carries a tenant's own servers at a gateway: one that it has taken over there
    (`adopted`: gateway and name), or Tidegate's."""
    return adopted[1] if adopted and adopted[0] == pool.name else own_gateway(tenant)


def own_gateway(tenant: str) -> str:
    """Return the name of the Gateway that Tidegate makes for a tenant."""
    return f"tenant-{tenant}"


def pool_gateway(pool: GatewayPool) -> str:
    """Return the name of the Gateway that carries what all tenants of a gateway share."""
    return f"gateway-{pool.name}"


def by_certificate(pool: GatewayPool) -> list[list[ListenerFacts]]:
    """Return the listeners with a domain, those of one port and certificate together.

    An HTTP/2 client uses one connection for all hosts of a certificate. Apart, each server would answer 404 for the
    hosts of the others.
    """
    found: dict[tuple[int, str | None], list[ListenerFacts]] = {}
    for listener in pool.listeners:
        if listener.domain:
            found.setdefault((listener.port, listener.credential), []).append(listener)
    return list(found.values())


def domain_gateway(pool: GatewayPool, domain: str) -> str:
    """Return the name of the Gateway that carries a domain's server.

    For Istio `*.example.com` covers `a.eu.example.com` too. So a domain below another one has a Gateway of its own:
    else its hosts would be routed, and counted, under both certificates.
    """
    together = next((group for group in by_certificate(pool) if domain in {one.domain for one in group}), [])
    wider = {one.domain for one in pool.listeners if one.domain and one not in together}
    if any(one.domain and one.domain.endswith(f".{other}") for one in together for other in wider):
        return f"{pool_gateway(pool)}--{together[0].name}"
    return pool_gateway(pool)


ECDS_NAME = re.compile(r"tidegate\.(.+)\.slot-\d+")


def ecds_name(pool: GatewayPool, slot: int) -> str:
    """Return the name of a slot's configuration in Envoy. It carries the gateway's name, since one
    duplicate in a gateway pod would freeze every slot of it."""
    return f"tidegate.{pool.name}.slot-{slot:02d}"


def slot_object(pool: GatewayPool, slot: int) -> str:
    """Return the name of the EnvoyFilter that carries a slot's configuration."""
    return f"tidegate-{pool.name}-slot-{slot:02d}"


def insertion_object(pool: GatewayPool) -> str:
    """Return the name of the EnvoyFilter that inserts a gateway's slots."""
    return f"tidegate-{pool.name}-slots"


def endpoint_stats_object(pool: GatewayPool) -> str:
    """Return the name of the EnvoyFilter by which a gateway counts by endpoint."""
    return f"tidegate-{pool.name}-endpoint-stats"


def access_log_object(pool: GatewayPool) -> str:
    """Return the name of the EnvoyFilter by which a gateway logs its requests."""
    return f"tidegate-{pool.name}-access-log"


def access_slot(namespace: str) -> int:
    """Return the access slot of a tenant, by its namespace: the same in each gateway and release."""
    return crc32(namespace.encode()) % ACCESS_SLOTS


def verified_caller_header(slot: int) -> str:
    """Return the header in which an access slot finds the caller of a verified token; no model sees it.

    Each slot has its own, since Envoy's jwt_authn filters (from 1.40 on) remove every header of their own providers
    from a request, also those that another filter has verified.
    """
    return f"{CALLER_HEADER}-{slot}"


def verified_token_header(slot: int) -> str:
    """Return the header in which an access slot finds the id of a verified token; no model sees it."""
    return f"x-tidegate-token-{slot}"


def access_ecds_name(pool: GatewayPool, slot: int, part: str) -> str:
    """Return the name of one of the two configurations of an access slot in Envoy: `authn` or `rbac`."""
    return f"tidegate.{pool.name}.access-{slot}.{part}"


def access_slot_object(pool: GatewayPool, slot: int) -> str:
    """Return the name of the EnvoyFilter that carries an access slot's configurations."""
    return f"tidegate-{pool.name}-access-{slot}"


def access_insertion_object(pool: GatewayPool) -> str:
    """Return the name of the EnvoyFilter that inserts a gateway's access slots."""
    return f"tidegate-{pool.name}-access"


def sticky_object(pool: GatewayPool, namespace: str, model: str) -> str:
    """Return the name of the EnvoyFilter by which a gateway keeps a model's callers on one version."""
    return f"tidegate-{pool.name}-sticky.{namespace}.{model}"


def tracing_object(pool: GatewayPool) -> str:
    """Return the name of the Telemetry by which a gateway traces its requests."""
    return f"tidegate-{pool.name}-tracing"


def deployment(model: str, version: str) -> str:
    """Return the name of the Deployment of a version that Tidegate renders."""
    return f"{model}-{version}"


def warmup_object(model: str) -> str:
    """Return the name of the ConfigMap with a model's warm-up plan."""
    return f"tidegate-{model}-warmup"


def routes_of(namespace: str) -> str:
    """Return what Istio's identities of all VirtualServices of a namespace begin with."""
    return f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/"


def identity(namespace: str, virtual_service: str) -> LimitKey:
    """Return the key of the limit of a whole model, by the VirtualService that routes for it."""
    return LimitKey(f"{routes_of(namespace)}{virtual_service}")


HTTP_ROUTE = re.compile(r"/apis/gateway\.networking\.k8s\.io/v1/namespaces/([-a-z0-9]+)/http-route/([-.a-z0-9]+)")
"""The route of a limit whose requests an HTTPRoute routes."""


def route_identity(route: ObjectKey) -> LimitKey:
    """Return the key of the limit of a whole model, by the VirtualService or HTTPRoute that routes for it."""
    if route.kind == "HTTPRoute":
        return LimitKey(f"/apis/gateway.networking.k8s.io/v1/namespaces/{route.namespace}/http-route/{route.name}")
    return identity(route.namespace, route.name)


# Istio's names of what has a cluster of its own end with a semicolon, so that the name and the rest can be told apart.
COUNTED_OF_CLUSTERS = "upstream_rq_(completed|4xx|5xx|time|retry)"
COUNTED = rf"cluster\.outbound\|[0-9]+\|[^|]+\|[^|]+\.svc\.cluster\.local;?\.{COUNTED_OF_CLUSTERS}"
"""The regular expression of a `proxyStatsMatcher` that lets a gateway pod show what it counts of versions."""
LATENCY_EDGES = (
    *(1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000),
    *(10_000, 15_000, 20_000, 30_000, 60_000),
)
"""Milliseconds at which managed gateways divide the latency of versions; others have Envoy's own edges, which are
fewer."""


def cluster(namespace: str, service: str, port: int, version: str) -> str:
    """Return the name by which Envoy knows the endpoints of a version, as Istio makes it."""
    return f"outbound|{port}|{version}|{service}.{namespace}.svc.cluster.local"


def identity_of(model: ServedModel) -> LimitKey:
    """Return the identity of what routes for a model, its own VirtualService or another owner's route."""
    return route_identity(model.attached or ObjectKey("VirtualService", model.tenant.namespace, model.name))


def plain_listener(pool: GatewayPool) -> ListenerFacts | None:
    """Return the listener without TLS, if the gateway has one."""
    return next((listener for listener in pool.listeners if listener.protocol == "HTTP"), None)


def listener_for(pool: GatewayPool, host: str, credential: str | None) -> ListenerFacts | None:
    """Return the one listener that serves a host: its own certificate, the wildcard's domain, else plain HTTP."""
    for listener in pool.listeners:
        if listener.protocol == "HTTPS" and credential is not None and listener.domain is None:
            return listener
        if listener.domain is not None and credential is None and under(host, listener.domain):
            return listener
    if credential is not None:
        return None
    return next((listener for listener in pool.listeners if listener.protocol == "HTTP"), None)


def server_of(pool: GatewayPool, host: str, claim: OwnedHost | LentHost) -> tuple[int, str] | None:
    """Return the server of a gateway that takes requests for a host: its port, and what it has a certificate for. All
    plain hosts of a port have one."""
    listener = listener_for(pool, host, claim.credential)
    if listener is None:
        return None
    return listener.port, listener.credential or (claim.name if claim.credential else "")


def claim_of(tenant: Tenancy, host: str) -> OwnedHost | LentHost | None:
    """Return the narrowest claim, of the tenant itself or of one that delegates paths to it, that covers a host."""
    claims: tuple[OwnedHost | LentHost, ...] = (*tenant.hosts, *tenant.lent)
    found = [claim for claim in claims if covers(claim.name, host)]
    return max(found, key=lambda claim: len(claim.name), default=None)


def under(host: str, domain: str) -> bool:
    """Tell whether a wildcard certificate for `*.domain` covers `host`: exactly one label more."""
    first, _, rest = host.partition(".")
    return bool(first) and rest == domain


def covers(claim: str, host: str) -> bool:
    """Tell whether a host claim (perhaps `*.domain`) covers a host."""
    return claim == host or (claim.startswith("*.") and host.endswith(claim[1:]))
