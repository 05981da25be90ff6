"""Gateway: the ports, and which tenant's routes may bind to which host.

Hosts are always `<tenant namespace>/<host>`: Istio lets any namespace add routes to a host that is listed without one.
"""

from istio_templates import names
from istio_templates.facts import GatewayPool, ListenerFacts, Manifest, OwnedHost, Tenancy
from istio_templates.workloads.service import service_named


def tenant_gateway(pool: GatewayPool, tenant: Tenancy) -> list[Manifest]:
    """Return the Gateway with a tenant's plain HTTP hosts and the hosts under its own certificates, if any."""
    served = [(host, names.listener_for(pool, host.name, host.credential)) for host in tenant.hosts]
    servers = [
        *_plain(tenant, [(host, listener) for host, listener in served if listener and listener.protocol == "HTTP"]),
        *(
            _own_certificate(tenant, host, listener, number)
            for number, (host, listener) in enumerate(served)
            if host.credential and listener
        ),
        *_redirect(pool, tenant, [host for host, listener in served if listener and listener.protocol == "HTTPS"]),
    ]
    if not servers:
        return []
    obj = names.manifest(
        "networking.istio.io/v1",
        "Gateway",
        names.tenant_gateway(tenant.name, pool, tenant.adopted),
        pool.namespace,
        names.owned_by_tenant(tenant),
    )
    obj["metadata"]["labels"][names.GATEWAY] = pool.name
    return [{**obj, "spec": {"selector": dict(pool.selector), "servers": servers}}]


def pool_gateway(pool: GatewayPool, tenants: list[Tenancy], kept: frozenset[tuple[str, str]]) -> list[Manifest]:
    """Return the Gateways with the servers that tenants share: wildcard certificates, and the probe's host."""
    servers: dict[str, list[Manifest]] = {}
    for listeners in names.by_certificate(pool):
        server = _wildcard(listeners, tenants, kept)
        if server["hosts"] and listeners[0].credential not in pool.missing:
            servers.setdefault(names.domain_gateway(pool, listeners[0].domain or ""), []).append(server)
    plain = names.plain_listener(pool)
    if pool.probe and plain:
        servers.setdefault(names.pool_gateway(pool), []).append(
            {
                "port": {"number": plain.port, "name": f"{plain.name}-probe", "protocol": "HTTP"},
                "hosts": [f"./{names.PROBE_HOST}"],
            }
        )
    return [_shared(pool, name, found) for name, found in servers.items()]


def _shared(pool: GatewayPool, name: str, servers: list[Manifest]) -> Manifest:
    obj = names.manifest("networking.istio.io/v1", "Gateway", name, pool.namespace, names.owned_by_gateway(pool))
    return {**obj, "spec": {"selector": dict(pool.selector), "servers": servers}}


def hosts_of(obj: Manifest) -> list[str]:
    """Return the hosts of a Gateway as read back, without the namespaces that may route there."""
    servers = (obj.get("spec") or {}).get("servers") or ()
    return [entry.rpartition("/")[2] for server in servers for entry in server.get("hosts") or ()]


def gateway_named(name: str, namespace: str) -> tuple[str, str]:
    """Return (namespace, name) of the Gateway that a VirtualService in `namespace` means, in any of Istio's forms.

    `name`, `./name`, `namespace/name`, and as of old `name.namespace` with or without the domain of a Service.
    """
    space, slash, last = name.partition("/")
    if slash:
        return (namespace if space == "." else space, last)
    return service_named(name, namespace)


def _plain(tenant: Tenancy, served: list[tuple[OwnedHost, ListenerFacts]]) -> list[Manifest]:
    if not served:
        return []
    listener = served[0][1]
    return [
        {
            "port": {"number": listener.port, "name": f"{listener.name}-{tenant.name}", "protocol": "HTTP"},
            "hosts": [entry for host, _ in served for entry in _entries(tenant, host)],
        }
    ]


def _entries(tenant: Tenancy, host: OwnedHost) -> list[str]:
    """Return who may route for a host, as a server lists it."""
    return [f"{namespace}/{host.name}" for namespace in (tenant.namespace, *host.guests)]


def _own_certificate(tenant: Tenancy, host: OwnedHost, listener: ListenerFacts, number: int) -> Manifest:
    return {
        "port": {"number": listener.port, "name": f"{listener.name}-{tenant.name}-{number}", "protocol": "HTTPS"},
        "hosts": _entries(tenant, host),
        "tls": {"mode": "SIMPLE", "credentialName": host.credential, "minProtocolVersion": "TLSV1_2"},
    }


def _redirect(pool: GatewayPool, tenant: Tenancy, hosts: list[OwnedHost]) -> list[Manifest]:
    plain = names.plain_listener(pool)
    if plain is None or not hosts:
        return []
    return [
        {
            "port": {"number": plain.port, "name": f"{plain.name}-{tenant.name}-redirect", "protocol": "HTTP"},
            "hosts": [entry for host in hosts for entry in _entries(tenant, host)],
            "tls": {"httpsRedirect": True},
        }
    ]


def _wildcard(listeners: list[ListenerFacts], tenants: list[Tenancy], kept: frozenset[tuple[str, str]]) -> Manifest:
    first = listeners[0]
    return {
        "port": {"number": first.port, "name": first.name, "protocol": "HTTPS"},
        "hosts": [host for listener in listeners for host in _under(listener.domain or "", tenants, kept)],
        "tls": {"mode": "SIMPLE", "credentialName": first.credential, "minProtocolVersion": "TLSV1_2"},
    }


def _under(domain: str, tenants: list[Tenancy], kept: frozenset[tuple[str, str]]) -> list[str]:
    namespaces = {
        namespace
        for tenant in tenants
        for host in tenant.hosts
        if not host.credential and names.under(host.name, domain)
        for namespace in (tenant.namespace, *host.guests)
    } | {namespace for namespace, host in kept if names.under(host, domain)}
    return [f"{namespace}/*.{domain}" for namespace in sorted(namespaces)]
