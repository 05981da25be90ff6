"""A model that is attached to somebody else's VirtualService: it is limited, and nothing of theirs is written."""

import copy

import pytest

from istio_templates.names import identity
from tests.features.conftest import in_slot
from tests.support.documents import API, gateway, tenant
from tests.support.fleet import QUICK
from tests.support.waiting import until

HOST = "search.models.example.com"
IDENTITY = identity("search", "theirs")


def theirs(name="theirs", **spec):
    base = {
        "hosts": [HOST],
        "gateways": ["inference-gw/tenant-search"],
        "http": [{"route": [{"destination": {"host": "theirs.search.svc.cluster.local"}}]}],
    }
    metadata = {"name": name, "namespace": "search"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {**base, **spec},
    }


def deployment():
    labels = {"app": "theirs"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "m", "image": "example.com/m:1"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "theirs", "namespace": "search"},
        "spec": spec,
    }


def attached(name="ranker", virtual_service="theirs", **spec):
    base = {
        "attachTo": {"virtualService": virtual_service},
        "versions": [{"name": "v1", "existing": {"labels": {"app": "theirs"}}}],
        "traffic": [{"version": "v1", "weight": 100}],
        "rateLimit": {"perReplicaQps": 20, "debounce": QUICK},
    }
    metadata = {"name": name, "namespace": "search"}
    return copy.deepcopy({"apiVersion": API, "kind": "Model", "metadata": metadata, "spec": {**base, **spec}})


@pytest.fixture
async def search(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.apply(theirs(), deployment(), manager="helm")
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", {"app": "theirs"})
        fleet.calls = rest
        await until(
            lambda: manager.loops.main.world and ("search", "theirs") in (manager.loops.main.world.foreign or {})
        )
        yield fleet


async def limit_is(fleet, rate):
    return await in_slot(fleet) == ({IDENTITY: rate} if rate else {})


async def versions(fleet):
    found = [await fleet.get(kind, "theirs", "search") for kind in ("VirtualService", "Deployment")]
    return [obj["metadata"]["resourceVersion"] for obj in found]


async def test_it_is_limited_by_its_identity_and_nothing_of_theirs_is_written(search):
    before, owned = await versions(search), await search.owned()
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit of one replica")
    await search.pod("search", {"app": "theirs"})
    await until(lambda: limit_is(search, 40), "the limit of two replicas")
    condition = await search.condition("Model", "ranker", "Programmed", "search")
    assert condition["status"] == "True", condition
    _, limit = await search.calls.call("GET", "/v1/tenants/search/models/ranker/limit")
    assert limit["total"] == 40
    assert await search.owned() == owned
    await search.client.delete(_key())
    await until(lambda: limit_is(search, None), "the limit being gone")
    assert await versions(search) == before


def _key():
    from istio_templates.facts import ObjectKey

    return ObjectKey("Model", "search", "ranker")


async def test_the_limit_stays_when_their_virtual_service_goes_and_the_condition_says_so(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit")
    await search.client.delete(_key()._replace(kind="VirtualService", name="theirs"))

    async def told():
        condition = await search.condition("Model", "ranker", "Accepted", "search")
        return condition.get("reason") == "NotFound" and "create it first" in condition["message"]

    await until(told, "the condition")
    assert await limit_is(search, 20)
    await search.apply(theirs(), manager="helm")
    await until(lambda: _accepted(search), "the model being accepted again")


async def test_a_refused_edit_keeps_the_limit(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit")
    for broken in (attached(virtual_service="typo"), attached(traffic=[{"version": "v1", "weight": 90}])):
        await search.apply(broken)
        await until(lambda: _refused(search), "the edit being refused")
        await search.pod("search", {"app": "else"})
        await search.settled(1.2)
        assert await limit_is(search, 20)
        await search.apply(attached())
        await until(lambda: _accepted(search), "the model being accepted again")


async def _refused(fleet):
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"


async def test_of_two_that_limit_the_same_either_can_be_deleted(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit")
    await search.apply(attached("second"))
    await until(lambda: _has_finalizer(search, "second"), "the second being seen")
    await search.client.delete(_key()._replace(name="second"))
    await until(lambda: _gone(search, "second"), "the second being gone")
    assert await limit_is(search, 20)
    await search.apply(attached("second"))
    await until(lambda: _has_finalizer(search, "second"), "the second being seen")
    await search.client.delete(_key())
    await until(lambda: _gone(search, "ranker"), "the first being gone")


async def _has_finalizer(fleet, name):
    obj = await fleet.get("Model", name, "search")
    return bool(obj and obj["metadata"].get("finalizers"))


async def _gone(fleet, name):
    return await fleet.get("Model", name, "search") is None


async def test_a_model_of_the_name_of_an_attached_virtual_service_is_refused(search):
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit")
    spec = {
        k: v
        for k, v in attached(routes=[{"host": HOST, "path": "/own", "port": 8080}])["spec"].items()
        if k != "attachTo"
    }
    status, problem = await search.calls.call("PUT", "/v1/tenants/search/models/theirs", {"spec": spec})
    assert status == 409
    assert "is limited by model ranker" in problem["detail"]


async def _accepted(fleet):
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "True"


REFUSED = [
    ("one that is not there", attached(virtual_service="none"), 404, "VirtualService none does not exist"),
    ("one that is not exported", attached(virtual_service="hidden"), 422, "is not exported to namespace inference-gw; add"),
    ("one behind another gateway", attached(virtual_service="elsewhere"), 422, "its gateways (now: other-gw/public)"),
    ("one in the mesh only", attached(virtual_service="mesh"), 422, "its gateways (now: mesh)"),
    ("one that another model limits", attached("second"), 409, "is already limited by model ranker"),
    ("a delegate", attached(virtual_service="part"), 422, "is a delegate of search/root, and the gateway counts"),
    ("with routes", attached(routes=[{"host": HOST, "path": "/x", "port": 80}]), 422, "exactly one of routes"),
    ("with a workload", attached(versions=[{"name": "v1", "workload": {"replicas": 1, "image": "a"}}]), 422, "has a workload"),
    ("closed when cold", attached(rateLimit={"perReplicaQps": 2, "fallback": {"cold": "closed"}}), 422, "choose hold or floor"),
]  # fmt: skip


@pytest.mark.parametrize("document, code, said", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_what_cannot_be_limited_is_refused_before_anything_is_written(search, document, code, said):
    await search.apply(
        theirs("hidden", exportTo=["other-gw"]),
        theirs("elsewhere", gateways=["other-gw/public"]),
        theirs("mesh", gateways=["mesh"]),
        theirs("root", gateways=["inference-gw/x"], http=[{"delegate": {"name": "part"}}]),
        theirs("part", hosts=[], gateways=[]),
        manager="helm",
    )
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), "the limit")
    name = document["metadata"]["name"]
    status, problem = await search.calls.call("PUT", f"/v1/tenants/search/models/{name}", {"spec": document["spec"]})
    assert status == code, problem
    assert said in problem["detail"]
    assert await limit_is(search, 20)


async def test_a_virtual_service_that_tidegate_renders_is_not_attached_to(search):
    route = {"host": HOST, "path": "/own", "port": 8080}
    spec = {k: v for k, v in attached("own", routes=[route])["spec"].items() if k != "attachTo"}
    status, _ = await search.calls.call("PUT", "/v1/tenants/search/models/own", {"spec": spec})
    assert status == 201
    status, problem = await search.calls.call(
        "PUT", "/v1/tenants/search/models/ranker", {"spec": attached(virtual_service="own")["spec"]}
    )
    assert status == 409
    assert "is rendered by Tidegate for model own" in problem["detail"]


async def test_a_tenant_without_hosts_limits_a_route_for_any_host(search):
    bare = tenant()
    bare["spec"]["hosts"] = []
    await search.apply(bare)
    await search.apply(theirs(hosts=["*"]), manager="helm")
    await search.apply(attached())
    await until(lambda: limit_is(search, 20), what="the limit in its slot")
    assert (await search.condition("Tenant", "search", "Programmed"))["status"] == "True"


ROLES = [{"name": role, "existing": {"labels": {"app": "fx", "role": role}}} for role in ("stable", "canary")]


def split_route(stable, canary, **more):
    hosts = {"fx-stable": stable, "fx-canary": canary}
    return [{"route": [{"destination": {"host": h}, "weight": w} for h, w in hosts.items()], **more}]


def role_service(role, **selector):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"fx-{role}", "namespace": "search"},
        "spec": {"selector": {"app": "fx", "role": role, **selector}, "ports": [{"name": "http", "port": 80}]},
    }


async def make_split(search, stable=100, canary=0, **spec):
    """Make four stable pods and a canary, their Services, a VirtualService that splits, and a model of 100/0."""
    await search.apply(theirs("fx", http=split_route(stable, canary)), manager="argo")
    for role, count in (("stable", 4), ("canary", 1)):
        await search.apply(role_service(role), manager="argo")
        for _ in range(count):
            await search.pod("search", {"app": "fx", "role": role})
    traffic = [{"version": "stable", "weight": 100}, {"version": "canary", "weight": 0}]
    await search.apply(attached("fx", "fx", versions=ROLES, traffic=traffic, **spec))


async def split_limit_is(search, rate):
    return (await in_slot(search)).get(identity("search", "fx")) == rate


async def test_weights_that_the_owner_moves_are_followed(search):
    await make_split(search)
    await until(lambda: split_limit_is(search, 80), "the limit of four stable pods")
    await search.apply(theirs("fx", http=split_route(50, 50)), manager="argo")
    await until(lambda: split_limit_is(search, 40), "the limit of the canary that gets half")
    _, explained = await search.calls.call("GET", "/v1/tenants/search/models/fx/explain")
    assert "50 % of the traffic" in str(explained)
    assert not await search.condition("Model", "fx", "TrafficFollowed", "search")
    await search.apply(theirs("fx", http=split_route(0, 100)), manager="argo")
    await until(lambda: split_limit_is(search, 20), "the limit of the canary that gets everything")


async def test_subsets_and_destinations_that_the_owner_moves_are_followed(search):
    await make_split(search)
    await until(lambda: split_limit_is(search, 80), "the limit of four stable pods")
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "fx", "namespace": "search"},
        "spec": {"host": "fx-all", "subsets": [{"name": "new", "labels": {"role": "canary"}}]},
    }
    whole = role_service("all")
    whole["spec"]["selector"] = {"app": "fx"}
    await search.apply(whole, rule, manager="argo")
    target = {"destination": {"host": "fx-all.search.svc.cluster.local", "subset": "new"}}
    await search.apply(theirs("fx", http=[{"route": [target]}]), manager="argo")
    await until(lambda: split_limit_is(search, 20), "the limit of the subset")
    rule["spec"]["subsets"][0]["labels"] = {"role": "stable"}
    await search.apply(rule, manager="argo")
    await until(lambda: split_limit_is(search, 80), "the limit of the subset's new pods")


async def test_old_pods_that_the_route_no_longer_reaches_are_not_counted(search):
    """As at the end of a rollout of Argo Rollouts: new pods have the role of the old ones, and the canary's Service."""
    await make_split(search)
    await until(lambda: split_limit_is(search, 80), "the limit of four stable pods")
    for _ in range(2):
        await search.pod("search", {"app": "fx", "role": "stable", "hash": "new"})
    await until(lambda: split_limit_is(search, 120), "the limit of all pods of the role")
    canary = role_service("canary")
    canary["spec"]["selector"] = {"app": "fx", "hash": "new"}
    await search.apply(canary, manager="argo")
    await search.apply(theirs("fx", http=split_route(0, 100)), manager="argo")
    await until(lambda: split_limit_is(search, 40), "the limit of the two new pods")
    _, explained = await search.calls.call("GET", "/v1/tenants/search/models/fx/explain")
    assert "stable" in str(explained)


async def test_what_cannot_be_mapped_leaves_the_document_and_says_so(search):
    await make_split(search, rateLimit={"perReplicaQps": 20, "debounce": QUICK})
    await until(lambda: split_limit_is(search, 80), "the limit of four stable pods")
    await search.apply(role_service("other", other="x"), manager="argo")
    other = [{"route": [{"destination": {"host": "fx-else"}, "weight": 100}, {"destination": {"host": "fx-stable"}}]}]
    await search.apply(theirs("fx", http=other), manager="argo")

    async def told(status, said):
        condition = await search.condition("Model", "fx", "TrafficFollowed", "search")
        return condition.get("status") == status and said in condition["message"]

    await until(lambda: told("False", "sends 100 of its weights to fx-else"), "the condition")
    assert await split_limit_is(search, 80)
    headers = [{"headers": {"x-canary": {"exact": "1"}}}]
    two = [{"match": headers, "route": [{"destination": {"host": "fx-canary"}}]}, *split_route(100, 0)]
    await search.apply(theirs("fx", http=two), manager="argo")
    await until(lambda: told("False", "in different ways"), "the condition for two ways")
    await search.apply(theirs("fx", http=split_route(50, 50)), manager="argo")
    await until(lambda: told("True", "VirtualService fx"), "the condition being well again")
    await until(lambda: split_limit_is(search, 40), "the limit following")


def foreign_gateway(name, namespace, **selector):
    server = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": selector, "servers": [server]},
    }


NAMED = ["inference-gw/x", "x.inference-gw", "x.inference-gw.svc.cluster.local", "x.inference-gw.svc.example.org"]
NAMED += ["edge/other", "other.edge.svc.cluster.local", "beside", "./beside"]


async def test_gateways_are_named_in_all_of_istios_forms_and_stand_in_any_namespace(search):
    for space, name in (("inference-gw", "x"), ("edge", "other"), ("search", "beside")):
        if space == "edge":
            await search.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        await search.apply(foreign_gateway(name, space, istio="shared"), manager="helm")
    await search.apply(foreign_gateway("elsewhere", "search", istio="else"), manager="helm")
    for number, name in enumerate([*NAMED, "elsewhere", "absent"]):
        await search.apply(theirs(f"named-{number}", gateways=[name]), manager="helm")
        document = attached(f"named-{number}", f"named-{number}")
        path = f"/v1/tenants/search/models/named-{number}"

        async def answered(path=path, document=document, code=201 if name in NAMED else 422):
            status, _ = await search.calls.call("PUT", f"{path}?dryRun=true", {"spec": document["spec"]})
            return status in (200, code) and (status == 422) == (code == 422)

        await until(answered, name)
