"""What a browser and a caller of another path see: rewritten paths, CORS beside the limit, several certificates."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import trustme

from e2e.support.site import QUICK, Site, kubectl, version
from e2e.support.tls import put_certificate, put_namespace, trusting
from tests.support.waiting import until

NAMESPACE, PORT = "routed-gw", 8443
DOMAINS = {"models": "models.example.com", "europe": "eu.models.example.com", "partners": "partners.example.net"}
PAGE = "https://app.example.com"
ALLOWED = "access-control-allow-origin"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
CORS = {"allowOrigins": [{"exact": PAGE}], "allowMethods": ["POST"], "exposeHeaders": ["retry-after"]}
CORS |= {"allowHeaders": ["content-type"], "allowCredentials": True}


@pytest.fixture
async def authority(site: Site) -> AsyncIterator[trustme.CA]:
    made = trustme.CA()
    put_namespace("routed", NAMESPACE)
    for name, domain in DOMAINS.items():
        put_certificate(made, NAMESPACE, f"{name}-wildcard", f"*.{domain}")
    yield made
    for tenant in await site.all("Tenant"):
        await site.rest.call("DELETE", f"/v1/tenants/{tenant['metadata']['name']}?cascade=true")
    await site.rest.call("DELETE", "/v1/gateways/routed?cascade=true")


@dataclass
class Browser:
    """A client that asks one gateway pod over HTTPS."""

    session: aiohttp.ClientSession
    address: str
    trust: ssl.SSLContext

    async def ask(self, host: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of an answer."""
        url, sent = f"https://{self.address}:{PORT}{path}", {"Host": host, **headers}
        more = {"ssl": self.trust, "server_hostname": host}
        async with self.session.request(method, url, headers=sent, **more) as answer:  # type: ignore[arg-type]
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.text()

    async def certificate(self, host: str) -> set[str]:
        """Return the names in the certificate that is shown for a host."""
        _, writer = await asyncio.open_connection(self.address, PORT, ssl=self.trust, server_hostname=host)
        names = {name for _, name in writer.get_extra_info("peercert")["subjectAltName"]}
        writer.close()
        return names


def listeners() -> list[dict]:
    secured = [
        {"name": name, "port": PORT, "protocol": "HTTPS", "domain": domain, "credentialName": f"{name}-wildcard"}
        for name, domain in DOMAINS.items()
    ]
    return [{"name": "http", "port": 8080, "protocol": "HTTP"}, *secured]


async def test_paths_are_rewritten_pages_read_refusals_and_each_domain_has_its_certificate(
    site: Site, authority: trustme.CA, tenant: str
):
    (address,) = await site.make_gateway("routed", replicas=1, listeners=listeners())
    hosts = {name: f"{tenant}.{domain}" for name, domain in DOMAINS.items()}
    await site.make_tenant(tenant, "routed", hosts=[{"name": host} for host in hosts.values()])
    for name, host in hosts.items():
        route = {"host": host, "port": 8080}
        routes = [
            {**route, "path": "/stat", "rewrite": {"path": "/counts"}, "cors": CORS},
            {**route, "path": "/base", "rewrite": {"prefix": "/"}},
        ]
        limit = {"perReplicaQps": 0.1, "debounce": QUICK}
        await site.make_model(tenant, name, 1, routes=routes, versions=[version(1)], rateLimit=limit)
    async with aiohttp.ClientSession() as session:
        browser = Browser(session, address, trusting(authority))
        await until(lambda: _routed(browser, hosts), "all hosts being routed")
        await _certificates(browser, hosts)
        await _preflights(browser, hosts["europe"])
        await _rewrites_until_limited(browser, hosts["europe"])
        await _paused(site, browser, tenant, hosts["models"])
    _refused_by_the_api_server(tenant)


async def _routed(browser: Browser, hosts: dict[str, str]) -> bool:
    """Tell whether all hosts answer preflights; these cost no tokens."""
    answers = [await browser.ask(host, "/stat", "OPTIONS", **PREFLIGHT) for host in hosts.values()]
    return all(status == 200 and headers.get(ALLOWED) == PAGE for status, headers, _ in answers)


async def _certificates(browser: Browser, hosts: dict[str, str]) -> None:
    for name, host in hosts.items():
        assert await browser.certificate(host) == {f"*.{DOMAINS[name]}"}


async def _preflights(browser: Browser, host: str) -> None:
    for _ in range(30):
        status, headers, body = await browser.ask(host, "/stat/below", "OPTIONS", **PREFLIGHT)
        assert (status, body, headers[ALLOWED]) == (200, "", PAGE)
    stranger = {**PREFLIGHT, "Origin": "https://evil.example.net"}
    status, headers, body = await browser.ask(host, "/stat", "OPTIONS", **stranger)
    assert (status, body) == (200, "") and ALLOWED not in headers


async def _rewrites_until_limited(browser: Browser, host: str) -> None:
    """The bucket holds two tokens, which thirty preflights have left."""
    for path in ("/stat/below?a=1", "/base/counts"):
        status, _, body = await browser.ask(host, path, Origin=PAGE)
        assert status == 200 and ("real" in json.loads(body) or "?" in path), (path, body)
    status, headers, _ = await browser.ask(host, "/stat", Origin=PAGE)
    assert (status, headers[ALLOWED], headers["access-control-expose-headers"]) == (429, PAGE, "retry-after")


async def _paused(site: Site, browser: Browser, tenant: str, host: str) -> None:
    path = f"/v1/tenants/{tenant}/models/models"
    spec = (await site.rest.ok("GET", path))["spec"]
    await site.rest.ok("PUT", path, {"spec": {**spec, "paused": "back at noon"}})

    async def reads_why() -> bool:
        status, headers, body = await browser.ask(host, "/stat", Origin=PAGE)
        return (status, headers.get(ALLOWED)) == (503, PAGE) and "back at noon" in body

    await until(reads_why, "a page reading why the model is paused")
    status, headers, _ = await browser.ask(host, "/stat", "OPTIONS", **PREFLIGHT)
    assert (status, headers[ALLOWED]) == (200, PAGE)


def _refused_by_the_api_server(tenant: str) -> None:
    """The rules of the CRDs are those of the manager."""
    model = json.loads(kubectl("-n", tenant, "get", "models.tidegate.dev", "europe", "-o", "json"))
    wide = {"allowOrigins": [{"exact": "*"}], "allowCredentials": True}
    for field, value in (("rewrite", {"path": "/a", "prefix": "/b"}), ("cors", wide)):
        patch = [{"op": "replace", "path": f"/spec/routes/0/{field}", "value": value}]
        said = _patched(tenant, model["metadata"]["name"], patch)
        assert "give one of path and prefix" in said or "allowCredentials does not go" in said, said
    gateway = [{"op": "replace", "path": "/spec/listeners/1/port", "value": 8080}]
    assert "a port with a listener of protocol HTTP has no other" in _patched("", "routed", gateway)


def _patched(namespace: str, name: str, patch: list[dict]) -> str:
    """Return what the API server says against a change that is only tried."""
    kind = "models.tidegate.dev" if namespace else "inferencegateways.tidegate.dev"
    where = ("-n", namespace) if namespace else ()
    words = (*where, "patch", kind, name, "--type=json", "--dry-run=server", "-p", json.dumps(patch))
    with pytest.raises(AssertionError) as refused:
        kubectl(*words)
    return str(refused.value)
