"""Overrides of limits: they hold at once, for whom they are meant, and end by themselves."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.names import identity
from tests.features.conftest import in_slot, make_search
from tests.support.bounds import hung
from tests.support.documents import API, labels, model, tenant
from tests.support.fleet import QUICK
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"
PATIENT = {"down": {"quiet": "60s", "longest": "60s"}, "up": {"quiet": "60s", "longest": "60s"}}


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def override(name="o", namespace="tidegate-system", seconds=3600.0, target=None, **change):
    spec = {
        "author": "anna",
        "reason": "incident 4711",
        "expires": later(seconds),
        "target": target or {"everything": True},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API, "kind": "LimitOverride", "metadata": metadata, "spec": {**spec, **change}}


async def in_force(fleet, name="ranker", namespace="search"):
    return (await in_slot(fleet, name, namespace)).get(identity(namespace, name))


async def is_limited(fleet, rate, name="ranker", namespace="search"):
    await until(lambda: _is(fleet, rate, name, namespace), f"{namespace}/{name} being limited to {rate}")


async def _is(fleet, rate, name, namespace):
    return await in_force(fleet, name, namespace) == rate


@asynccontextmanager
async def limited_search(fleet):
    """Give a manager's API with a model of two replicas that is limited to 40/s at one gateway pod."""
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await fleet.pod("search", labels())
        await is_limited(fleet, 40)
        calls.fleet = fleet
        yield calls


@pytest.fixture
async def rest(fleet):
    async with limited_search(fleet) as calls:
        yield calls


async def test_an_override_holds_at_once_is_told_everywhere_and_ends_by_itself(rest):
    fleet = rest.fleet
    await fleet.apply(
        model(rateLimit={"perReplicaQps": 20, "debounce": {**PATIENT, "down": {"quiet": "1ms", "longest": "1ms"}}})
    )
    body = {"total": 100, "reason": "incident 4711", "ttl": f"{hung() / 10:.0f}s", "author": "anna"}
    status, answer = await rest.call("PUT", f"{RANKER}/limit/override", body)
    assert status == 201, answer
    await is_limited(fleet, 100)
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert (limit["total"], limit["reason"], limit["override"]["author"]) == (100, "Override", "anna")
    _, explained = await rest.call("GET", f"{RANKER}/explain")
    assert any(
        "100/s by anna until" in sentence and "incident 4711" in sentence for sentence in explained["explanation"]
    )
    await until(lambda: _told(fleet, "Model", "ranker", "search", "Limited", "Override"))
    name = answer["metadata"]["name"]

    async def counted() -> bool:
        return (await fleet.status("LimitOverride", name, "tidegate-system")).get("models") == 1

    await until(counted, "the models it reaches being counted")
    await is_limited(fleet, 40)
    await until(lambda: _told(fleet, "LimitOverride", name, "tidegate-system", "Active", "Expired"))
    await until(lambda: _told(fleet, "Model", "ranker", "search", "Limited", "Capacity"))


async def _told(fleet, kind, name, namespace, type_, reason):
    return (await fleet.condition(kind, name, type_, namespace)).get("reason") == reason


async def test_an_override_that_is_deleted_is_over(rest):
    await rest.call("PUT", f"{RANKER}/limit/override", {"perReplicaQps": 5, "reason": "slow card", "ttl": "1h"})
    await is_limited(rest.fleet, 10)
    status, _ = await rest.call("DELETE", f"{RANKER}/limit/override")
    assert status == 202
    await is_limited(rest.fleet, 40)


async def test_an_override_that_ended_while_no_manager_ran_does_not_hold(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await is_limited(fleet, 20)
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
        lasts = hung() / 10
        await fleet.apply(override(total=70, seconds=lasts))
        await is_limited(fleet, 70)
    await asyncio.sleep(lasts)
    async with fleet.manager():
        await is_limited(fleet, 20)


async def test_the_kill_switch_takes_the_limit_away_and_gives_it_back(rest):
    fleet = rest.fleet
    status, _ = await rest.call("PUT", "/v1/overrides/all", {"spec": override(action="unlimited")["spec"]})
    assert status == 201
    await is_limited(fleet, None)
    await until(lambda: _told(fleet, "Model", "ranker", "search", "Limited", "Lifted"))
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert (limit["total"], limit["reason"]) == (None, "Lifted")
    await rest.call("DELETE", "/v1/overrides/all")
    await is_limited(fleet, 40)


async def test_a_model_that_comes_under_the_kill_switch_is_served_without_a_limit(rest):
    await rest.call("PUT", "/v1/overrides/all", {"spec": override(action="unlimited")["spec"]})
    await rest.fleet.apply(model("other"))
    await until(lambda: rest.fleet.get("VirtualService", "other", "search"), "the route")
    assert await in_force(rest.fleet, "other") is None


async def test_all_at_their_floor(rest):
    await rest.call("PUT", "/v1/overrides/all", {"spec": override(action="floor", target={"tenant": "search"})["spec"]})
    await is_limited(rest.fleet, 1)


async def test_a_freeze_keeps_the_limit_while_replicas_come_and_gateway_pods_share_it(rest):
    fleet = rest.fleet
    await rest.call(
        "PUT", "/v1/overrides/hold", {"spec": override(action="freeze", target={"gateway": "shared"})["spec"]}
    )
    await until(lambda: _told(fleet, "Model", "ranker", "search", "Limited", "Frozen"))
    await fleet.pod("search", labels())
    await fleet.pod("inference-gw", {"istio": "shared"})
    await is_limited(fleet, 20)
    _, limit = await rest.call("GET", f"{RANKER}/limit")
    assert (limit["total"], limit["capacity"], limit["reason"]) == (40, 60, "Frozen")


async def test_labels_choose_the_models(rest):
    fleet = rest.fleet
    gold = model("gold", versions=[{"name": "v1", "existing": {"labels": {"app": "gold"}}}])
    gold["metadata"]["labels"] = {"tier": "gold"}
    await fleet.apply(gold)
    await fleet.pod("search", {"app": "gold"})
    await is_limited(fleet, 20, "gold")
    target = {"labels": {"tier": "gold"}}
    await rest.call("PUT", "/v1/overrides/gold", {"spec": override(target=target, total=90)["spec"]})
    await is_limited(fleet, 90, "gold")
    assert await in_force(fleet) == 40


async def test_a_tenants_own_people_move_their_limits_inside_their_range(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"range": {"lowest": 10, "highest": 60}}))
    await fleet.apply(override(namespace="search", target={"model": "ranker"}, total=55))
    await is_limited(fleet, 55)
    await fleet.apply(override(namespace="search", target={"model": "ranker"}, total=90))
    await until(lambda: _told(fleet, "LimitOverride", "o", "search", "Accepted", "Invalid"))
    said = (await fleet.condition("LimitOverride", "o", "Accepted", "search"))["message"]
    assert "90 is outside the range of tenant search; choose a value from 10 to 60" in said
    await is_limited(fleet, 40)


async def test_a_document_that_nobody_foresaw_stops_nothing(rest):
    fleet = rest.fleet
    broken = override("broken", total=9)
    broken["spec"]["expires"] = "9999-12-31T23:59:59-12:00"
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
    await fleet.apply(broken)
    await until(lambda: _told(fleet, "LimitOverride", "broken", "tidegate-system", "Accepted", "Invalid"))
    await fleet.pod("search", labels())
    await is_limited(fleet, 60)


async def test_a_freeze_is_told_no_longer_than_it_holds(rest):
    await rest.call("PUT", "/v1/overrides/hold", {"spec": override(action="freeze")["spec"]})
    await until(lambda: _told(rest.fleet, "Model", "ranker", "search", "Limited", "Frozen"))
    await rest.call("DELETE", "/v1/overrides/hold")
    await until(lambda: _told(rest.fleet, "Model", "ranker", "search", "Limited", "Capacity"))


async def _second(fleet, **limit):
    await fleet.pod("search", {"app": "second"})
    await fleet.apply(
        model(
            "second",
            versions=[{"name": "v1", "existing": {"labels": {"app": "second"}}}],
            rateLimit={"perReplicaQps": 20, "debounce": QUICK, **limit},
        )
    )


async def test_a_frozen_limit_does_not_shrink_under_the_tenants_ceiling_while_others_change(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"ceiling": 50}))
    await rest.call(
        "PUT",
        "/v1/overrides/hold",
        {"spec": override(action="freeze", target={"tenant": "search", "model": "ranker"})["spec"]},
    )
    await until(lambda: _told(fleet, "Model", "ranker", "search", "Limited", "Frozen"))
    await _second(fleet)
    await is_limited(fleet, 10, "second")  # what the frozen 40 leaves of 50
    for _ in range(4):
        await fleet.pod("search", {"app": "second"})
    await until(lambda: _counted(fleet, 100), "the second's replicas being counted")
    assert (await in_force(fleet), await in_force(fleet, "second")) == (40, 10)


async def _counted(fleet, capacity):
    limit = (await fleet.status("Model", "second", "search")).get("limit") or {}
    return limit.get("capacity") == capacity


async def test_a_model_without_a_limit_takes_nothing_of_the_tenants_ceiling(rest):
    fleet = rest.fleet
    await fleet.apply(tenant(rateLimit={"ceiling": 50}))
    await _second(fleet, mode="off")
    await fleet.pod("search", {"app": "second"})
    await until(lambda: _told(fleet, "Model", "second", "search", "Limited", "Off"))
    await fleet.pod("inference-gw", {"istio": "shared"})
    await is_limited(fleet, 20)


async def test_what_is_new_during_a_freeze_begins_with_what_its_replicas_can_serve(rest):
    fleet = rest.fleet
    await rest.call("PUT", "/v1/overrides/hold", {"spec": override(action="freeze")["spec"]})
    await fleet.pod("search", {"app": "second"})
    await _second(fleet)
    await is_limited(fleet, 40, "second")


REFUSED = [
    ("no reason", {"total": 9, "ttl": "1h"}, "reason", "is missing"),
    ("no end", {"total": 9, "reason": "because"}, "ttl", "is missing"),
    ("no unit", {"total": 9, "reason": "because", "ttl": "5"}, "ttl", "with its unit"),
    ("no change", {"reason": "because", "ttl": "1h"}, "spec", "exactly one of"),
    ("two changes", {"total": 9, "action": "freeze", "reason": "because", "ttl": "1h"}, "spec", "exactly one of"),
    ("a negative total", {"total": -9, "reason": "because", "ttl": "1h"}, "spec.total", "greater than or equal"),
    ("an unknown word", {"totl": 9, "reason": "because", "ttl": "1h"}, "totl", "is unknown"),
    ("longer than a day", {"total": 9, "reason": "because", "ttl": "48h"}, "ttl", "/v1/overrides"),
]


@pytest.mark.parametrize("name, body, field, said", REFUSED, ids=[case[0] for case in REFUSED])
async def test_an_override_that_makes_no_sense_is_refused_with_its_field(rest, name, body, field, said):
    status, problem = await rest.call("PUT", f"{RANKER}/limit/override", body)
    assert status == 422, problem
    assert any(p["field"] == field and said in p["message"] for p in problem["problems"]), problem


REFUSED_WHOLE = [
    ("in the past", override(seconds=-1, total=9), 422, "spec.expires", "is in the past"),
    ("no moment", {**override(total=9), "spec": {**override(total=9)["spec"], "expires": "soon"}}, 422, "spec.expires", "2026-"),
    ("beyond all years", {**override(total=9), "spec": {**override(total=9)["spec"], "expires": "9999-12-31T23:59:59-12:00"}}, 422, "spec.expires", "is no moment"),
    ("no time zone", {**override(total=9), "spec": {**override(total=9)["spec"], "expires": "2030-01-01T00:00:00"}}, 422, "spec.expires", "time zone"),
    ("for nobody", override(target={"labels": {}}, total=9), 422, "spec.target", "give some of"),
    ("for all and one", override(target={"everything": True, "model": "ranker"}, total=9), 422, "spec.target", "alone"),
    ("a tenant that is not there", override(target={"tenant": "nobody"}, total=9), 404, "", "tenant nobody does not exist"),
    ("a gateway that is not there", override(target={"gateway": "nowhere"}, total=9), 404, "", "gateway nowhere does not exist"),
    ("a model that is not there", override(target={"tenant": "search", "model": "none"}, total=9), 404, "", "no model none"),
]  # fmt: skip


@pytest.mark.parametrize("name, document, code, field, said", REFUSED_WHOLE, ids=[case[0] for case in REFUSED_WHOLE])
async def test_a_document_that_makes_no_sense_is_refused_with_its_field(rest, name, document, code, field, said):
    status, problem = await rest.call("PUT", "/v1/overrides/o", {"spec": document["spec"]})
    assert status == code, problem
    if field:
        assert any(p["field"] == field and said in p["message"] for p in problem["problems"]), problem
    assert said in problem["detail"]
