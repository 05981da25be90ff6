"""What gateway pods run is read back from them, compared with what was written, and rolled back where they refuse it."""

import dataclasses

import pytest
from aiohttp import web

from istio_templates import names
from istio_templates.envoy_filter import limits_of, revision, sent_of
from istio_templates.facts import SlotFacts
from k8s_manager.kube.resources import RESOURCES
from ratelimiter.slots import slot_of
from tests.features.conftest import in_slot, is_programmed
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import SETTINGS
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

ADDRESS = "127.0.0.9"  # where the fleet's pods are
SLOT = slot_of("search", "ranker")
RANKER = "/v1/tenants/search/models/ranker"
IMPATIENT = dataclasses.replace(SETTINGS, proof_patience=0.6)


class GatewayPod:
    """A gateway pod that takes slots as an Envoy does: whole, or not at all."""

    def __init__(self, fleet, manager):
        self._fleet, self._manager = fleet, manager
        self._running = {}
        self.refuses = lambda limits: False
        self.loses = lambda obj: False
        self.silent = False

    async def answer(self, request):
        (pool,) = self._manager.loops.main.plan.pools.values()
        if self.silent or request.headers.get(names.PROBE_HEADER) != pool.probe:
            return web.Response(status=404)
        objects, _ = await self._fleet.client.list(RESOURCES["EnvoyFilter"])
        for obj in objects:
            number = obj["metadata"]["name"].rpartition("-slot-")[2]
            if number.isdigit() and not self.refuses(limits_of(obj)) and not self.loses(obj):
                self._running[int(number)] = revision(SlotFacts(pool, int(number), limits_of(obj), sent_of(obj)))
        answer = web.Response(status=204)
        for shown in self._running.values():
            answer.headers.add("x-ratelimit-limit", f"{shown}, {shown};w=1")
        return answer


@pytest.fixture
async def search(fleet):
    """A fleet with one gateway pod that answers and a model with two replicas."""
    port = free_port()
    async with fleet.manager(IMPATIENT) as manager, fleet.rest(manager) as rest:
        pod = GatewayPod(fleet, manager)
        async with serving("/", pod.answer, port, ADDRESS):
            await fleet.apply(gateway(listeners=[{"name": "http", "port": port, "protocol": "HTTP"}]), tenant())
            await until(lambda: fleet.get("Namespace", "search"))
            await fleet.apply(model())
            await fleet.pod("inference-gw", {"istio": "shared"})
            await fleet.pod("search", labels())
            await until(lambda: is_programmed(fleet, "ranker", "search"))
            fleet.calls, fleet.gateway_pod, fleet.running = rest, pod, manager
            yield fleet


async def told(fleet, reason):
    return (await fleet.condition("InferenceGateway", "shared", "LimitsApplied")).get("reason") == reason


async def pods(fleet):
    _, limit = await fleet.calls.call("GET", f"{RANKER}/limit")
    return [pod["state"] for pod in limit["pods"]], limit["total"]


async def proved(fleet, total):
    await until(lambda: _proved(fleet, total), f"{total}/s being proved")


async def _proved(fleet, total):
    return await pods(fleet) == (["Applied"], total)


async def rates(fleet):
    return list((await in_slot(fleet)).values())


async def test_a_limit_is_proved_at_every_gateway_pod(search):
    await proved(search, 20)
    await until(lambda: told(search, "Applied"))
    _, explained = await search.calls.call("GET", f"{RANKER}/explain")
    assert "Confirmed by the config probe on 1 of 1 gateway pods." in explained["explanation"]
    await search.pod("search", labels())
    await proved(search, 40)
    _, metrics = await search.calls.call("GET", "/metrics")
    assert 'tidegate_gateway_pods{state="Applied"} 1.0' in metrics
    assert "tidegate_ratelimit_effect_seconds_count" in metrics


async def test_limits_that_no_gateway_pod_takes_are_rolled_back_until_others_are_wanted(search):
    await proved(search, 20)
    search.gateway_pod.refuses = lambda limits: any(bucket.rate == 40 for _, bucket in limits)
    await search.pod("search", labels())
    await until(lambda: told(search, "Rejected"))
    said = (await search.condition("InferenceGateway", "shared", "LimitsApplied"))["message"]
    assert f"slot {SLOT}" in said and "restored the last applied ones" in said
    await until(lambda: _is(search, [20.0]), "the limits that were applied last")
    before = await search.settled(1.2)
    assert (await search.settled(1.2))["envoyfilters"] == before["envoyfilters"]
    await search.pod("search", labels())
    await proved(search, 60)
    await until(lambda: told(search, "Applied"))


async def refuse_a_cut(fleet):
    """Cut the limit from 40/s to 20/s at a gateway pod that does not take it."""
    second = await fleet.pod("search", labels())
    await proved(fleet, 40)
    fleet.gateway_pod.refuses = lambda limits: any(bucket.rate == 20 for _, bucket in limits)
    await fleet.set_ready(second, False)
    await until(lambda: told(fleet, "Rejected"))
    await fleet.settled(1.2)


async def test_a_cut_that_no_gateway_pod_takes_stays_written(search):
    await refuse_a_cut(search)
    assert await rates(search) == [20.0]
    search.gateway_pod.refuses = lambda limits: False
    await proved(search, 20)


async def test_a_slot_of_which_a_gateway_pod_has_lost_an_update_is_sent_again(search):
    second = await search.pod("search", labels())
    await proved(search, 40)
    lost = set()

    def loses(obj):
        """The first version of each slot that there is from now on never arrives."""
        if obj["metadata"]["name"].endswith(f"-slot-{SLOT}") and limits_of(obj)[0][1].rate == 20 and not lost:
            lost.add(obj["metadata"]["resourceVersion"])
        return obj["metadata"]["resourceVersion"] in lost

    search.gateway_pod.loses = loses
    await search.set_ready(second, False)
    await proved(search, 20)
    await until(lambda: told(search, "Applied"))
    before = await search.settled(1.2)
    assert (await search.settled(1.2))["envoyfilters"] == before["envoyfilters"]
    slot = await search.get("EnvoyFilter", f"tidegate-shared-slot-{SLOT:02d}", "inference-gw")
    assert lost and sent_of(slot) == 1 and await rates(search) == [20.0]
    assert await search.events("inference-gw", "EnvoyFilter") == []
    await search.set_ready(second, True)
    await proved(search, 40)
    slot = await search.get("EnvoyFilter", f"tidegate-shared-slot-{SLOT:02d}", "inference-gw")
    assert sent_of(slot) == 1, "the number goes back: the pod could not tell this revision from an earlier one"


async def test_a_slot_that_a_gateway_pod_never_takes_is_sent_less_and_less_often(search):
    await refuse_a_cut(search)
    slot = await search.get("EnvoyFilter", f"tidegate-shared-slot-{SLOT:02d}", "inference-gw")
    assert sent_of(slot) == 1


async def _is(fleet, wanted):
    return await rates(fleet) == wanted


async def test_a_gateway_pod_that_does_not_answer_is_named_and_nothing_is_rolled_back(search):
    await proved(search, 20)
    search.gateway_pod.silent = True
    await search.pod("search", labels())
    await until(lambda: told(search, "NoAnswer"))
    assert await rates(search) == [40.0]
    assert (await pods(search))[0] == ["NoAnswer"]
    search.gateway_pod.silent = False
    await search.pod("search", labels())
    await proved(search, 60)
    await until(lambda: told(search, "Applied"))
