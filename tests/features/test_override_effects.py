"""What holds of several overrides, what each replaces and what caps it, in every view; and a freeze that freezes."""

import pytest

from istio_templates.names import identity
from tests.features.conftest import in_slot, make_search
from tests.features.test_overrides import is_limited, limited_search, override
from tests.support.documents import labels, model, tenant
from tests.support.fleet import QUICK
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"


@pytest.fixture
async def rest(fleet):
    async with limited_search(fleet) as calls:
        yield calls


def spec(target=None, **change):
    return {"spec": override(target=target, **change)["spec"]}


async def put(rest, name, target=None, **change):
    status, answer = await rest.call("PUT", f"/v1/overrides/{name}", spec(target, **change))
    assert status in (200, 201), answer


async def planned(rest, name, target=None, **change):
    status, answer = await rest.call("PUT", f"/v1/overrides/{name}?dryRun=true", spec(target, **change))
    assert status == 200, answer
    return answer


async def active(fleet, name, reason):
    async def told():
        found = await fleet.condition("LimitOverride", name, "Active", "tidegate-system")
        return found if found.get("reason") == reason else None

    return await until(told, f"{name} being {reason}")


async def test_one_that_is_weaker_than_a_freeze_does_not_say_that_it_holds(rest):
    await put(rest, "hold", action="freeze")
    await active(rest.fleet, "hold", "Active")
    plan = await planned(rest, "figure", {"tenant": "search", "model": "ranker"}, total=90)
    (said,) = [reason for reason in plan["reasons"] if "stronger" in reason]
    assert said.startswith("search/ranker: it will not be in force, as override tidegate-system/hold is stronger")
    assert plan["limits"] == {}
    await put(rest, "figure", {"tenant": "search", "model": "ranker"}, total=90)
    found = await active(rest.fleet, "figure", "Overruled")
    assert (
        found["status"] == "False" and "override tidegate-system/hold is stronger (freeze by anna" in found["message"]
    )
    status = await rest.fleet.status("LimitOverride", "figure", "tidegate-system")
    assert (status["models"], status["inForce"]) == (1, 0)
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert [other["name"] for other in limit["overruled"]] == ["tidegate-system/figure"]
    _, explained = await rest.call("GET", f"{RANKER}/explain")
    assert any("tidegate-system/figure is not in force, as that one is stronger" in s for s in explained["explanation"])
    await rest.call("DELETE", "/v1/overrides/hold")
    await active(rest.fleet, "figure", "Active")
    await is_limited(rest.fleet, 90)


async def test_a_wider_figure_tells_which_models_a_closer_one_keeps_from_it(rest):
    await put(rest, "close", {"tenant": "search", "model": "ranker"}, total=15)
    await put(rest, "wide", {"everything": True}, total=80)
    await active(rest.fleet, "wide", "Overruled")
    plan = await planned(rest, "closer", {"tenant": "search", "model": "ranker", "gateway": "shared"}, total=12)
    assert any("it goes before override tidegate-system/close (15/s by anna" in r for r in plan["reasons"])
    assert plan["limits"] == {"Model search/ranker": {"before": 15.0, "after": 12.0}}


async def test_a_second_one_on_a_target_says_what_it_replaces(rest):
    await put(rest, "night", {"tenant": "search", "model": "ranker"}, total=90)
    await is_limited(rest.fleet, 90)
    plan = await planned(rest, "night", {"tenant": "search", "model": "ranker"}, total=10)
    assert any(
        r.startswith("it replaces what override tidegate-system/night sets now: 90/s by anna") for r in plan["reasons"]
    )
    assert plan["risk"] == "high" and any("the limit falls from 90/s to 10/s" in r for r in plan["reasons"])
    await put(rest, "night", {"tenant": "search", "model": "ranker"}, total=10)
    await is_limited(rest.fleet, 10)
    _, answer = await rest.call("GET", "/v1/events?follow=false")
    told = [event["message"] for event in answer["items"] if event["type"] == "override"]
    assert any(m.startswith("override is in force for search/ranker: 10/s") and "in place of" in m for m in told), told


async def test_what_caps_a_total_is_told(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"ceiling": 50, "range": {"lowest": 1, "highest": 45}}))
    plan = await planned(rest, "o", {"tenant": "search", "model": "ranker"}, total=100)
    assert any("the ceiling of tenant search (50/s for all its models) caps it at 50/s" in r for r in plan["reasons"])
    assert plan["limits"]["Model search/ranker"]["after"] == 50
    await put(rest, "o", {"tenant": "search", "model": "ranker"}, total=100)
    await is_limited(fleet, 50)
    found = await active(fleet, "o", "Active")
    assert "caps it at 50/s, not 100/s" in (await _message_with(fleet, "o", "caps", found))
    limited = await until(lambda: _limited_with(fleet, "caps it at 50/s"), "the model saying it")
    assert "100/s by anna" in limited
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert limit["cap"].endswith("caps it at 50/s, not 100/s")


async def test_a_rate_per_replica_beyond_the_models_ceiling_is_told(rest):
    fleet = rest.fleet
    await fleet.apply(model(rateLimit={"perReplicaQps": 20, "ceiling": 45, "debounce": QUICK}))
    plan = await planned(rest, "o", {"tenant": "search", "model": "ranker"}, perReplicaQps=100)
    assert any("the model's ceiling caps it at 45/s, not 200/s" in r for r in plan["reasons"])
    await put(rest, "o", {"tenant": "search", "model": "ranker"}, perReplicaQps=100)
    await is_limited(fleet, 45)
    assert "the model's ceiling caps it at 45/s" in await _message_with(fleet, "o", "ceiling")


async def test_the_tenants_range_that_has_become_narrower_is_told(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"range": {"lowest": 1, "highest": 60}}))
    await fleet.apply(override("own", "search", target={"model": "ranker"}, perReplicaQps=40))
    await is_limited(fleet, 60)
    await until(lambda: _limited_with(fleet, "the range of tenant search holds it to 60/s, not 80/s"), "the range")


async def test_an_override_of_a_model_without_a_limit_says_that_it_does_nothing(rest):
    fleet = rest.fleet
    await fleet.apply(model(rateLimit={"perReplicaQps": 20, "mode": "off"}))
    await is_limited(fleet, None)
    plan = await planned(rest, "o", {"tenant": "search", "model": "ranker"}, total=30)
    assert any("there is nothing to override" in r for r in plan["reasons"])
    await put(rest, "o", {"tenant": "search", "model": "ranker"}, total=30)
    assert "rateLimit.mode off" in (await active(fleet, "o", "WithoutEffect"))["message"]


async def test_labels_that_match_nothing_are_told(rest):
    plan = await planned(rest, "o", {"labels": {"tier": "platinum"}}, total=30)
    assert any("matches no model that has a limit" in r for r in plan["reasons"])
    await put(rest, "o", {"labels": {"tier": "platinum"}}, total=30)
    assert (await active(rest.fleet, "o", "NoModel"))["status"] == "False"


async def test_the_end_of_an_override_is_planned_and_told(rest):
    await put(rest, "o", {"tenant": "search", "model": "ranker"}, total=90)
    await is_limited(rest.fleet, 90)
    _, plan = await rest.call("DELETE", "/v1/overrides/o?dryRun=true")
    assert plan["limits"] == {"Model search/ranker": {"before": 90.0, "after": 40.0}}
    await rest.call("DELETE", "/v1/overrides/o")
    await is_limited(rest.fleet, 40)
    _, answer = await rest.call("GET", "/v1/events?follow=false")
    assert any("no longer in force for search/ranker" in event["message"] for event in answer["items"])


async def _message_with(fleet, name, word, found=None):
    async def told():
        said = (await fleet.condition("LimitOverride", name, "Active", "tidegate-system")).get("message", "")
        return said if word in said else None

    return await until(told, f"{name} saying {word}")


async def _limited_with(fleet, words):
    said = (await fleet.condition("Model", "ranker", "Limited", "search")).get("message", "")
    return said if words in said else None


async def _in_force(fleet, name="ranker"):
    return (await in_slot(fleet, name, "search")).get(identity("search", name))


async def frozen(rest):
    await put(rest, "hold", {"tenant": "search", "model": "ranker"}, action="freeze")

    async def told():
        return (await rest.fleet.condition("Model", "ranker", "Limited", "search")).get("reason") == "Frozen"

    await until(told, "the freeze")


async def test_a_freeze_stays_while_replicas_gateway_pods_and_the_tenants_other_models_scale(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"ceiling": 50}))
    await frozen(rest)
    await fleet.pod("search", {"app": "second"})
    await fleet.apply(
        model(
            "second",
            versions=[{"name": "v1", "existing": {"labels": {"app": "second"}}}],
            rateLimit={"perReplicaQps": 8, "debounce": QUICK},
        )
    )
    await is_limited(fleet, 8, "second")
    await fleet.pod("search", {"app": "second"})
    await is_limited(fleet, 10, "second")  # what the frozen 40 leaves of 50
    assert await _in_force(fleet) == 40
    await fleet.pod("search", labels())
    await fleet.pod("inference-gw", {"istio": "shared"})
    await is_limited(fleet, 20)
    await is_limited(fleet, 5, "second")
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert (limit["total"], limit["reason"], limit["gateways"]) == (40, "Frozen", 2)


async def test_a_freeze_stays_though_gateway_pods_came_while_no_manager_ran(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await is_limited(fleet, 20)
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
        await fleet.apply(override(action="freeze"))

        async def told():
            limit = (await fleet.status("Model", "ranker", "search")).get("limit") or {}
            return (limit.get("reason"), limit.get("total")) == ("Frozen", 20)

        await until(told, "the freeze")
    await fleet.pod("inference-gw", {"istio": "shared"})
    await fleet.pod("search", labels())
    async with fleet.manager():
        await is_limited(fleet, 10)  # 20 over two gateway pods


async def test_a_freeze_goes_on_from_the_override_that_it_follows(rest):
    await put(rest, "figure", {"tenant": "search", "model": "ranker"}, total=90)
    await is_limited(rest.fleet, 90)
    await frozen(rest)
    await rest.call("DELETE", "/v1/overrides/figure")
    await rest.fleet.pod("search", labels())
    await rest.fleet.pod("inference-gw", {"istio": "shared"})
    await is_limited(rest.fleet, 45)
