"""Hosts have one owner: who lends a path, and who writes past the manager."""

import json
from typing import Any

import aiohttp

from e2e.support.gateway_api import GROUP, install_gateway_api
from e2e.support.site import Site, host_of, kubectl
from istio_templates.documents.parse import API_VERSION
from istio_templates.facts import Manifest
from tests.support.waiting import until


async def answer(address: str, host: str, path: str) -> int:
    """Return how a gateway pod answers."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}:8080{path}", headers={"Host": host}) as said,
    ):
        return said.status


async def test_a_path_that_is_lent_is_served_by_its_guest_and_no_longer_when_it_is_taken_back(
    site: Site, gateways: list[str], tenant: str
):
    guest, host = f"{tenant}-b", host_of(tenant)
    await site.make_tenant(guest)
    await site.make_tenant(tenant)
    await site.make_model(tenant)
    lent = {"routes": [{"host": host, "path": "/v2/models/lent", "port": 8080}]}
    body = {**lent, "versions": [{"name": "v1", "existing": {"labels": {"app": "absent"}}}]}
    body = {**body, "traffic": [{"version": "v1", "weight": 100}], "paused": "by the guest"}
    place = f"/v1/tenants/{guest}/models/lent"
    status, said = await site.rest.call("PUT", place, {"spec": body})
    assert (status, "belongs to another tenant" in said["problems"][0]["message"]) == (409, True)
    hosts: list[Manifest] = [{"name": host, "delegations": [{"path": "/v2/models/lent", "tenant": guest}]}]
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": {"gateway": {"name": "shared"}, "hosts": hosts}})
    await until(lambda: puts(site, place, body), "the guest's model being taken")

    async def served(wanted: int) -> bool:
        found = [await answer(address, host, "/v2/models/lent/infer") for address in gateways]
        return found == [wanted] * len(gateways)

    await until(lambda: served(503), "the guest answering")  # it is paused, and says so
    hosts = [{"name": host}]
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": {"gateway": {"name": "shared"}, "hosts": hosts}})
    await until(lambda: served(404), "the path being taken back")
    await until(lambda: refused(site, guest), "the guest being told")


async def puts(site: Site, place: str, body: Manifest) -> bool:
    status, _ = await site.rest.call("PUT", place, {"spec": body})
    return status in (200, 201)


async def refused(site: Site, namespace: str) -> bool:
    condition = await site.condition("Model", "lent", "Accepted", namespace)
    return condition.get("status") == "False" and "belongs to another tenant" in condition["message"]


def written(obj: Any) -> str:
    """Write an object by kubectl as somebody who may write everything; return what the API server said against it."""
    try:
        kubectl("apply", "-f", "-", stdin=json.dumps(obj))
    except AssertionError as error:
        return str(error)
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=json.dumps(obj))
    return ""


def istio(kind: str, namespace: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "theft", "namespace": namespace},
        "spec": spec,
    }


def server(*hosts: str) -> Manifest:
    port = {"number": 8080, "name": "http", "protocol": "HTTP"}
    return {"selector": {"istio": "shared"}, "servers": [{"port": port, "hosts": list(hosts)}]}


def http_route(namespace: str, *hosts: str, kind: str = "HTTPRoute") -> Manifest:
    parent = {"name": "public", "namespace": "shared-gw"}
    rule = {"backendRefs": [{"name": "x", "port": 80}]}
    spec = {"parentRefs": [parent], "rules": [rule], **({"hostnames": list(hosts)} if hosts else {})}
    metadata = {"name": "theft", "namespace": namespace}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


async def test_who_writes_past_the_manager_by_the_gateway_api_is_held_to_the_same_claims(
    site: Site, gateways: list[str], tenant: str
):
    install_gateway_api()
    host = host_of(tenant)
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")

    async def known() -> bool:  # the API server reads Tenants by a watch of its own
        return "claimed by a tenant" in written(http_route("default", host))

    await until(known, "the API server knowing the claim")
    for obj in (
        http_route("default", "free.example.net", host),
        http_route("default", host, kind="GRPCRoute"),
        http_route("default", "*." + host.partition(".")[2]),
    ):
        assert "claimed by a tenant" in written(obj), obj
    assert written(http_route(tenant, host)) == ""
    assert written(http_route("default", "free.example.net")) == ""
    assert written(http_route("default")) == ""


async def test_lent_paths_are_compared_as_the_manager_reads_them(site: Site, gateways: list[str], tenant: str):
    guest, host = f"{tenant}-b", host_of(tenant)
    await site.make_tenant(guest, hosts=[])
    lent = [{"path": "/lent/", "tenant": guest}, {"path": "/plain", "tenant": guest}]
    await site.make_tenant(tenant, hosts=[{"name": host, "delegations": lent}])
    await until(lambda: site.get("Namespace", guest), "the namespace")

    def said(path: str, name: str = host) -> str:
        model = {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": "guest", "namespace": guest}}
        spec = {
            "routes": [{"host": name, "path": path, "port": 8080}],
            "versions": [{"name": "v1", "existing": {"labels": {"app": "x"}}}],
            "traffic": [{"version": "v1", "weight": 100}],
        }
        return written({**model, "spec": spec})

    async def known() -> bool:
        return "host of another tenant" in said("/own")

    await until(known, "the API server knowing the claim")
    for path in ("/lent", "/lent/", "/lent/x", "/plain", "/plain/", "/plain/x/"):
        assert said(path) == "", path
    for path in ("/", "/lentil", "/plainly", "/plai"):
        assert "host of another tenant" in said(path), path
    assert "host of another tenant" in said("/own", f"{host}.")


async def test_who_writes_past_the_manager_is_held_to_the_same_claims(site: Site, gateways: list[str], tenant: str):
    other, host = f"{tenant}-b", host_of(tenant)
    await site.make_tenant(tenant)
    await site.make_tenant(other)
    await until(lambda: site.get("Namespace", other), "the namespace")
    claim = {"apiVersion": API_VERSION, "kind": "Tenant", "metadata": {"name": f"{tenant}-c"}}
    route = {"host": host.upper(), "path": "/x", "port": 8080}
    model = {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": "theft", "namespace": other}}
    model["spec"] = {
        "routes": [route],
        "versions": [{"name": "v1", "existing": {"labels": {"app": "x"}}}],
        "traffic": [{"version": "v1", "weight": 100}],
    }
    http = [{"route": [{"destination": {"host": f"x.{other}.svc.cluster.local"}}]}]

    def hosts(*claimed: str) -> Manifest:
        return {**claim, "spec": {"gateway": {"name": "shared"}, "hosts": [{"name": name} for name in claimed]}}

    async def known() -> bool:  # the API server reads Tenants by a watch of its own
        return "claimed by another tenant" in written(hosts(host))

    await until(known, "the API server knowing the claim")
    for claimed in (host.upper(), f"{host}.", "*." + host.partition(".")[2]):
        assert "claimed by another tenant" in written(hosts(claimed)), claimed
    assert "host of another tenant" in written(model)
    for namespace in (other, "default"):
        for obj in (
            istio("VirtualService", namespace, {"hosts": [host], "gateways": ["shared-gw/tenant-x"], "http": http}),
            istio("VirtualService", namespace, {"hosts": ["*"], "gateways": ["shared-gw/tenant-x"], "http": http}),
            istio("Gateway", namespace, server(f"*/{host}")),
            istio("Gateway", namespace, server("free.example.net", "*")),
        ):
            assert "claimed by a tenant" in written(obj), obj
    named = {"labels": {"app.kubernetes.io/managed-by": "tidegate"}}
    taken = istio("Gateway", other, server(f"*/{host}"))
    assert "claimed by a tenant" in written({**taken, "metadata": {**taken["metadata"], **named}})
    assert written(istio("VirtualService", tenant, {"hosts": [host], "gateways": ["mesh"], "http": http})) == ""
    assert written(istio("Gateway", other, server("free.example.net"))) == ""
    assert "no EnvoyFilters" in written(
        {**istio("EnvoyFilter", other, {}), "apiVersion": "networking.istio.io/v1alpha3"}
    )
