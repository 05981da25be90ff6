"""A model that is attached to an HTTPRoute of the Gateway API, which the cluster need not have."""

import copy

import pytest

from istio_templates.facts import ObjectKey
from istio_templates.names import route_identity
from tests.features.conftest import in_slot
from tests.support.documents import API, gateway, tenant
from tests.support.fleet import QUICK
from tests.support.gateway_api import GROUP, KINDS, answered, gateway_api_crds, http_route, kubernetes_gateway
from tests.support.waiting import until

ROLES = [{"name": role, "existing": {"labels": {"app": "fx", "role": role}}} for role in ("stable", "canary")]
DOCUMENT = ObjectKey("Model", "search", "ranker")


def identity(name="theirs"):
    return route_identity(ObjectKey("HTTPRoute", "search", name))


def attached(name="ranker", route="theirs", **spec):
    base = {
        "attachTo": {"httpRoute": route},
        "versions": ROLES,
        "traffic": [{"version": "stable", "weight": 100}],
        "rateLimit": {"perReplicaQps": 20, "debounce": QUICK},
    }
    metadata = {"name": name, "namespace": "search"}
    return copy.deepcopy({"apiVersion": API, "kind": "Model", "metadata": metadata, "spec": {**base, **spec}})


def service(name, namespace, **selector):
    spec = {"selector": selector, "ports": [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@pytest.fixture
async def bare(fleet):
    """Run a manager in a cluster without the Gateway API, with three stable replicas and a canary."""
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        fleet.calls, fleet.running = rest, manager
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.pod("inference-gw", {"istio": "shared"})
        for role in ("stable", "stable", "stable", "canary"):
            await fleet.pod("search", {"app": "fx", "role": role})
        services = [service(f"fx-{role}", "search", app="fx", role=role) for role in ("stable", "canary")]
        await fleet.apply(service("public", "inference-gw", istio="shared"), *services, manager="helm")
        yield fleet


async def install(fleet):
    for crd in gateway_api_crds():
        await fleet.client.apply(crd, force=True)


async def put(fleet, *objects):
    """Write objects of the Gateway API, with the status that they have."""
    for obj in objects:
        path = (
            f"/apis/{GROUP}/v1/namespaces/{obj['metadata']['namespace']}/{KINDS[obj['kind']]}/{obj['metadata']['name']}"
        )
        query = {"fieldManager": "helm", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        async with fleet.session.patch(fleet.server + path, params=query, json=obj, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()


@pytest.fixture
async def search(bare):
    await install(bare)
    await put(bare, kubernetes_gateway("public", "inference-gw", "public"), http_route("theirs", {"fx-stable": 1}))
    await until(lambda: _is_read(bare, "theirs"), "the HTTPRoute being read")
    yield bare


async def _is_read(fleet, name):
    world = fleet.running.loops.main.world
    return world and world.gateway_api and ("search", name) in world.gateway_api.routes


async def limit_is(fleet, rate, name="theirs"):
    return await in_slot(fleet) == ({identity(name): rate} if rate else {})


async def told(fleet, said, kind="Accepted", status="False"):
    condition = await fleet.condition("Model", "ranker", kind, "search")
    return condition.get("status") == status and said in condition["message"]


async def test_it_is_limited_and_nothing_of_theirs_is_written(search):
    before, owned = (
        (await search.get("HTTPRoute", "theirs", "search"))["metadata"]["resourceVersion"],
        await search.owned(),
    )
    await search.apply(attached())
    await until(lambda: limit_is(search, 60), "the limit of three replicas")
    await search.pod("search", {"app": "fx", "role": "stable"})
    await until(lambda: limit_is(search, 80), "the limit of four replicas")
    assert await told(search, "", "Programmed", "True")
    _, limit = await search.calls.call("GET", "/v1/tenants/search/models/ranker/limit")
    assert limit["total"] == 80
    _, deleted = await search.calls.call("DELETE", "/v1/tenants/search/models/ranker?dryRun=true")
    assert "HTTPRoute search/theirs stays" in str(deleted)
    await search.client.delete(DOCUMENT)
    await until(lambda: limit_is(search, None), "the limit being gone")
    assert (await search.get("HTTPRoute", "theirs", "search"))["metadata"]["resourceVersion"] == before
    assert await search.owned() == owned


async def test_weights_that_the_owner_moves_are_followed(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 60), "the limit of three stable pods")
    await put(search, http_route("theirs", {"fx-stable": 1, "fx-canary": 1}))
    await until(lambda: limit_is(search, 40), "the limit of a canary that gets half")
    await put(search, http_route("theirs", {"fx-stable": 0, "fx-canary": 1}))
    await until(lambda: limit_is(search, 20), "the limit of the canary alone")
    await put(search, http_route("theirs", {"other": 1}))
    await until(lambda: told(search, "HTTPRoute theirs sends 1 of its weights to other.search", "TrafficFollowed"))
    await until(lambda: limit_is(search, 60), "the document's traffic")
    await put(search, http_route("theirs", {"fx-canary": 7}))
    await until(lambda: told(search, "HTTPRoute theirs", "TrafficFollowed", "True"), "the traffic being followed again")
    await until(lambda: limit_is(search, 20), "the canary's limit again")


async def test_kinds_and_routes_that_come_later_are_noticed_and_so_is_that_a_route_goes(bare):
    await bare.apply(attached())
    await until(lambda: told(bare, "the cluster has no HTTPRoutes"), "the condition without the kind")
    assert "standalone does not translate" in (await bare.condition("Model", "ranker", "Accepted", "search"))["message"]
    await install(bare)
    await until(lambda: told(bare, "does not exist in namespace search; create it"), "the kind being noticed")
    await put(bare, http_route("theirs", {"fx-stable": 1}))
    await until(lambda: told(bare, "is not bound to gateway shared"), "the route being noticed")
    await put(bare, kubernetes_gateway("public", "inference-gw", "public"))
    await until(lambda: limit_is(bare, 60), "the limit")
    await bare.client.delete(ObjectKey("HTTPRoute", "search", "theirs"))
    await until(lambda: told(bare, "create it first"), "the route being gone")
    assert await limit_is(bare, 60)


async def test_a_rejection_ends_when_its_reason_does(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 60), "the limit")
    await put(search, answered(http_route("theirs", {"fx-stable": 1}), "no listener of that name"))
    await until(lambda: told(search, "no listener of that name (inference-gw/public); mend it"), "Istio's refusal")
    assert await limit_is(search, 60)
    await put(search, http_route("theirs", {"fx-stable": 1}))
    await until(lambda: told(search, "", "Accepted", "True"), "the model being accepted again")


def named(name, rule):
    return http_route(name, {}, rules=[{"name": rule, "backendRefs": [{"name": "fx-stable", "port": 80}]}])


def grpc(name):
    return {**http_route(name, {"fx-stable": 1}), "kind": "GRPCRoute"}


def unanswered(name):
    return {**http_route(name, {"fx-stable": 1}), "status": {}}


def route(name, gateway):
    return http_route(name, {"fx-stable": 1}, gateway)


ELSEWHERE = kubernetes_gateway("elsewhere", "inference-gw", "absent")
OWN = kubernetes_gateway("own", "search")
OTHERS = "gateway.envoyproxy.io/gatewayclass-controller"
REFUSED = [
    ("absent", [], 404, "HTTPRoute it does not exist in namespace search; create it first"),
    ("a Gateway that is not there", [route("it", "inference-gw/none")], 422, "(now: inference-gw/none)"),
    ("a Gateway with pods of its own", [OWN, route("it", "search/own")], 422, "(now: search/own)"),
    ("a Service that is not there", [ELSEWHERE, route("it", "inference-gw/elsewhere")], 422, "is not bound to gateway"),
    ("no parents", [http_route("it", {"fx-stable": 1}, parentRefs=[])], 422, "(now: none)"),
    ("not seen by Istio", [unanswered("it")], 422, "has no status from Istio at Gateway inference-gw/public"),
    ("another's", [answered(route("it", "inference-gw/public"), controller=OTHERS)], 422, "has no status from Istio"),
    ("a rule with a name", [named("it", "predict")], 422, "rule predict of HTTPRoute it has a name"),
    ("a neighbour's rule", [route("it", "inference-gw/public"), named("other", "search.it.3")], 409, "HTTPRoute search/other"),
    ("a GRPCRoute", [route("it", "inference-gw/public"), grpc("it")], 409, "GRPCRoute search/it has routes that Istio"),
]  # fmt: skip


@pytest.mark.parametrize("objects, code, said", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_what_cannot_be_limited_is_refused_before_anything_is_written(search, objects, code, said):
    await put(search, *objects)
    await put(search, http_route("last", {"fx-stable": 1}))
    await until(lambda: _is_read(search, "last"), "all of them being read")

    async def refused():
        body = {"spec": attached(route="it")["spec"]}
        status, problem = await search.calls.call("PUT", "/v1/tenants/search/models/it?dryRun=true", body)
        return status == code and said in problem["detail"]

    await until(refused, said)


async def test_one_route_has_one_limit_and_a_virtual_service_of_its_name_another(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 60), "the limit")
    status, problem = await search.calls.call(
        "PUT", "/v1/tenants/search/models/second", {"spec": attached("second")["spec"]}
    )
    assert status == 409 and "HTTPRoute theirs is already limited by model ranker" in problem["detail"]
    both = attached(attachTo={"httpRoute": "theirs", "virtualService": "theirs"})["spec"]
    for spec in (both, attached(attachTo={})["spec"], attached(attachTo={"httpRoute": "No_Name"})["spec"]):
        status, problem = await search.calls.call("PUT", "/v1/tenants/search/models/third", {"spec": spec})
        assert status == 422 and "attachTo" in str(problem)
    own = [{"host": "search.models.example.com", "path": "/own", "port": 8080}]
    spec = {name: value for name, value in attached("theirs", routes=own)["spec"].items() if name != "attachTo"}
    status, _ = await search.calls.call("PUT", "/v1/tenants/search/models/theirs", {"spec": spec})
    assert status == 201
