"""Modes of limits as documents and conditions show them; what gateway pods count is played by the test."""

import asyncio
import dataclasses
from collections import Counter

import pytest
from aiohttp import web

from istio_templates.envoy_filter import COUNTING, limits_of
from istio_templates.facts import ObjectKey
from istio_templates.names import PINNED_SLOTS, SLOTS, identity
from k8s_manager.cli.limit_text import limit_lines
from ratelimiter.slots import slot_of
from tests.features.conftest import in_slot, make_search
from tests.features.test_overrides import override
from tests.support.bounds import hung
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import QUICK, SETTINGS
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

RANKER = identity("search", "ranker")
LINE = 'envoy_http_local_rate_limit_{}{{envoy_local_http_ratelimit_prefix="tidegate_slot_{:02d}"}} {}'


def staged(name="ranker", **limit):
    return model(name, rateLimit={"perReplicaQps": 20, "debounce": QUICK, **limit})


async def pinned(fleet):
    """Return what each pinned slot limits: its number, the model, and the share for which it is enforced."""
    out = {}
    for number in range(PINNED_SLOTS):
        slot = await fleet.get("EnvoyFilter", f"tidegate-shared-slot-{number:02d}", "inference-gw")
        for key, bucket in limits_of(slot or {}):
            out[number] = (str(key).split("/")[-1], "counts" if bucket == COUNTING else bucket.enforced)
    return out


async def reason(fleet, name="ranker"):
    return (await fleet.condition("Model", name, "Limited", "search")).get("reason")


async def becomes(fleet, wanted, name="ranker"):
    async def is_so():
        return await reason(fleet, name) == wanted

    await until(is_so, f"{name} being {wanted}")


async def has_pins(fleet, wanted):
    found = {}

    async def is_so():
        nonlocal found
        found = await pinned(fleet)
        return found == wanted

    try:
        await until(is_so, f"pinned slots being {wanted}")
    except AssertionError:
        assert found == wanted


async def test_a_model_moves_between_slots_as_its_mode_changes_and_leaves_none_behind(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await fleet.apply(staged(mode="shadow"))
        await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
        await until(lambda: _is_in_no_shared_slot(fleet), "the shared slot without it")
        await becomes(fleet, "Shadow")
        await fleet.apply(staged(mode="ramp", ramp={"over": "2s"}))
        await until(lambda: _is_enforced(fleet), "the end of the ramp")
        await has_pins(fleet, {})
        await becomes(fleet, "Ramp")
        await fleet.apply(staged(mode="enforce"))
        await becomes(fleet, "Capacity")
        await fleet.apply(staged(mode="shadow"))
        await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
        await fleet.client.delete(_model())
        await has_pins(fleet, {})
        await until(lambda: _is_in_no_shared_slot(fleet), "the shared slot without it")


@pytest.mark.parametrize("mode", ["shadow", "ramp"])
async def test_a_status_keeps_nothing_of_a_mode_that_has_ended(fleet, mode):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: _shown(fleet, "total"), "the limit in the status")
        before = await _keys(fleet)
        await fleet.apply(staged(mode=mode, ramp={"over": "1h"} if mode == "ramp" else None))
        await until(lambda: _shown(fleet, "enforcedPercent"), "the stage in the status")
        await fleet.apply(staged(mode="enforce"))
        await becomes(fleet, "Capacity")
        await until(lambda: _has_keys(fleet, before), "the stage being gone from the status")
        writes = await fleet.settled(1.5)  # a key that stays would be written every second
        await asyncio.sleep(1.5)
        assert fleet.writes() == writes


async def _keys(fleet) -> set[str]:
    return set((await fleet.status("Model", "ranker", "search")).get("limit") or {})


async def _shown(fleet, name: str) -> bool:
    return name in await _keys(fleet)


async def _has_keys(fleet, names: set[str]) -> bool:
    return await _keys(fleet) == names


async def _is_in_no_shared_slot(fleet) -> bool:
    return await in_slot(fleet) == {}


def _model(name="ranker"):
    return ObjectKey("Model", "search", name)


async def _is_enforced(fleet):
    return RANKER in await in_slot(fleet)


async def test_a_model_whose_replicas_an_autoscaler_takes_over_moves_to_the_restless_slots(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: _slots_of(fleet, {slot_of("search", "ranker")}), "the quiet slot")
        version = {"name": "v1", "workload": {"image": "example.com/ranker:1"}}
        await fleet.apply(model(versions=[version]))
        await until(lambda: _slots_of(fleet, {slot_of("search", "ranker", restless=True)}), "the restless slot")


async def _slots_of(fleet, wanted):
    found = set()
    for number in range(PINNED_SLOTS, SLOTS):
        slot = await fleet.get("EnvoyFilter", f"tidegate-shared-slot-{number:02d}", "inference-gw")
        found |= {number for key, _ in limits_of(slot or {}) if key == RANKER}
    return found == wanted


async def test_a_ramp_and_a_pinned_slot_outlive_the_manager(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await fleet.apply(staged("first", mode="shadow"))
        await has_pins(fleet, {0: ("first#requests", "counts"), 1: ("first", 0)})
        await fleet.apply(staged(mode="shadow"))
        await until(lambda: _share(fleet, 0), "the shadow")
        await fleet.apply(staged(mode="ramp", ramp={"over": "200s"}))
        await until(lambda: _share(fleet, 10), "the second step")
    writes = await fleet.settled()
    async with fleet.manager():
        await fleet.client.delete(_model("first"))
        await until(lambda: _share(fleet, 15), "the third step")
        assert set(await pinned(fleet)) == {2, 3}  # it stays where it is
    assert fleet.writes()["envoyfilters"] - writes["envoyfilters"] <= 4


async def _share(fleet, share):
    return (await pinned(fleet)).get(3) == ("ranker", share)


async def test_when_all_pinned_slots_are_taken_the_condition_names_who_holds_them(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        for name in ("a", "b", "c", "d"):
            await fleet.apply(staged(name, mode="shadow"))
        await until(lambda: _taken(fleet, 8), "four models in shadow")
        await fleet.apply(staged("ranker", mode="shadow"))
        await becomes(fleet, "NoPinnedSlot")
        condition = await fleet.condition("Model", "ranker", "Limited", "search")
        assert condition["status"] == "False"
        assert "search/a, search/b, search/c, search/d" in condition["message"]
        await fleet.apply(staged("b", mode="enforce"))
        await becomes(fleet, "Shadow")


async def _taken(fleet, number):
    return len(await pinned(fleet)) == number


async def test_a_limit_in_shadow_stays_there_until_its_verdict_unless_an_operator_says_otherwise(fleet):
    verdict = {"refusedAtMost": 1, "over": "1m"}
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await fleet.apply(staged(mode="shadow", verdict=verdict))
        await becomes(fleet, "Shadow")
        await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
        await fleet.apply(staged(mode="enforce", verdict=verdict))
        await becomes(fleet, "AwaitsVerdict")
        condition = await fleet.condition("Model", "ranker", "Limited", "search")
        assert "at most 1 % over 1 min; so far: no gateway pod has reported its counters" in condition["message"]
        _, explained = await calls.call("GET", "/v1/tenants/search/models/ranker/explain")
        assert explained["mode"] == "shadow" and any("stays in shadow" in said for said in explained["explanation"])
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
        await fleet.apply(override(mode="enforce", target={"model": "ranker"}))
        await until(lambda: _is_enforced(fleet), "the override")
        await has_pins(fleet, {})


async def test_an_override_can_put_a_limit_into_shadow_for_a_time(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: _is_enforced(fleet), "the limit")
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
        await fleet.apply(override(mode="shadow", seconds=hung() / 10, target={"model": "ranker"}))
        await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
        await until(lambda: _is_enforced(fleet), "its end")
        await has_pins(fleet, {})


async def test_the_kill_switch_reaches_a_limit_in_shadow(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await fleet.apply(staged(mode="shadow", floor=3))
        await becomes(fleet, "Shadow")
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
        await fleet.apply(override(action="floor"))
        await until(lambda: _is_at(fleet, 3), "the floor being enforced")
        await has_pins(fleet, {})


async def _is_at(fleet, rate):
    return (await in_slot(fleet)).get(RANKER) == rate


class Statistics:
    """What two gateway pods show of their Envoys."""

    def __init__(self):
        self.lines = {"127.0.0.10": [], "127.0.0.11": []}
        self.readings = Counter()
        self.silent = set()

    async def answer(self, request):
        assert request.query["filter"] == "http_local_rate_limit"
        address = request.host.split(":")[0]
        self.readings[address] += 1
        if address in self.silent:
            return web.Response(status=503)
        return web.Response(text="\n".join(self.lines[address]) + "\n")

    async def read(self):
        """Wait until what is shown now has been read from both: a reading begins when the one before it is over."""
        before = Counter(self.readings)
        await until(lambda: all(self.readings[a] >= before[a] + 3 for a in self.lines), "three readings")

    def count(self, address, slot, **values):
        self.lines[address] += [LINE.format(what, slot, value) for what, value in values.items()]


@pytest.fixture
async def counted(fleet):
    """Yield the statistics of two gateway pods, and the manager that reads them often."""
    statistics, port = Statistics(), free_port()
    settings = dataclasses.replace(SETTINGS, stats_port=port, stats_every=0.6)
    async with serving("/stats/prometheus", statistics.answer, port, *statistics.lines), fleet.manager(settings):
        await make_search(fleet)
        for address in statistics.lines:
            key = await fleet.pod("inference-gw", {"istio": "shared"})
            await fleet.client.merge(key, {"status": {"podIP": address}}, "status")
        yield statistics


@pytest.mark.parametrize("silent", [{"127.0.0.10"}, {"127.0.0.11"}, {"127.0.0.10", "127.0.0.11"}], ids=len)
async def test_load_is_not_said_to_be_even_again_where_a_gateway_pod_tells_nothing(fleet, counted, silent):
    await make_uneven(fleet, counted)
    counted.silent = silent

    async def unknown():
        found = await fleet.condition("InferenceGateway", "shared", "LoadEven")
        return (found["status"], found["reason"]) == ("Unknown", "NotRead") and found["message"]

    assert "have not been read" in await until(unknown, "the condition being unknown")


async def test_a_gateway_pod_that_refuses_while_another_idles_is_told(fleet, counted):
    await make_uneven(fleet, counted)
    said = (await fleet.condition("InferenceGateway", "shared", "LoadEven"))["message"]
    assert "gets 98% of the requests and rejected 900" in said and "2% and rejected none" in said


async def make_uneven(fleet, counted):
    counted.count("127.0.0.10", 0, enabled=10, enforced=0)
    counted.count("127.0.0.11", 0, enabled=10, enforced=0)
    await counted.read()
    counted.count("127.0.0.10", 0, enabled=2010, enforced=0)
    counted.count("127.0.0.10", 9, enabled=2010, enforced=900)
    counted.count("127.0.0.11", 0, enabled=60, enforced=0)

    async def uneven():
        return (await fleet.condition("InferenceGateway", "shared", "LoadEven")).get("reason") == "Uneven"

    await until(uneven, "the condition")


async def test_what_shadow_would_have_refused_is_told(fleet, counted):
    await fleet.apply(staged(mode="shadow"))
    await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
    for address in counted.lines:
        counted.count(address, 0, enabled=100, rate_limited=100)
        counted.count(address, 1, enabled=100, rate_limited=50)
    await counted.read()
    counted.count("127.0.0.10", 0, enabled=300, rate_limited=300)
    counted.count("127.0.0.10", 1, enabled=300, rate_limited=70)

    async def told():
        condition = await fleet.condition("Model", "ranker", "Limited", "search")
        return "would have rejected 20 of 200 requests" in condition["message"]

    await until(told, "the counts")
    limit = (await fleet.status("Model", "ranker", "search"))["limit"]
    assert limit["enforcedPercent"] == 0
    assert (limit["observed"]["refused"], limit["observed"]["requests"]) == (20, 200)


async def test_a_refused_document_keeps_no_other_models_limit(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.apply(staged(mode="shadow"), model("broken"))
        await has_pins(fleet, {0: ("ranker#requests", "counts"), 1: ("ranker", 0)})
        await fleet.apply(model("broken", traffic=[{"version": "v9", "weight": 100}]))

        async def refused():
            return (await fleet.condition("Model", "broken", "Accepted", "search")).get("status") == "False"

        await until(refused, "the refusal")
        await fleet.client.merge(_model(), {"spec": {"rateLimit": None}})
        await has_pins(fleet, {})


async def test_a_model_in_shadow_is_not_closed(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.apply(staged(mode="shadow", fallback={"cold": "closed"}))
        await becomes(fleet, "Shadow")
        route = await fleet.get("VirtualService", "ranker", "search")
        assert "directResponse" not in str(route["spec"])
        await fleet.apply(staged(mode="enforce", fallback={"cold": "closed"}))

        async def closed():
            return "directResponse" in str((await fleet.get("VirtualService", "ranker", "search"))["spec"])

        await until(closed, "the model being closed")


@pytest.mark.parametrize("mode", ["shadow", "ramp", "off"])
async def test_every_view_of_a_limit_says_that_it_is_not_enforced(fleet, mode):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await fleet.apply(gateway(), tenant())  # a ramp goes on from what is enforced: nothing is, before
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.apply(staged(mode=mode, ramp={"over": "10h"}))
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        path = "/v1/tenants/search/models/ranker"

        async def said():
            _, limit = await calls.call("GET", f"{path}/limit")
            return limit if limit.get("mode") == mode else None

        limit = await until(said, f"the limit saying {mode}")
        assert "\n".join(limit_lines("search/ranker", limit)).count("\n") == 0
        _, explained = await calls.call("GET", f"{path}/explain")
        assert explained["mode"] == mode and not any(s.startswith("In force since") for s in explained["explanation"])
        if mode != "off":
            status = await until(lambda: _status_limit(fleet, mode), "the status saying it")
            assert status["mode"] == mode


async def _status_limit(fleet, mode):
    limit = (await fleet.status("Model", "ranker", "search")).get("limit") or {}
    return limit if limit.get("mode") == mode else None
