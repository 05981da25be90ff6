"""Who writes what where a tree is applied beside the manager."""

import pytest

from istio_templates import names
from istio_templates.facts import GatewayPool, ListenerFacts, Manifest, ObjectKey, Tenancy
from k8s_manager.gitops.ownership import is_runtime, sentences, shares, stays
from k8s_manager.pipeline.changes import Changes, Write

POOL = GatewayPool("shared", "gw", (("istio", "shared"),), (ListenerFacts("http", 80, "HTTP"),))
TENANTS = {"search": Tenancy("search", "search", (POOL,), ())}
MODEL = {names.TENANT: "search", names.MODEL: "ranker"}


def obj(kind: str, name: str, namespace: str = "search", labels: dict[str, str] = MODEL, **spec: object) -> Manifest:
    return {**names.manifest("v1", kind, name, namespace, labels), "spec": spec}


def route(subset: str = "v1", port: int = 80) -> Manifest:
    to = {"host": "ranker.search.svc.cluster.local", "subset": subset, "port": {"number": port}}
    http = [{"route": [{"destination": to, "weight": 100}]}]
    return obj("VirtualService", "ranker", gateways=["gw/tenant-search"], http=http)


def live(*objects: Manifest) -> dict[ObjectKey, Manifest]:
    return {names.key_of(found): found for found in objects}


RULE, SERVICE = (
    obj("DestinationRule", "ranker", subsets=[{"name": "v1"}]),
    obj("Service", "ranker", ports=[{"port": 80}]),
)
INSERTION = obj("EnvoyFilter", "slots", "gw", {names.GATEWAY: "shared"}, configPatches=[{"applyTo": "HTTP_FILTER"}])


GATEWAY = obj("Gateway", "tenant-search", "gw", {names.TENANT: "search"})
THERE = (RULE, SERVICE, GATEWAY)


def changes(*writes: Write, deletes: list[Manifest] | None = None) -> Changes:
    return Changes(writes=list(writes), deletes=deletes or [])


@pytest.mark.parametrize(
    ("found", "runtime"),
    [
        (obj("VirtualService", "a"), True),
        (obj("Namespace", "a", ""), True),
        (obj("InferenceGateway", "a", ""), True),
        (obj("EnvoyFilter", "a", configPatches=[{"applyTo": "EXTENSION_CONFIG"}]), True),
        (INSERTION, False),
        *((obj(kind, "a"), False) for kind in ("Deployment", "Service", "DestinationRule", "Gateway", "ConfigMap")),
    ],
)
def test_what_changes_at_run_time_is_the_managers(found: Manifest, runtime: bool):
    assert is_runtime(found) is runtime
    parted = shares(changes(Write(found, True)), live(*THERE), {})
    assert (parted.ours.writes != [] or names.key_of(found) in parted.waiting) is runtime
    assert (names.key_of(found) in parted.out_of_step) is not runtime


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ((SERVICE,), "waits for DestinationRule search/ranker with version v1"),
        ((RULE,), "waits for Service search/ranker with port 80"),
        ((SERVICE, obj("DestinationRule", "ranker", subsets=[{"name": "v2"}])), "with version v1"),
        ((RULE, obj("Service", "ranker", ports=[{"port": 81}])), "with port 80"),
        ((RULE, SERVICE), ""),
        ((), "with version v1"),
    ],
)
def test_a_route_waits_for_what_it_leads_to(there: tuple[Manifest, ...], why: str):
    parted = shares(changes(Write(route(), True)), live(*there, GATEWAY), TENANTS)
    assert why in parted.waiting.get(names.key_of(route()), "") and bool(parted.waiting) is bool(why)
    assert [write.obj for write in parted.ours.writes] == ([] if why else [route()])


def test_a_route_is_not_opened_before_its_gateway_limits_and_stays_open_afterwards():
    writes = (Write(INSERTION, True), Write(route(), True))
    parted = shares(changes(*writes), live(*THERE), TENANTS)
    assert parted.waiting == {names.key_of(route()): "waits for EnvoyFilter gw/slots"}
    assert dict(sentences(parted)) == {
        ("", "search", "ranker"): "VirtualService search/ranker waits for EnvoyFilter gw/slots",
        ("shared", "", ""): "EnvoyFilter gw/slots is not in the cluster",
    }
    assert not shares(changes(*writes), live(*THERE, route()), TENANTS).waiting


def test_a_route_moves_to_another_gateway_when_git_has_brought_that_and_its_limits():
    other = GatewayPool("other", "gw2", (("istio", "other"),), (ListenerFacts("http", 80, "HTTP"),))
    tenants = {"search": Tenancy("search", "search", (other,), ())}
    moved = {**route(), "spec": {**route()["spec"], "gateways": ["gw2/tenant-search"]}}
    arrived = obj("Gateway", "tenant-search", "gw2", {names.TENANT: "search"})
    insertion = obj("EnvoyFilter", "slots", "gw2", {names.GATEWAY: "other"}, configPatches=[{"applyTo": "HTTP_FILTER"}])

    def waits(*there: Manifest, missing: Manifest | None = None) -> str:
        writes = [Write(moved, False), *([Write(missing, True)] if missing else [])]
        return shares(changes(*writes), live(*THERE, route(), *there), tenants).waiting.get(names.key_of(moved), "")

    assert waits() == "waits for Gateway gw2/tenant-search"
    assert waits(arrived, missing=insertion) == "waits for EnvoyFilter gw2/slots"
    assert waits(arrived) == ""
    # The old one is kept in the tree as long as requests still come through it.
    leaving = changes(Write(moved, False), deletes=[GATEWAY])
    assert names.key_of(GATEWAY) in stays(leaving, live(*THERE, route()))
    assert not shares(leaving, live(*THERE, route()), tenants).out_of_step
    assert names.key_of(GATEWAY) not in stays(leaving, live(*THERE, moved))
    assert names.key_of(GATEWAY) in shares(leaving, live(*THERE, moved), tenants).out_of_step


def test_a_route_that_only_closes_or_narrows_waits_for_nothing():
    closed = obj("VirtualService", "ranker", http=[{"directResponse": {"status": 503}}])
    assert shares(changes(Write(closed, False)), live(route()), TENANTS).ours.writes == [Write(closed, False)]
    assert not shares(changes(Write(route(), False)), live(route()), TENANTS).waiting


@pytest.mark.parametrize(
    "odd",
    [
        {"spec": {}},
        {"spec": None},
        {"spec": {"configPatches": [{}]}},
        {"spec": {"gateways": None, "http": [{"route": [{"destination": None}, {"destination": {"host": "a"}}]}]}},
    ],
)
@pytest.mark.parametrize("kind", ["EnvoyFilter", "VirtualService", "Gateway", "DestinationRule", "Service"])
def test_odd_objects_of_somebody_stop_nothing(kind: str, odd: Manifest):
    found = {**obj(kind, "ranker"), **odd}
    shares(changes(Write(route(), False), deletes=[GATEWAY]), live(found), TENANTS)
    shares(changes(Write(found, False)), live(found), TENANTS)
    stays(changes(deletes=[GATEWAY]), live(found, {**obj("Service", "b", labels={names.TENANT: "My_Tenant"})}))


def test_what_is_gits_is_told_by_how_it_differs_and_never_written_or_deleted():
    rule, service, gone = obj("DestinationRule", "a"), obj("Service", "a"), obj("Deployment", "a")
    found = changes(
        Write(rule, False), Write(service, False, drifted=True), Write(obj("Gateway", "a"), True), deletes=[gone]
    )
    parted = shares(found, live(rule, service, gone), TENANTS)
    assert (parted.ours.writes, parted.ours.deletes) == ([], [])
    assert {key.kind: how for key, how in parted.out_of_step.items()} == {
        "DestinationRule": "is in the cluster as another commit has it",
        "Service": "was changed by another client",
        "Gateway": "is not in the cluster",
        "Deployment": "is to go (pruned, or deleted by hand)",
    }


def test_a_namespace_goes_after_what_gits_tool_has_to_take_away():
    home, policy = obj("Namespace", "search", ""), obj("NetworkPolicy", "tidegate")
    assert shares(changes(deletes=[home]), live(home, policy), {}).ours.deletes == []
    assert shares(changes(deletes=[home]), live(home, route()), {}).ours.deletes == [home]


def test_what_nothing_renders_and_nobody_deletes_stays():
    refused, going, standing, leaving = (obj("Service", name) for name in ("refused", "going", "standing", "leaving"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = Changes(deletes=[going], desired=live(standing))
    assert stays(found, live(refused, going, standing, leaving)) == {
        names.key_of(refused): "tenants/search/ranker/service_search_refused.yaml"
    }


def test_long_lists_are_cut():
    found = changes(*(Write(obj("Service", f"s{number}"), True) for number in range(9)))
    (told,) = dict(sentences(shares(found, {}, TENANTS))).values()
    assert told.endswith("Service search/s2 is not in the cluster; and 6 more")
