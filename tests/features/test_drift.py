"""Somebody else writes to what is ours, or was there first: set back, left and told, or taken over as it is."""

import asyncio
import copy
import json

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.field_policy import NOTE
from k8s_manager.drift.repair import OF_ALL, RepairLimiter
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.metrics import PASSES
from tests.features.conftest import is_programmed, make_search
from tests.features.test_plan import RANKER, planned
from tests.support.by_hand import ADOPTING, GATEWAY_SERVERS, HTTP, gateway_by_hand, namespace_by_hand, route_by_hand
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until
from tests.warmup.plans import plan

ROUTE = ("VirtualService", "ranker", "search")
RULE = ("DestinationRule", "ranker", "search")
PODS = ("Deployment", "ranker-v1", "search")
EJECTION = {"trafficPolicy": {"outlierDetection": {"baseEjectionTime": "77s"}}}


def head(obj: Manifest) -> Manifest:
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


async def edit(fleet, where: tuple[str, str, str], spec: Manifest, manager: str = "night-shift") -> None:
    await fleet.apply({**head(await fleet.get(*where)), "spec": spec}, manager=manager)


async def as_opened(fleet, where: tuple[str, str, str]) -> Manifest:
    """Return an object as `kubectl edit` shows it."""
    live = await fleet.get(*where)
    live["metadata"].pop("managedFields")
    return live


async def drift(fleet, kind: str = "Model", name: str = "ranker", namespace: str = "search") -> tuple[str, str, str]:
    found = await fleet.condition(kind, name, "Drift", namespace)
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def policy(fleet, name: str, **spec) -> None:
    await fleet.apply(tenant(drift=name, **spec))


async def told(fleet, status: str, reason: str, *words: str) -> None:
    async def is_told() -> bool:
        found = await drift(fleet)
        return found[:2] == (status, reason) and all(word in found[2] for word in words)

    await until(is_told, what=f"Drift being {status}, {reason}")


async def spec_of(fleet, where: tuple[str, str, str]) -> Manifest:
    return (await fleet.get(*where)).get("spec")


async def test_what_somebody_has_added_to_a_rule_is_taken_away(fleet):
    async with fleet.manager():
        await make_search(fleet)
        before = await spec_of(fleet, RULE)
        await edit(fleet, RULE, {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 1}}]}})
        await until(lambda: is_spec(fleet, RULE, before), what="the addition being taken away")
        await told(fleet, "True", "Repaired", "night-shift", "set the change back")


async def is_spec(fleet, where: tuple[str, str, str], spec: Manifest) -> bool:
    return await spec_of(fleet, where) == spec


async def test_reported_fields_stay_until_the_document_says_something_else_of_them(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "report")
        await edit(fleet, PODS, {"replicas": 7})
        await told(
            fleet, "True", "Reported", "spec.replicas of Deployment search/ranker-v1 was set by night-shift", "document"
        )
        (event,) = await until(lambda: fleet.events("search", "Deployment"), what="the event")
        assert (event["reason"], event["involvedObject"]["name"]) == ("Reported", "ranker-v1")
        image = {"name": "v1", "workload": {"replicas": 2, "image": "example.com/ranker:2"}}
        await fleet.apply(model(versions=[image]))
        await until(lambda: has_image(fleet, "example.com/ranker:2"), what="the rest of the document being written")
        assert (await spec_of(fleet, PODS))["replicas"] == 7
        await fleet.apply(model(versions=[{**image, "workload": {**image["workload"], "replicas": 3}}]))
        await until(lambda: has_replicas(fleet, 3), what="the document's new figure")
        await until(lambda: is_quiet(fleet), what="nothing being told any more")
        assert NOTE not in (await fleet.get(*PODS))["metadata"]["annotations"]


async def has_image(fleet, image: str) -> bool:
    return (await spec_of(fleet, PODS))["template"]["spec"]["containers"][0]["image"] == image


async def has_replicas(fleet, replicas: int) -> bool:
    return (await spec_of(fleet, PODS))["replicas"] == replicas


async def is_quiet(fleet) -> bool:
    return await drift(fleet) == ("", "", "")


async def test_adopted_fields_are_their_writers_until_the_policy_is_another(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt")
        await edit(fleet, RULE, EJECTION)
        await told(fleet, "False", "Adopted", "trafficPolicy.outlierDetection.baseEjectionTime", "night-shift")
        await fleet.apply(model(trafficPolicy={"outlierDetection": {"ejectionTime": "40s"}}))
        await until(lambda: is_programmed(fleet, "ranker", "search"))
        await fleet.settled()
        ejection = (await spec_of(fleet, RULE))["trafficPolicy"]["outlierDetection"]
        assert ejection["baseEjectionTime"] == "77s"
        await policy(fleet, "repair")

        async def ours() -> bool:
            return (await spec_of(fleet, RULE))["trafficPolicy"]["outlierDetection"]["baseEjectionTime"] == "40s"

        await until(ours, what="the document's figure being back")
        await told(fleet, "True", "Repaired", "night-shift")


async def test_a_pass_over_conceded_fields_writes_nothing_also_after_a_restart(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "report")
        await edit(fleet, RULE, EJECTION)
        await told(fleet, "True", "Reported")
        await fleet.settled(1.2)  # a status may wait for a second
    before = fleet.writes()
    async with fleet.manager() as manager:
        for _ in range(5):
            manager.loops.main.trigger.set()
            await asyncio.sleep(0.2)
        assert fleet.writes() == before
        await told(fleet, "True", "Reported", "night-shift")


async def test_what_keeps_tenants_apart_is_set_back_whatever_the_policy(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt")
        route, rule, own = [await spec_of(fleet, where) for where in (ROUTE, RULE, SERVERS)]
        elsewhere = copy.deepcopy(route["http"])
        elsewhere[0]["route"][0]["destination"]["host"] = "ranker.other.svc.cluster.local"
        wider = copy.deepcopy(route["http"])
        wider[0]["match"] = [{"uri": {"prefix": "/"}}]
        pattern = copy.deepcopy(route["http"])
        pattern[0]["match"][0] = {"uri": {"regex": "/.*"}}
        delegated = [{**route["http"][0], "delegate": {"name": "x", "namespace": "other"}}]
        foreign = copy.deepcopy(own["servers"])
        foreign[0]["hosts"].append("search/other.models.example.com")
        less = copy.deepcopy(own["servers"])
        less[0]["hosts"] = ["search/else.models.example.com"]
        for where, before, spec in (
            (ROUTE, route, {"hosts": ["other.models.example.com"]}),
            (ROUTE, route, {"gateways": ["mesh"]}),
            (ROUTE, route, {"http": elsewhere}),
            (ROUTE, route, {"http": wider}),
            (ROUTE, route, {"http": pattern}),
            (ROUTE, route, {"http": delegated}),
            (RULE, rule, {"host": "ranker.other.svc.cluster.local"}),
            (RULE, rule, {"subsets": [{"name": "v1", "labels": {"app": "cold"}}]}),
            (SERVERS, own, {"servers": foreign}),
            (SERVERS, own, {"servers": less}),
        ):
            await edit(fleet, where, spec)
            await until(lambda where=where, before=before: is_spec(fleet, where, before), f"{spec} being set back")


SERVERS = ("Gateway", "tenant-search", "inference-gw")


async def test_what_proves_warmth_is_set_back_whatever_the_policy(fleet):
    async with fleet.manager():
        await make_search(fleet)
        warmup = {"plan": plan(target={"protocol": "oip-rest", "port": 8080}), "mode": "gate"}
        await fleet.apply(model(warmup=warmup))
        await policy(fleet, "adopt")
        await until(lambda: has_gate(fleet), what="the gate")
        before = await spec_of(fleet, PODS)
        labels = before["template"]["metadata"]["labels"]
        for template in (
            {"metadata": {"labels": {**labels, "tidegate.dev/version": "other"}}},
            {"spec": {"readinessGates": []}},
        ):
            await edit(fleet, PODS, {"template": template})
            await until(lambda: is_template(fleet, before["template"]), f"{template} being set back")


async def has_gate(fleet) -> bool:
    return bool((await spec_of(fleet, PODS))["template"]["spec"].get("readinessGates"))


async def is_template(fleet, template: Manifest) -> bool:
    return (await spec_of(fleet, PODS))["template"] == template


async def test_who_fights_over_an_object_is_answered_more_and_more_rarely(fleet):
    async with fleet.manager():
        await make_search(fleet)
        before = fleet.writes()["destinationrules"]
        for number in range(40):
            await edit(fleet, RULE, {"trafficPolicy": {"outlierDetection": {"baseEjectionTime": f"{60 + number}s"}}})
            await asyncio.sleep(0.05)
        ours = fleet.writes()["destinationrules"] - before - 40
        assert 1 <= ours <= 4
        await told(fleet, "True", "Repaired", "night-shift", "only every 10 s")


async def test_a_controller_that_moves_weights_of_ours_is_named_with_what_to_do(fleet):
    async with fleet.manager():
        await make_search(fleet)
        for share in (20, 40):
            live = await fleet.get(*ROUTE)
            live["spec"]["http"][0]["route"][0]["weight"] = share
            await edit(fleet, ROUTE, live["spec"], manager="rollouts-controller")
            await told(fleet, "True", "Contested", "Argo Rollouts", "trafficRouting of its Rollout", "spec.attachTo")


class Hand(SystemClock):
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


def test_two_thousand_edits_at_once_are_set_back_at_a_bounded_rate():
    clock = Hand()
    repairs, taken = RepairLimiter(clock), []
    waiting = [(ObjectKey("VirtualService", f"t{number % 100}", f"m{number}"), number % 100) for number in range(2_000)]
    while waiting and clock.at < 1_000:
        left = [(key, tenant) for key, tenant in waiting if repairs.take(key, ("", f"t{tenant}", ""))]
        taken.append(len(waiting) - len(left))
        waiting = left
        clock.at += 0.1
    assert not waiting and taken[0] == OF_ALL.burst
    assert clock.at >= (2_000 - OF_ALL.burst) / OF_ALL.rate - 1


def test_nobodys_noise_is_in_the_way_of_anothers_repairs_nor_workloads_of_routes():
    clock, waits = Hand(), []
    repairs = RepairLimiter(clock)
    for second in range(300):
        clock.at = float(second)
        for number in range(25):
            for noisy in ("noisy", "loud"):
                for kind in ("Deployment", "VirtualService"):
                    repairs.take(ObjectKey(kind, noisy, f"m{second * 25 + number}"), ("", noisy, ""))
        if second % 10 == 0:
            key = ObjectKey("VirtualService", "quiet", f"m{second}")
            waits.append(repairs.take(key, ("", "quiet", "")))
    assert waits == [0] * 30


async def make_by_hand(fleet, route: Manifest) -> None:
    """Make what a team has before it comes to us: a namespace, a Gateway and a VirtualService."""
    await fleet.apply(namespace_by_hand(), route, gateway_by_hand(), gateway())
    await until(lambda: is_accepted(fleet, "InferenceGateway", "shared"), what="the gateway being accepted")


async def is_accepted(fleet, kind: str, name: str) -> bool:
    return (await fleet.condition(kind, name, "Accepted")).get("status") == "True"


def change_of(plan: Manifest, name: str) -> Manifest:
    (found,) = [change for change in plan["changes"] if change["object"] == name]
    return found


async def test_a_gateway_and_a_route_made_by_hand_are_taken_over_by_plans_that_change_nothing(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_by_hand(fleet, route_by_hand())
        found = await planned(rest, "/v1/tenants/search", {"spec": tenant(**ADOPTING)["spec"]})
        line = change_of(found, "Gateway inference-gw/main")
        assert (line["operation"], line["server"], found["touches"]["listeners"]) == ("adopt", "accepted", False)
        assert {step["path"].split("/")[1] for step in line["patch"]} == {"metadata"}
        await fleet.apply(tenant(**ADOPTING))
        await until(lambda: is_programmed_tenant(fleet), what="the tenant being programmed")
        found = await planned(rest, RANKER, {"spec": model()["spec"]})
        line = change_of(found, "VirtualService search/ranker")
        assert (line["operation"], line["server"]) == ("adopt", "accepted")
        assert {step["path"].split("/")[1] for step in line["patch"]} == {"metadata"}
        assert "adopt VirtualService search/ranker: its function does not change" in found["reasons"]
        await fleet.apply(model())
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the route being taken over")
        assert await spec_of(fleet, ROUTE) == route_by_hand()["spec"]
        assert (await spec_of(fleet, ("Gateway", "main", "inference-gw")))["servers"] == GATEWAY_SERVERS
        assert await fleet.get("Gateway", "tenant-search", "inference-gw") is None
        await told(fleet, "False", "Adopted", "spec.http of VirtualService search/ranker was set by kubectl")

        found = await planned(rest, "/v1/tenants/search", {"spec": tenant(**ADOPTING | {"drift": "repair"})["spec"]})
        assert "update VirtualService search/ranker: requests are routed differently" in found["reasons"]
        assert any(step["path"].startswith("/spec/http") for step in change_of(found, str_of(ROUTE))["patch"])
        await policy(fleet, "repair", gateway=ADOPTING["gateway"])

        async def is_ours() -> bool:
            spec = await spec_of(fleet, ROUTE)
            return "timeout" not in spec["http"][0] and spec.get("exportTo") == ["inference-gw"]

        await until(is_ours, what="the route being as its document says")


def str_of(where: tuple[str, str, str]) -> str:
    kind, name, namespace = where
    return f"{kind} {namespace}/{name}"


async def is_programmed_tenant(fleet) -> bool:
    return (await fleet.condition("Tenant", "search", "Programmed")).get("status") == "True"


async def test_what_cannot_be_taken_over_as_it_is_is_refused_with_its_fields_and_left_alone(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        for route in (
            route_by_hand(hosts=["search.models.example.com", "else.example.com"]),
            route_by_hand(http=[{**HTTP[0], "match": [{"uri": {"prefix": "/v2"}}]}]),
            route_by_hand(http=[{**HTTP[0], "match": [{"uri": {"prefix": "/v2/models/ranker"}}]}]),  # /rankers too
            route_by_hand(
                http=[{**HTTP[0], "mirror": {"host": "spy"}, "mirrors": [{"destination": {"host": "a.b.c"}}]}]
            ),
            route_by_hand(tcp=[{"match": [{"port": 9000}], "route": [{"destination": {"host": "ranker"}}]}]),
            route_by_hand(http=[{**HTTP[0], "route": [{"destination": {"host": "ranker.other.svc.cluster.local"}}]}]),
        ):
            await make_by_hand(fleet, route)
            await fleet.apply(tenant(**ADOPTING))
            await until(lambda: is_programmed_tenant(fleet), what="the tenant being programmed")
            found = await planned(rest, RANKER, {"spec": model()["spec"]})
            assert change_of(found, str_of(ROUTE))["server"].startswith("rejected: ")
            await fleet.apply(model())

            async def is_told() -> bool:
                said = await fleet.condition("Model", "ranker", "Programmed", "search")
                return said.get("reason") == "FieldConflict" and "kubectl" in said["message"]

            await until(is_told, what="the conflict being told")
            assert await spec_of(fleet, ROUTE) == route["spec"]
            await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
            await until(lambda: gone(fleet), what="the model going")
            assert await spec_of(fleet, ROUTE) == route["spec"]


async def gone(fleet) -> bool:
    return await fleet.get("Model", "ranker", "search") is None


async def test_a_gateway_is_taken_over_by_one_tenant_and_never_one_that_tidegate_makes(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_by_hand(fleet, route_by_hand())
        await fleet.apply(tenant(**ADOPTING))
        await until(lambda: is_accepted(fleet, "Tenant", "search"))
        status, problem = await rest.call("PUT", "/v1/tenants/ads", {"spec": tenant("ads", **ADOPTING)["spec"]})
        assert status == 409 and problem["problems"][0]["field"] == "spec.gateway.adopt"
        assert "adopted by tenant search" in problem["problems"][0]["message"]
        for choice, said in (
            ({"name": "shared", "adopt": "tenant-search"}, "Tidegate makes Gateways named"),
            ({"dedicated": {"replicas": 1}, "adopt": "main"}, "has nothing to adopt"),
        ):
            status, problem = await rest.call("PUT", "/v1/tenants/ads", {"spec": tenant("ads", gateway=choice)["spec"]})
            assert status == 422 and said in str(problem["problems"]), problem
        status, problem = await rest.call("PUT", "/v1/tenants/ads", {"spec": tenant("ads", drift="ignore")["spec"]})
        assert status == 422 and "repair" in str(problem["problems"])


async def test_a_gateway_that_serves_more_or_otherwise_is_not_taken_over(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_by_hand(fleet, route_by_hand())
        (server,) = GATEWAY_SERVERS
        for spec in (
            {"servers": [{**server, "hosts": ["search.models.example.com"]}]},
            {"servers": [{**server, "hosts": ["*/search.models.example.com"]}]},
            {"servers": [{**server, "hosts": [*server["hosts"], "other/search.models.example.com"]}]},
            {"servers": [{**server, "hosts": [*server["hosts"], "search/other.models.example.com"]}]},
            {"servers": [{**server, "port": {**server["port"], "protocol": "TCP"}}]},
            {"servers": [{**server, "port": {**server["port"], "number": 9090}}]},
            {"servers": [{**server, "tls": {"mode": "SIMPLE", "credentialName": "others"}}]},
            {"selector": {"istio": "shared", "zone": "a"}},
            {"selector": {"istio": "other"}},
        ):
            await fleet.apply(gateway_by_hand(**spec))
            found = await planned(rest, "/v1/tenants/search", {"spec": tenant(**ADOPTING)["spec"]})
            said = change_of(found, "Gateway inference-gw/main")["server"]
            assert said.startswith("rejected: "), (spec, said)


async def test_a_plan_to_take_over_holds_only_while_the_object_is_as_it_was(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_by_hand(fleet, route_by_hand())
        await fleet.apply(tenant(**ADOPTING))
        await until(lambda: is_programmed_tenant(fleet), what="the tenant being programmed")
        found = await planned(rest, RANKER, {"spec": model()["spec"]})
        await fleet.apply(route_by_hand(http=[{**HTTP[0], "timeout": "99s"}]))
        status, _ = await rest.call("PUT", f"{RANKER}?plan={found['fingerprint']}", {"spec": model()["spec"]})
        assert status == 412


async def test_a_move_takes_nobodys_adopted_gateway(fleet):
    async with fleet.manager():
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second-gw"}})
        await fleet.apply(gateway(), gateway("second", "second-gw"))
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.apply(tenant("ads", **ADOPTING), tenant())
        await until(lambda: is_programmed_tenant(fleet), what="the tenant being programmed")
        before = await spec_of(fleet, ("Gateway", "main", "inference-gw"))
        await fleet.apply(tenant(gateway={"name": "second", "adopt": "main"}))  # it waits for a pod of `second`
        await fleet.settled(1.2)
        assert await spec_of(fleet, ("Gateway", "main", "inference-gw")) == before
        assert await fleet.get("Gateway", "tenant-search", "inference-gw")
        await fleet.pod("second-gw", {"istio": "second"})
        await until(lambda: fleet.get("Gateway", "main", "second-gw"), what="its own in the other namespace")
        assert await spec_of(fleet, ("Gateway", "main", "inference-gw")) == before


async def with_env(fleet) -> None:
    workload = {"replicas": 2, "image": "example.com/ranker:1", "env": [{"name": "A", "value": "1"}]}
    await fleet.apply(model(versions=[{"name": "v1", "workload": workload}]))
    await until(lambda: has_env(fleet, {"A": "1"}), what="the environment")


async def has_env(fleet, wanted: dict[str, str]) -> bool:
    (container,) = (await spec_of(fleet, PODS))["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container.get("env", [])} == wanted


async def test_what_somebody_adds_to_an_environment_takes_nothing_of_ours_away(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await with_env(fleet)
        for name in ("repair", "report", "adopt"):
            await policy(fleet, name)
            live = await as_opened(fleet, PODS)
            (container,) = live["spec"]["template"]["spec"]["containers"]
            container["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
            await fleet.client.replace(live)
            await fleet.settled(0.6)
            assert await has_env(fleet, {"A": "1", "B": "2"})


async def test_a_field_that_excludes_ours_is_taken_away_before_ours_is_written(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt")
        before = await spec_of(fleet, RULE)
        live = await as_opened(fleet, RULE)
        live["spec"]["trafficPolicy"]["loadBalancer"].pop("simple")
        live["spec"]["trafficPolicy"]["loadBalancer"]["consistentHash"] = {"useSourceIp": True}
        await fleet.client.replace(live)
        await told(fleet, "False", "Adopted", "consistentHash")
        await policy(fleet, "repair")
        await until(lambda: is_spec(fleet, RULE, before), "the balancing being set back")
        budget = ("PodDisruptionBudget", "ranker-v1", "search")
        before = await spec_of(fleet, budget)
        await edit(fleet, budget, {"minAvailable": 1})
        await until(lambda: is_spec(fleet, budget, before), "the budget being set back")


async def test_a_write_that_is_refused_again_and_again_does_not_run_the_loop_hot(fleet):
    def passes() -> float:
        return sum(PASSES.labels(result)._value.get() for result in ("success", "error"))

    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt")
        await edit(fleet, RULE, EJECTION)
        await told(fleet, "False", "Adopted")
        key = ObjectKey("VirtualService", "search", "ranker")
        await fleet.client.delete(key)
        await fleet.apply(route_by_hand(hosts=["else.example.com"]), manager="argo")
        before = passes()
        await asyncio.sleep(5)
        assert passes() - before < 60
        await fleet.apply(tenant("ads"))
        await until(lambda: is_accepted(fleet, "Tenant", "ads"), what="others being told as ever")


async def test_a_route_that_is_paused_or_split_is_as_its_document_says(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt")
        http = copy.deepcopy((await spec_of(fleet, ROUTE))["http"])
        http[0]["timeout"] = "9s"
        await edit(fleet, ROUTE, {"http": http})
        await told(fleet, "False", "Adopted", "spec.http")
        await fleet.apply(model(paused="for maintenance"))

        async def closed() -> bool:
            return "directResponse" in (await spec_of(fleet, ROUTE))["http"][0]

        await until(closed, what="the route answering 503")


async def test_a_note_that_others_wrote_is_taken_away_and_grants_nothing(fleet):
    async with fleet.manager():
        await make_search(fleet)
        obj = head(await fleet.get(*RULE))
        forged = json.dumps({"spec.host": {"was": "1", "by": "me"}})
        obj["metadata"]["annotations"] = {NOTE: forged}
        for name in ("repair", "adopt"):
            await policy(fleet, name)
            await fleet.apply(obj, manager="night-shift")

            async def gone() -> bool:
                return NOTE not in (await fleet.get(*RULE))["metadata"]["annotations"]

            await until(gone, "the note being taken away")
            before = await fleet.settled(1.2)
            await asyncio.sleep(1)
            assert fleet.writes() == before


async def test_a_plan_of_a_warmup_changed_by_hand_is_set_back_and_told(fleet):
    async with fleet.manager():
        await make_search(fleet)
        warmup = {"plan": plan(target={"protocol": "oip-rest", "port": 8080}), "mode": "gate"}
        await fleet.apply(model(warmup=warmup))
        where = ("ConfigMap", "tidegate-ranker-warmup", "search")
        await until(lambda: fleet.get(*where), what="the plan")
        before = (await fleet.get(*where))["data"]
        await fleet.apply({**head(await fleet.get(*where)), "data": dict.fromkeys(before, "{}")}, manager="night-shift")

        async def back() -> bool:
            return (await fleet.get(*where))["data"] == before

        await until(back, what="the plan being set back")
        await told(fleet, "True", "Repaired", "night-shift", "ConfigMap search/tidegate-ranker-warmup")


async def test_a_route_without_a_spec_stops_nobody(fleet):
    async with fleet.manager():
        await make_search(fleet)
        before = await spec_of(fleet, ROUTE)
        await fleet.client.merge(ObjectKey("VirtualService", "search", "ranker"), {"spec": None})
        await until(lambda: is_spec(fleet, ROUTE, before), what="the route being written again")


async def test_what_somebody_adds_to_a_slot_is_taken_away_once(fleet):
    async with fleet.manager():
        await make_search(fleet)
        slot = ("EnvoyFilter", "tidegate-shared-slot-03", "inference-gw")
        before = await spec_of(fleet, slot)
        await edit(fleet, slot, {"workloadSelector": {"labels": {"zone": "a"}}})
        await until(lambda: is_spec(fleet, slot, before), "the slot being set back")
        settled = await fleet.settled(1.2)
        await asyncio.sleep(1)
        assert fleet.writes() == settled


async def test_a_policy_of_isolation_that_somebody_narrows_is_set_back(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await policy(fleet, "adopt", isolation="strict")
        where = ("NetworkPolicy", "tidegate-isolation", "search")
        await until(lambda: fleet.get(*where), what="the policy")
        before = await spec_of(fleet, where)
        live = await as_opened(fleet, where)
        live["spec"]["podSelector"] = {"matchLabels": {"no": "pod"}}
        await fleet.client.replace(live)
        await told_of_tenant(fleet, "Repaired", "NetworkPolicy search/tidegate-isolation")
        assert before["podSelector"] == {}


async def told_of_tenant(fleet, reason: str, words: str) -> None:
    async def is_told() -> bool:
        found = await drift(fleet, "Tenant", "search", "")
        return found[1] == reason and words in found[2]

    await until(is_told, what=f"the tenant being told {reason}")
