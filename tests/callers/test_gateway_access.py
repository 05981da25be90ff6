"""What is rendered so that gateways check callers: for which gateways, in which order, and what stays."""

import copy
from dataclasses import replace

import pytest

from istio_templates import catalog, names
from istio_templates.callers.access_facts import AuthenticationFacts, CallerFacts, IssuerFacts, TenantAccess
from istio_templates.callers.access_retention import with_retained_access
from istio_templates.callers.public_keys import has_usable_key
from istio_templates.callers.token_check import token_check
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.digest import stamped
from k8s_manager.pipeline.diff import Differ
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Renderer
from k8s_manager.runtime.metrics import RENDERED
from tests.support.callers import Signer, access_of, planned, with_access
from tests.support.documents import gateway, model, tenant

SEARCH, ADS = Signer("tidegate/search", "search"), Signer("tidegate/ads", "ads")
APP1 = (CallerFacts("app1"),)
DOCUMENTS = [gateway(), gateway("other", "other-gw"), tenant(), tenant("ads"), model(), model("bidder", "ads")]
INSERTION = ObjectKey("EnvoyFilter", "inference-gw", "tidegate-shared-access")


@pytest.fixture
def plan() -> Plan:
    """A plan with callers of both tenants."""
    bare = planned(DOCUMENTS)
    return with_access(bare, access_of(bare, "search", SEARCH, APP1), access_of(bare, "ads", ADS, APP1))


def access_objects(objects: dict[ObjectKey, Manifest]) -> list[str]:
    return sorted(key.name for key in objects if "-access" in key.name)


def slot_of(namespace: str) -> ObjectKey:
    return ObjectKey("EnvoyFilter", "inference-gw", f"tidegate-shared-access-{names.access_slot(namespace)}")


def test_a_gateway_without_such_a_tenant_has_nothing_of_it(plan: Plan):
    assert access_objects(Renderer().render(replace(plan, access={})).objects) == []


def test_a_gateway_with_one_has_the_insertion_and_all_access_slots_and_no_other_gateway_has(plan: Plan):
    slots = [f"tidegate-shared-access-{slot}" for slot in range(names.ACCESS_SLOTS)]
    assert access_objects(Renderer().render(plan).objects) == ["tidegate-shared-access", *slots]


def test_the_filters_of_an_access_slot_wait_for_their_configuration_and_have_no_default(plan: Plan):
    patches = Renderer().render(plan).objects[INSERTION]["spec"]["configPatches"]
    found = [patch["patch"]["value"].get("config_discovery") for patch in patches]
    discovered = [one for one in found if one]
    assert len(discovered) == 2 * names.ACCESS_SLOTS
    assert all(one["config_source"]["initial_fetch_timeout"] == "0s" for one in discovered)
    assert not any("default_config" in one for one in discovered)


def test_access_is_checked_before_slots_whichever_was_made_first(plan: Plan):
    objects = Renderer().render(plan).objects
    slots = objects[ObjectKey("EnvoyFilter", "inference-gw", "tidegate-shared-slots")]
    assert objects[INSERTION]["spec"]["priority"] < slots["spec"]["priority"]


def test_a_change_of_one_tenant_renders_its_access_slot_and_nothing_else(plan: Plan):
    renderer = Renderer()
    renderer.render(plan)
    counted = [RENDERED.labels(what) for what in ("access slot", "access", "gateway", "model", "tenant")]
    before = [one._value.get() for one in counted]
    suspended = access_of(plan, "search", SEARCH, (CallerFacts("app1", refused="suspended"),))
    renderer.render(with_access(plan, suspended, plan.access["ads"]))
    assert [one._value.get() - was for one, was in zip(counted, before, strict=True)] == [1, 0, 0, 0, 0]


def changes(differ: Differ, plan: Plan, owned: dict[ObjectKey, Manifest]):
    return differ.diff(plan, Renderer().render(plan), owned, 1, frozenset())


def live(plan: Plan) -> dict[ObjectKey, Manifest]:
    desired = Renderer().render(plan)
    return {key: stamped(obj) for key, obj in (desired.objects | desired.slots).items()}


def test_access_slots_are_written_before_the_insertion_and_both_before_routes(plan: Plan):
    written = [write.obj for write in changes(Differ(), plan, {}).writes]
    places = {names.key_of(obj): number for number, obj in enumerate(written)}
    slots = [number for key, number in places.items() if key.name.startswith("tidegate-shared-access-")]
    assert len(slots) == names.ACCESS_SLOTS and max(slots) < places[INSERTION]
    assert catalog.stage(written[places[INSERTION]]) < catalog.ORDER.index("VirtualService")


def test_a_route_opens_when_its_gateway_checks_callers_and_a_live_one_or_a_public_one_waits_for_nothing(plan: Plan):
    route, other = (
        ObjectKey("VirtualService", space, name) for space, name in (("search", "ranker"), ("ads", "bidder"))
    )
    public = replace(plan.access["ads"], public=frozenset({"bidder"}))
    unlimited = replace(plan, limits={}, access={**plan.access, "ads": public})
    without = {key: obj for key, obj in live(unlimited).items() if key not in (INSERTION, route, other)}
    found = changes(Differ(), unlimited, without)
    assert found.held[route] == "gateway shared does not check callers yet"
    assert {INSERTION, other} <= {names.key_of(write.obj) for write in found.writes}
    assert not changes(Differ(), unlimited, {**without, INSERTION: live(unlimited)[INSERTION]}).held
    assert not changes(Differ(), unlimited, {**without, route: live(unlimited)[route]}).held


def test_without_tenants_the_insertion_goes_and_empty_access_slots_stay_for_connections_that_drain(plan: Plan):
    owned, without = live(plan), replace(plan, access={})
    found = changes(Differ(), without, owned)
    assert [names.key_of(obj) for obj in found.deletes] == [INSERTION]
    written = {names.key_of(write.obj): write.obj for write in found.writes}
    assert written.keys() == {slot_of("search"), slot_of("ads")}
    assert not any("providers" in str(obj) for obj in written.values())
    owned = {key: written.get(key, obj) for key, obj in owned.items() if key != INSERTION}
    found = changes(Differ(), without, owned)
    assert not found.writes and not found.deletes


def test_a_gateway_that_goes_takes_its_access_slots_along_after_the_insertion(plan: Plan):
    owned = live(plan)
    gone = replace(plan, pools={}, tenants={}, models={}, access={}, limits={})
    owned = {key: obj for key, obj in owned.items() if key.kind == "EnvoyFilter"}
    found = [key.name for obj in changes(Differ(), gone, owned).deletes if "-access" in (key := names.key_of(obj)).name]
    assert len(found) == 1 + names.ACCESS_SLOTS and found[0] == INSERTION.name


def test_what_checks_callers_is_set_back_whatever_the_drift_policy(plan: Plan):
    adopting = replace(plan, drift_policies={"search": "adopt", "ads": "report"})
    objects = Renderer().render(adopting).objects
    assert {adopting.policy_of(objects[key]) for key in (INSERTION, slot_of("search"))} == {"repair"}
    owned = live(adopting)
    edited = copy.deepcopy(owned[slot_of("search")])
    edited["spec"]["configPatches"][1]["patch"]["value"]["typed_config"] = {"@type": "open to all"}
    found = changes(Differ(), adopting, {**owned, slot_of("search"): edited})
    (write,) = found.writes
    assert write.obj["spec"] == objects[slot_of("search")]["spec"]


def test_a_tenant_whose_document_is_rejected_stays_checked_while_its_routes_are_live(plan: Plan):
    owned = live(plan)
    tenants = {name: found for name, found in plan.tenants.items() if name != "search"}
    rejected = replace(
        plan, tenants=tenants, frozen=frozenset({("", "search", "")}), access={"ads": plan.access["ads"]}
    )
    differ = Differ()
    found = changes(differ, rejected, owned)
    assert slot_of("search") not in {names.key_of(write.obj) for write in found.writes}
    last = replace(rejected, access={})
    assert INSERTION not in {names.key_of(obj) for obj in changes(differ, last, owned).deletes}
    left = {key: obj for key, obj in owned.items() if key[:2] != ("VirtualService", "search")}
    found = changes(Differ(), last, left)
    assert INSERTION in {names.key_of(obj) for obj in found.deletes}
    assert slot_of("search") in {names.key_of(write.obj) for write in found.writes}


def test_what_is_retained_stands_beside_what_others_in_the_slot_change(plan: Plan):
    both = catalog.render_access_slot(plan.pools["shared"], 0, tuple(plan.access.values()))[0]
    alone = catalog.render_access_slot(plan.pools["shared"], 0, (plan.access["ads"],))[0]
    assert with_retained_access(alone, both, {"search"}) == both
    assert with_retained_access(alone, both, set()) is alone
    assert with_retained_access(both, alone, {"search"}) is both
    empty = catalog.render_access_slot(plan.pools["shared"], 0, ())[0]
    kept = with_retained_access(empty, both, {"search"})
    assert "tidegate/search" in str(kept) and "tidegate/ads" not in str(kept)


@pytest.mark.parametrize("spoilt", [None, [], [{}], [{"patch": {"value": {"typed_config": []}}}]])
def test_a_live_slot_that_cannot_be_read_retains_nothing(plan: Plan, spoilt: object):
    slot = catalog.render_access_slot(plan.pools["shared"], 0, ())[0]
    assert with_retained_access(slot, {**slot, "spec": {"configPatches": spoilt}}, {"search"}) is slot


def test_a_model_whose_document_is_rejected_keeps_its_rule(plan: Plan):
    frozen = replace(plan, frozen_models=frozenset({("search", "old"), ("ads", "older")}))
    rules = Renderer().render(frozen).objects[slot_of("search")]["spec"]["configPatches"][0]["patch"]["value"]
    assert names.identity("search", "old").route in rules["typed_config"]["filter_state_rules"]["requires"]


def test_a_gateway_that_a_tenant_has_left_checks_until_its_routes_are_gone(plan: Plan):
    left = replace(plan.tenants["search"], leaving=("other",))
    objects = Renderer().render(replace(plan, tenants={**plan.tenants, "search": left})).objects
    assert ObjectKey("EnvoyFilter", "other-gw", "tidegate-other-access") in objects


def test_an_issuer_whose_tokens_cannot_be_checked_takes_none():
    good = SEARCH.facts()
    spoilt = [replace(good, audiences=()), replace(good, jwks="{}"), replace(good, issuer="")]
    for issuer in spoilt:
        access = TenantAccess("search", "search", AuthenticationFacts((issuer,)), (("ranker", "route"),))
        assert token_check((access,)).keys() == {"@type"}
    assert "providers" in token_check((TenantAccess("search", "search", AuthenticationFacts((good,))),))


@pytest.mark.parametrize(
    ("jwks", "usable"),
    [
        (SEARCH.jwks, True),
        ("", False),
        ("[]", False),
        ('{"keys": []}', False),
        ('{"keys": [1, null]}', False),
        ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', False),
        ('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}]}', False),
        ('{"keys": [{"kty": "RSA", "n": "AAAA", "e": "AQAB"}]}', False),
        ('{"keys": [{"kty": "EC", "crv": "P-256", "x": 1, "y": "%%"}]}', False),
        ("[" * 100_000, False),
    ],
)
def test_keys_that_envoy_could_not_read_are_recognised(jwks: str, usable: bool):
    assert has_usable_key(jwks) is usable


def test_issuers_of_two_tenants_may_have_one_name_and_other_audiences():
    one, other = (
        TenantAccess(name, name, AuthenticationFacts((IssuerFacts("https://x", (name,), SEARCH.jwks),)), (("m", name),))
        for name in ("a", "b")
    )
    check = token_check((one, other))
    assert [provider["audiences"] for provider in check["providers"].values()] == [["a"], ["b"]]
    assert check["filter_state_rules"]["requires"] == {"a": {"provider_name": "a/0"}, "b": {"provider_name": "b/0"}}
