from istio_templates.facts import ObjectKey
from tests.support.documents import gateway, labels, model, tenant
from tests.support.waiting import until
from tests.warmup.plans import plan

TRAFFIC = "/v1/tenants/search/models/ranker/traffic"
VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]


def shares(v1, v2):
    return [{"version": "v1", "weight": v1}, {"version": "v2", "weight": v2}]


async def setup(fleet, v1, v2):
    await fleet.apply(gateway(), tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
    await fleet.apply(model(versions=VERSIONS, traffic=shares(v1, v2)))
    await fleet.pod("inference-gw", {"istio": "shared"})
    return [await fleet.pod("search", labels(version="v1")) for _ in range(2)]


async def weights(fleet):
    found = await fleet.get("VirtualService", "ranker", "search") or {}
    routes = found.get("spec", {}).get("http", [{}])[0].get("route", [])
    return {route["destination"]["subset"]: route["weight"] for route in routes}


async def total(fleet):
    return ((await fleet.status("Model", "ranker", "search")).get("limit") or {}).get("total")


async def test_a_version_without_warm_replicas_gets_no_request_until_it_has_one(fleet):
    async with fleet.manager():
        old = await setup(fleet, 50, 50)

        async def are(limit, **weighted):
            return await weights(fleet) == weighted and await total(fleet) == limit

        await until(lambda: are(40, v1=100), what="all traffic at the warm version")
        await fleet.pod("search", labels(version="v2"))
        await until(lambda: are(40, v1=50, v2=50), what="the declared shares")
        for pod in old:
            await fleet.set_ready(pod, False)
        await until(lambda: are(20, v2=100), what="all traffic at the other version")


async def test_traffic_is_moved_only_where_it_can_be_carried(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet, 100, 0)
        await until(lambda: _is(total(fleet), 40), what="the limit of two replicas")
        status, answer = await rest.call("PUT", TRAFFIC, {"traffic": shares(0, 100)})
        assert (status, answer["problems"][0]["field"]) == (409, "traffic")
        assert "version v2 has no warm replica" in answer["problems"][0]["message"]
        await fleet.pod("search", labels(version="v2"))

        async def refused_for_its_size():
            status, answer = await rest.call("PUT", TRAFFIC, {"traffic": shares(0, 100)})
            return status == 409 and "the limit would fall from 40/s to 20/s; scale that version to 2" in str(answer)

        await until(refused_for_its_size, what="the refusal with figures")
        status, _ = await rest.call("PUT", f"{TRAFFIC}?force=true", {"traffic": shares(0, 100)})
        assert status == 200
        await until(lambda: _is(total(fleet), 20), what="the limit of one replica")
        status, _ = await rest.call("PUT", TRAFFIC, {"traffic": shares(100, 0)})
        assert status == 200
        await until(lambda: _is(total(fleet), 40), what="the limit as before")


async def test_shares_that_are_none_are_refused_with_their_field(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet, 100, 0)
        await until(lambda: _is(total(fleet), 40), what="the limit of two replicas")
        for body, said in (
            ({"traffic": shares(60, 60)}, "the weights sum to 120"),
            ({"traffic": [{"version": "v9", "weight": 100}]}, "'v9' is no version of this model"),
            ({"weights": {}}, "one of traffic is allowed"),
            ({"traffic": "all"}, "traffic"),
        ):
            status, answer = await rest.call("PUT", TRAFFIC, body)
            assert status == 422, answer
            assert said in str(answer["problems"])


async def test_a_paused_model_answers_with_its_reason_until_it_is_resumed(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet, 100, 0)
        await until(lambda: _is(total(fleet), 40), what="the limit of two replicas")
        path = "/v1/tenants/search/models/ranker"
        status, _ = await rest.call("PATCH", path, {"spec": {"paused": "new weights are being checked"}})
        assert status == 200

        async def answers(wanted):
            found = await fleet.get("VirtualService", "ranker", "search")
            return found is not None and found["spec"]["http"][0].get("directResponse") == wanted

        said = {"status": 503, "body": {"string": "ranker is paused: new weights are being checked"}}
        await until(lambda: answers(said), what="the route being closed with the reason")

        async def told():
            ready = await fleet.condition("Model", "ranker", "Ready", "search")
            return (ready["status"], ready["reason"]) == ("False", "Paused")

        await until(told, what="the condition saying so")
        assert await total(fleet) == 40
        status, _ = await rest.call("PATCH", path, {"spec": {"paused": None}})
        await until(lambda: answers(None), what="the route being open again")


async def _is(found, value):
    return await found == value


def _slots(manager):
    return {slot for slot, limits in manager.loops.main.gatherer.slots.limits().items() if limits}


async def draining(fleet):
    return [entry["version"] for entry in (await fleet.status("Model", "ranker", "search")).get("draining") or []]


async def test_a_version_that_leaves_serves_until_another_can_and_stays_for_its_drain_time(fleet):
    async with fleet.manager() as manager:
        await setup(fleet, 100, 0)
        await until(lambda: _is(total(fleet), 40), what="the limit of two replicas")
        key = ObjectKey("Deployment", "search", "ranker-v1")
        await fleet.client.merge(key, {"status": {"readyReplicas": 2}}, "status")
        await until(lambda: manager.store.owned[key].get("status"), what="the manager having seen that")
        slots = _slots(manager)
        assert len(slots) == 1
        only = {"versions": VERSIONS[1:], "traffic": [{"version": "v2", "weight": 100}], "drain": "4s"}
        await fleet.apply(model(**only))

        async def waits():
            told = await fleet.condition("Model", "ranker", "Programmed", "search")
            return "version v2 has too few warm replicas, so version v1 still serves" in told.get("message", "")

        await until(waits, what="the model saying what it waits for")
        assert (await weights(fleet), await total(fleet)) == ({"v1": 100}, 40)
        assert _slots(manager) == slots
        serving = manager.backend.models.replicas(ObjectKey("Model", "search", "ranker"))
        assert [(row["version"], row["weight"]) for row in serving] == [("v1", 100), ("v1", 100)]
        for kind in ("Deployment", "PodDisruptionBudget"):
            assert await fleet.get(kind, "ranker-v1", "search")
        for _ in range(2):
            await fleet.pod("search", labels(version="v2"))
        await until(lambda: _is(weights(fleet), {"v2": 100}), what="the new version being served")
        await until(lambda: _is(draining(fleet), ["v1"]), what="the old version draining")
        assert await fleet.get("PodDisruptionBudget", "ranker-v1", "search")

        async def gone():
            return not await fleet.get("Deployment", "ranker-v1", "search") and not await draining(fleet)

        await until(gone, what="the old version being gone")


async def test_a_disruption_budget_that_its_version_no_longer_needs_goes_at_once(fleet):
    async with fleet.manager():
        await setup(fleet, 100, 0)
        await until(lambda: fleet.get("PodDisruptionBudget", "ranker-v1", "search"), what="the budget")
        bare = {"replicas": 2, "image": "example.com/ranker:1", "disruptionBudget": False}
        await fleet.apply(model(versions=[{"name": "v1", "workload": bare}, VERSIONS[1]], traffic=shares(100, 0)))

        async def gone():
            return not await fleet.get("PodDisruptionBudget", "ranker-v1", "search")

        await until(gone, "the budget being gone")
        assert await fleet.get("Deployment", "ranker-v1", "search")
        assert await draining(fleet) == []


async def test_a_version_that_waits_for_its_successor_keeps_its_gate_and_follows_its_tenant(fleet):
    async with fleet.manager() as manager:
        gated = {"plan": plan()}
        await fleet.apply(gateway(), gateway("other"), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model(versions=VERSIONS[:1], traffic=[{"version": "v1", "weight": 100}], warmup=gated))
        key = ObjectKey("Deployment", "search", "ranker-v1")
        await until(lambda: key in manager.store.owned, what="the Deployment")
        await fleet.client.merge(key, {"status": {"readyReplicas": 2}}, "status")
        await until(lambda: manager.store.owned[key].get("status"), what="the manager having seen that")
        await fleet.apply(model(versions=VERSIONS[1:], traffic=[{"version": "v2", "weight": 100}], warmup=gated))

        async def cared_for():
            claims = await fleet.get("ConfigMap", "tidegate-ranker-warmup", "search")
            return '"v1"' in claims["data"]["versions.json"] and '"v2"' in claims["data"]["versions.json"]

        await until(cared_for, what="both versions being cared for")
        path = "/v2/models/renamed"
        route = {"host": "search.models.example.com", "path": path, "protocol": "http", "port": 8080}
        await fleet.apply(
            model(versions=VERSIONS[1:], traffic=[{"version": "v2", "weight": 100}], warmup=gated, routes=[route])
        )

        async def moved():
            found = await fleet.get("VirtualService", "ranker", "search") or {"spec": {}}
            return path in str(found["spec"]) and await weights(fleet) == {"v1": 100}

        await until(moved, what="the new path leading to the old version")
