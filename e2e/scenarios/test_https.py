"""HTTPS: under the platform's wildcard certificate, where a new tenant drains nobody, and under a tenant's own."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import trustme

from e2e.support.envoy import DRAINED, LISTENERS, stats
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of
from e2e.support.tls import put_certificate, put_namespace, trusting
from tests.support.waiting import until

NAMESPACE, SELECTOR, DOMAIN = "secure-gw", "istio=secure", "models.example.com"
LISTENERS_OF = [
    {"name": "http", "port": 8080, "protocol": "HTTP"},
    {"name": "https", "port": 8443, "protocol": "HTTPS", "domain": DOMAIN, "credentialName": "wildcard"},
    {"name": "own", "port": 8444, "protocol": "HTTPS"},
]


@pytest.fixture
async def authority(site: Site) -> AsyncIterator[trustme.CA]:
    made = trustme.CA()
    put_namespace("secure", NAMESPACE)
    put_certificate(made, NAMESPACE, "wildcard", f"*.{DOMAIN}")
    yield made
    for tenant in await site.all("Tenant"):
        await site.rest.call("DELETE", f"/v1/tenants/{tenant['metadata']['name']}?cascade=true")
    await site.rest.call("DELETE", "/v1/gateways/secure?cascade=true")


def moved(pod: str) -> dict[str, int]:
    return stats(NAMESPACE, pod, LISTENERS) | stats(NAMESPACE, pod, DRAINED)


async def test_a_tenant_under_the_wildcard_certificate_comes_without_draining_the_listener(
    site: Site, authority: trustme.CA, tenant: str
):
    addresses = await site.make_gateway("secure", replicas=1, listeners=LISTENERS_OF)
    await site.make_tenant(tenant, "secure")
    await site.make_model(tenant, replicas=1, rateLimit={"perReplicaQps": 100, "mode": "off"})
    load = Load(host_of(tenant), path_of("ranker"), rate=20, port=8443, scheme="https", ssl=trusting(authority))
    async with load.on(*addresses):
        await until(lambda: load.outcome.counts["200"] > 5, "answers under the wildcard certificate")
        load.outcome.counts.clear()
        (pod,) = [p["metadata"]["name"] for p in await site.gateway_pods(NAMESPACE, SELECTOR)]
        before = moved(pod)
        await site.make_tenant(f"{tenant}-b", "secure")
        await site.make_model(f"{tenant}-b", replicas=1, rateLimit={"perReplicaQps": 100, "mode": "off"})
        other = Load(host_of(f"{tenant}-b"), path_of("ranker"), 10, 8443, "https", trusting(authority))
        async with other.on(*addresses):
            await until(lambda: other.outcome.counts["200"] > 5, "answers of the second tenant")
        assert moved(pod) == before
        assert set(load.outcome.counts) == {"200"}
    async with aiohttp.ClientSession() as session:
        url = f"http://{addresses[0]}:8080{path_of('ranker')}"
        async with session.get(url, headers={"Host": host_of(tenant)}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"].split(":")[0]) == (301, "https")


async def test_a_tenant_serves_under_its_own_certificate(site: Site, authority: trustme.CA, tenant: str):
    host = f"{tenant}.example.org"
    put_certificate(authority, NAMESPACE, f"{tenant}-cert", host)
    addresses = await site.make_gateway("secure", replicas=1, listeners=LISTENERS_OF)
    hosts = [{"name": host, "tls": {"credentialName": f"{tenant}-cert"}}]
    await site.make_tenant(tenant, "secure", hosts=hosts)
    routes = [{"host": host, "path": path_of("ranker"), "protocol": "http", "port": 8080}]
    await site.make_model(tenant, replicas=1, routes=routes)
    load = Load(host, path_of("ranker"), rate=5, port=8444, scheme="https", ssl=trusting(authority))
    async with load.on(*addresses):
        await until(lambda: load.outcome.counts["200"] > 5, "answers under the tenant's own certificate")


async def test_a_certificate_that_is_not_there_is_named_and_serves_when_it_comes(
    site: Site, authority: trustme.CA, tenant: str
):
    host = f"{tenant}.example.org"
    addresses = await site.make_gateway("secure", replicas=1, listeners=LISTENERS_OF)
    hosts = [{"name": host, "tls": {"credentialName": f"{tenant}-late"}}]
    await site.make_tenant(tenant, "secure", hosts=hosts)

    async def named() -> bool:
        obj = await site.get("Tenant", tenant) or {}
        return f"{tenant}-late" in json.dumps(obj.get("status", {}))

    await until(named, "the missing certificate being named")
    put_certificate(authority, NAMESPACE, f"{tenant}-late", host)
    routes = [{"host": host, "path": path_of("ranker"), "protocol": "http", "port": 8080}]
    await site.make_model(tenant, replicas=1, routes=routes)
    load = Load(host, path_of("ranker"), rate=5, port=8444, scheme="https", ssl=trusting(authority))
    async with load.on(*addresses):
        await until(lambda: load.outcome.counts["200"] > 5, "answers once the certificate is there")
