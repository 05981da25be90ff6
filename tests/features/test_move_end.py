"""The end of a move: nothing goes before what replaces it is in force, however long writes fail at the new gateway."""

import dataclasses

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Unavailable
from tests.features.conftest import is_programmed, make_search
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import SETTINGS
from tests.support.waiting import until

OVERLAP = 0.6
QUICKLY = dataclasses.replace(SETTINGS, gateway_overlap=OVERLAP)


class FailingClient(KubeClient):
    """A transport on which the writes of some objects fail, as long as it says so."""

    fails = staticmethod(lambda what, content: False)
    failed = 0

    async def call(self, method, path, what, query=None, content=None, *more):
        if method != "GET" and type(self).fails(what, content):
            type(self).failed += 1
            raise Unavailable(f"{what}: not now; it is tried again")
        return await super().call(method, path, what, query, content, *more)


@pytest.fixture(autouse=True)
def _works():
    FailingClient.fails, FailingClient.failed = staticmethod(lambda what, content: False), 0


def fail(*words):
    """Have writes fail whose verb and object have all of some words in them."""
    FailingClient.fails = staticmethod(
        lambda what, content: any(all(w in what for w in found.split()) for found in words)
    )


def fail_when_the_route_leaves(gateway):
    """Have writes of the model's route fail that no longer bind it to a gateway."""
    FailingClient.fails = staticmethod(
        lambda what, content: (
            "VirtualService search/ranker" in what and gateway not in content.get("spec", {}).get("gateways", [])
        )
    )


async def two_gateways(fleet):
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other-gw"}})
    await fleet.apply(gateway("other", "other-gw"))
    await make_search(fleet)
    for name, namespace in (("shared", "inference-gw"), ("other", "other-gw")):
        await fleet.pod(namespace, {"istio": name})


async def bound_to(fleet):
    route = await fleet.get("VirtualService", "ranker", "search")
    return set(route["spec"]["gateways"]) if route else set()


async def serves(fleet):
    """Tell at which gateways requests are served: a Gateway stands there, and the route is bound to it."""
    found = await bound_to(fleet)
    return {name for name in found if await fleet.get("Gateway", name.partition("/")[2], name.partition("/")[0])}


OLD, NEW = "inference-gw/tenant-search", "other-gw/tenant-search"
FAULTS = {
    "the Gateway": "apply Gateway other-gw",
    "the limit": "apply EnvoyFilter other-gw",
    "the route": "VirtualService search/ranker",
    "everything at the new gateway": "other-gw",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_the_old_gateway_serves_on_while_writes_at_the_new_one_fail(fleet, fault):
    async with fleet.manager(QUICKLY, connect=FailingClient):
        await two_gateways(fleet)
        fail(fault)
        await fleet.apply(tenant(gateway={"name": "other"}))
        await until(lambda: FailingClient.failed > 2, what="writes that fail")
        moves = await until(lambda: is_moving(fleet), what="the move having begun")
        await until(lambda: is_later(fleet, moves), what="the overlap being longer for it")
        assert OLD in await serves(fleet)
        assert not await is_programmed_tenant(fleet)
        fail()
        await until(lambda: is_at(fleet, {NEW}), what="the move having ended")
        await until(lambda: is_absent(fleet, "Gateway", "tenant-search", "inference-gw"), what="the old Gateway gone")


async def test_a_route_at_the_old_gateway_keeps_its_limit_until_it_leaves(fleet):
    async with fleet.manager(QUICKLY, connect=FailingClient) as manager:
        await two_gateways(fleet)
        fail_when_the_route_leaves(OLD)
        await fleet.apply(tenant(gateway={"name": "other"}))
        await until(lambda: is_at(fleet, {OLD, NEW}), what="both serving")
        await until(lambda: _not(is_moving(fleet)), what="the overlap being over")
        await until(lambda: FailingClient.failed > 2, what="writes that fail")
        await fleet.settled()
        assert await serves(fleet) == {OLD, NEW}
        identity = next(iter(manager.loops.main.plan.limits))
        limited = manager.loops.main.gatherer.slots.limited()
        assert {("shared", identity), ("other", identity)} <= limited
        condition = await fleet.condition("Tenant", "search", "Programmed")
        assert (condition["status"], "VirtualService search/ranker" in condition["message"]) == ("False", True)
        fail()
        await until(lambda: is_at(fleet, {NEW}), what="the move having ended")
        await until(
            lambda: ("shared", identity) not in manager.loops.main.gatherer.slots.limited(),
            what="the old limit being gone",
        )


async def test_a_model_waits_for_a_gateway_that_its_tenant_did_not_get(fleet):
    async with fleet.manager(QUICKLY, connect=FailingClient):
        fail("Gateway inference-gw/tenant-search")
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())

        async def says_so():
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return found.get("status") == "False" and "Gateway inference-gw/tenant-search" in found["message"]

        await until(says_so, what="the condition saying what waits")
        assert await fleet.get("VirtualService", "ranker", "search") is None
        fail()
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")


async def test_what_a_route_leads_to_stays_while_the_route_of_a_deleted_model_does(fleet):
    async with fleet.manager(QUICKLY, connect=FailingClient):
        await make_search(fleet)
        fail("delete VirtualService")
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: FailingClient.failed > 1, what="deletions that fail")
        await fleet.settled()
        for kind in ("Service", "DestinationRule"):
            assert await fleet.get(kind, "ranker", "search"), kind
        assert await fleet.get("Deployment", "ranker-v1", "search")
        fail()
        await until(lambda: is_absent(fleet, "Model", "ranker", "search"), what="the model being gone")
        assert not {name for name in await fleet.owned() if name.endswith("search/ranker")}


async def test_a_rejected_model_keeps_the_gateway_that_it_is_served_by(fleet):
    async with fleet.manager(QUICKLY, connect=FailingClient):
        await two_gateways(fleet)
        await fleet.apply(model(routes=[{"host": "nobodys.example.com", "path": "/v2/models/ranker", "port": 8080}]))
        await until(lambda: is_rejected(fleet), what="the model being rejected")
        await fleet.apply(tenant(gateway={"name": "other"}))
        moves = await until(lambda: is_moving(fleet), what="the move having begun")
        await until(lambda: is_later(fleet, moves), what="the overlap being longer for it")
        assert await serves(fleet) == {OLD}
        message = (await fleet.condition("Tenant", "search", "Programmed"))["message"]
        assert "routes ranker are not at gateway other yet, so gateway shared serves on" in message
        await fleet.apply(model())
        await until(lambda: is_at(fleet, {NEW}), what="the move having ended")


async def is_at(fleet, gateways):
    return await serves(fleet) == gateways and await bound_to(fleet) == gateways


async def is_moving(fleet):
    return ((await fleet.status("Tenant", "search")).get("moving") or {}).get("until")


async def is_later(fleet, than):
    found = await is_moving(fleet)
    return found is not None and found > than


async def is_programmed_tenant(fleet):
    return (await fleet.condition("Tenant", "search", "Programmed")).get("status") == "True"


async def is_rejected(fleet):
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"


async def is_absent(fleet, kind, name, namespace):
    return await fleet.get(kind, name, namespace) is None


async def _not(found):
    return not await found
