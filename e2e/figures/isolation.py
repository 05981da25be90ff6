"""Do changes of another tenant's route move a tenant's admitted rate, at two real gateway pods?

Beside it the peer: the bucket on the route, as examples show it, in the same setting.
"""

import asyncio
import itertools
import json

from benchmarks.support import peer
from benchmarks.support.report import Figure, at_most, plain, within
from e2e.scenarios.test_parity import gateway_of
from e2e.support.envoy import DRAINED, LISTENERS, stats
from e2e.support.load import Load
from e2e.support.site import Site, host_of, kubectl, path_of
from istio_templates.facts import Manifest, ObjectKey

LIMIT, OFFERED = 40.0, 150.0
PEER = "peer-gw"


async def run(site: Site, seconds: float) -> list[Figure]:
    """Measure at rest and with five changes a second, first our slots, then the peer."""
    addresses = await site.make_gateway("shared")
    await site.make_tenant("steady")
    await site.make_model("steady", replicas=2)
    await site.until_total(LIMIT, "steady")
    pods = [pod["metadata"]["name"] for pod in await site.gateway_pods("shared-gw", "istio=shared")]
    rest = await _admitted(addresses, "steady", seconds)
    before = _counters(pods)
    changed = await _beside_changes(site, "shared-gw", addresses, "steady", seconds)
    figures = [
        within(f"admitted at rest, limit {LIMIT:g}/s over two pods", rest, LIMIT, 2, "/s"),
        at_most(
            "admitted more than at rest, another route changing 5 times a second", (changed / rest - 1) * 100, 1, " %"
        ),
        Figure(
            "listeners changed, drained or closed meanwhile",
            str(_counters(pods) != before),
            "False",
            _counters(pods) == before,
            True,
        ),
    ]
    return [*figures, *await _peer(site, seconds)]


def _counters(pods: list[str]) -> list[dict[str, int]]:
    return [stats("shared-gw", pod, LISTENERS) | stats("shared-gw", pod, DRAINED) for pod in pods]


async def _admitted(addresses: list[str], tenant: str, seconds: float) -> float:
    load = Load(host_of(tenant), path_of("ranker"), rate=OFFERED / len(addresses))
    async with load.on(*addresses):
        await load.measure(1)
        since, to = await load.measure(seconds)
    assert not load.outcome.strange, load.outcome.counts
    return load.outcome.rate(since, to)


async def _beside_changes(site: Site, namespace: str, addresses: list[str], tenant: str, seconds: float) -> float:
    """Measure while another VirtualService on the same port changes five times a second."""
    await site.kube.apply(_other_gateway(namespace), force=True, manager="figures")
    await site.kube.apply(_other(namespace, 0), force=True, manager="figures")
    await asyncio.sleep(1)

    async def stir() -> None:
        for number in itertools.count(1):
            await site.kube.apply(_other(namespace, number), force=True, manager="figures")
            await asyncio.sleep(0.2)

    stirring = asyncio.create_task(stir())
    try:
        return await _admitted(addresses, tenant, seconds)
    finally:
        stirring.cancel()
        await asyncio.gather(stirring, return_exceptions=True)
        for kind in ("VirtualService", "Gateway"):
            await site.kube.delete(ObjectKey(kind, namespace, "other"))


def _other_gateway(namespace: str) -> Manifest:
    server = {"port": {"number": 8080, "name": "http-other", "protocol": "HTTP"}, "hosts": ["./other.example.com"]}
    spec = {"selector": {"istio": namespace.removesuffix("-gw")}, "servers": [server]}
    metadata = {"name": "other", "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def _other(namespace: str, number: int) -> Manifest:
    match = [{"uri": {"prefix": f"/other-{number % 2}"}}]
    http = [{"match": match, "directResponse": {"status": 204}}]
    spec = {"hosts": ["other.example.com"], "gateways": [f"{namespace}/other"], "exportTo": ["."], "http": http}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "other", "namespace": namespace},
        "spec": spec,
    }


async def _peer(site: Site, seconds: float) -> list[Figure]:
    """Measure a bucket on the route: half the limit at each of two pods, its burst a second's worth."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PEER}}
    kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    kubectl("apply", "--server-side", "-f", "-", stdin=gateway_of(PEER, "peer"))
    kubectl("-n", PEER, "scale", "deployment/gw", "--replicas=2")
    for obj in _peer_objects():
        await site.kube.apply(obj, force=True, manager="figures")
    addresses = await site.ready_pods(PEER, "istio=peer", 2)
    await asyncio.sleep(3)
    rest = await _admitted(addresses, "steady", seconds)
    changed = await _beside_changes(site, PEER, addresses, "steady", seconds)
    kubectl("delete", "namespace", PEER, "--wait=false")
    more = (changed / rest - 1) * 100
    return [
        plain(
            "peer: a bucket on the route (burst 1 s), another route changing 5 times a second",
            f"{more:+.0f} % admitted",
        )
    ]


def _peer_objects() -> list[Manifest]:
    limiter = peer.on_route(int(LIMIT / 2))
    hcm = {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}}
    patches = [
        {
            "applyTo": "HTTP_FILTER",
            "match": {"context": "GATEWAY", "listener": hcm},
            "patch": {
                "operation": "INSERT_BEFORE",
                "value": peer.listener_filter(),
            },
        },
        {
            "applyTo": "HTTP_ROUTE",
            "match": {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": "limited"}}}},
            "patch": {"operation": "MERGE", "value": {"typed_per_filter_config": limiter}},
        },
    ]
    labels = {"workloadSelector": {"labels": {"istio": "peer"}}}
    server = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*/*"]}
    destination = {"host": "ranker.steady.svc.cluster.local", "port": {"number": 8080}}
    http = [{"name": "limited", "match": [{"uri": {"prefix": "/v2"}}], "route": [{"destination": destination}]}]
    return [
        _object("networking.istio.io/v1", "Gateway", "peer", {"selector": {"istio": "peer"}, "servers": [server]}),
        _object(
            "networking.istio.io/v1",
            "VirtualService",
            "limited",
            {"hosts": [host_of("steady")], "gateways": [f"{PEER}/peer"], "http": http},
        ),
        _object("networking.istio.io/v1alpha3", "EnvoyFilter", "limited", {**labels, "configPatches": patches}),
    ]


def _object(version: str, kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": PEER}, "spec": spec}
