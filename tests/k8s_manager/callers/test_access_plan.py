"""What gateways enforce of callers follows from documents, the clock and keys, and a rejected document opens nothing."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.callers.access_facts import CallerFacts
from istio_templates.documents import parse
from k8s_manager.admission.admit import Admitter
from k8s_manager.callers.expiry import CallerExpiry, with_lapsed
from k8s_manager.offline.offline_world import stored, world_with
from k8s_manager.pipeline.plan import Planner
from k8s_manager.world.world import PublicKey
from tests.support.caller_documents import caller, issuer, jwk
from tests.support.documents import gateway, model, tenant

NOW = datetime(2026, 12, 1, tzinfo=UTC)
ROUTE = "/apis/networking.istio.io/v1/namespaces/search/virtual-service/ranker"
KNOWN = {"issuers": [issuer()], "headers": ["x-token"], "forwardToken": True}
KEY = PublicKey("own", json.dumps(jwk(kid="own")))


class Cluster:
    """Documents that change, planned again and again."""

    def __init__(self) -> None:
        self.planner, self.expiry = Planner(), CallerExpiry()

    def access(self, *documents, at=NOW, keys=(), statuses=None):
        """Return what is enforced of the tenant `search`."""
        found = []
        for raw in (gateway(), *documents):
            one = stored(parse(raw))
            status = (statuses or {}).get(one.key.name, {})
            found.append(dataclasses.replace(one, labels=raw["metadata"].get("labels", {}), status=status))
        world = self.expiry.at(dataclasses.replace(world_with(found), caller_keys={"search": tuple(keys)}), at)
        return self.planner.plan(world, Admitter().admit(world), {}).access.get("search")


def rejected(**spec):
    """Return the tenant as it is not accepted: its gateway's Gateway is Tidegate's own."""
    return tenant(hosts=[{"name": "kube-system.example.com"}], namespace="kube-system", **spec)


def test_a_tenant_without_authentication_enforces_nothing():
    assert Cluster().access(tenant(), model(), caller()) is None


def test_issuers_callers_models_and_public_models_become_what_gateways_enforce():
    documents = (
        tenant(authentication=KNOWN),
        model(),
        model("open", access="public"),
        caller("app2", models=["ranker", "missing"]),
        caller("app1"),
        caller("app3", suspended=True, revokedTokens=[{"id": "t1", "expires": "2026-12-02T00:00:00Z"}]),
    )
    found = Cluster().access(*documents, keys=[KEY])
    known = found.authentication
    assert [one.issuer for one in known.issuers] == ["tidegate/search", "https://id.example.com"]
    assert known.issuers[0].audiences == ("search",) and json.loads(known.issuers[0].jwks)["keys"][0]["kid"] == "own"
    assert known.issuers[1].audiences == ("models",) and json.loads(known.issuers[1].jwks)["keys"][0]["kid"] == "k1"
    assert (known.required, known.headers, known.forward) == (True, ("x-token",), True)
    assert known.callers == (
        CallerFacts("app1"),
        CallerFacts("app2", frozenset({"ranker", "missing"})),
        CallerFacts("app3", None, "suspended", ("t1",)),
    )
    assert found.models == (("open", ROUTE.replace("ranker", "open")), ("ranker", ROUTE))
    assert found.public == frozenset({"open"}) and found.namespace == "search"


def test_labels_choose_models():
    labelled = model()
    labelled["metadata"]["labels"] = {"team": "a", "tier": "1"}
    documents = (tenant(authentication=KNOWN), labelled, model("other"), caller(modelLabels={"team": "a"}))
    assert Cluster().access(*documents).authentication.callers[0].models == frozenset({"ranker"})


def test_the_clock_ends_callers_revocations_and_old_keys():
    revoked = [{"id": "t1", "expires": "2026-12-01T02:00:00Z"}, {"id": "t2", "expires": "2026-12-09T00:00:00Z"}]
    documents = (
        tenant(authentication={}),
        model(),
        caller(expires="2026-12-01T01:00:00+00:00", revokedTokens=revoked),
    )
    old = PublicKey("old", json.dumps(jwk(kid="old")), "2026-12-01T03:00:00Z")
    cluster, found = Cluster(), []
    for hours in (0, 1, 2, 3):
        access = cluster.access(*documents, at=NOW + timedelta(hours=hours), keys=[KEY, old])
        one = access.authentication.callers[0]
        keys = json.loads(access.authentication.issuers[0].jwks)["keys"]
        found.append((one.refused, one.revoked, [key["kid"] for key in keys]))
    assert found == [
        ("", ("t1", "t2"), ["own", "old"]),
        ("expired", ("t1", "t2"), ["own", "old"]),
        ("expired", ("t2",), ["own", "old"]),
        ("expired", ("t2",), ["own"]),
    ]


def test_the_next_end_is_known():
    world = world_with([stored(parse(caller(expires="2026-12-01T01:00:00Z")))])
    expiry = CallerExpiry()
    assert expiry.next_end(world, NOW) == NOW + timedelta(hours=1)
    assert expiry.next_end(world, NOW + timedelta(hours=1)) is None
    assert with_lapsed(world, NOW + timedelta(hours=1)).lapsed == {("search", "app1", "")}


def test_a_caller_of_another_namespace_is_not_the_tenants_and_one_without_a_tenant_is_rejected():
    other = caller("app9", namespace="elsewhere")
    found = Cluster().access(tenant(authentication=KNOWN), model(), caller(), other)
    assert [one.name for one in found.authentication.callers] == ["app1"]


def test_a_tenant_that_is_rejected_keeps_how_its_callers_were_known():
    cluster = Cluster()
    before = cluster.access(tenant(authentication=KNOWN), model(), caller())
    after = cluster.access(rejected(), model(), caller(suspended=True), keys=[KEY])
    assert after.authentication.issuers[1:] == before.authentication.issuers
    assert after.authentication.issuers[0].issuer == "tidegate/search"
    assert (after.authentication.headers, after.authentication.forward) == (("x-token",), True)


@pytest.mark.parametrize(("said", "required"), [("required", True), ("optional", False)])
def test_a_manager_that_has_not_seen_it_stays_closed(said, required):
    found = Cluster().access(rejected(), model(), statuses={"search": {"authentication": said}})
    assert found.authentication.required is required and found.authentication.issuers == ()
    assert Cluster().access(rejected(), model()) is None


def test_a_rejected_document_that_asks_for_callers_is_not_open_even_where_nothing_else_is_known():
    status = {"search": {"authentication": "required"}}
    found = Cluster().access(rejected(authentication={"required": False}), model(), statuses=status)
    assert found.authentication.required


def test_a_model_that_is_rejected_stays_guarded_and_public_only_where_it_was():
    cluster, taken = Cluster(), {"routes": [{"host": "other.example.com", "path": "/", "port": 8080}]}
    documents = (tenant(authentication=KNOWN), model("open", access="public"))
    cluster.access(*documents, model())
    found = cluster.access(documents[0], model("open", access="tenant", **taken), model(access="public", **taken))
    assert dict(found.models).keys() == {"open", "ranker"} and found.public == frozenset({"open"})


def test_what_is_attached_is_guarded_by_its_own_route_and_an_http_route_not_at_all():
    existing = {"versions": [{"name": "v1", "existing": {"labels": {"a": "b"}}}], "routes": []}
    one = model("one", attachTo={"virtualService": "theirs"}, **existing)
    two = model("two", attachTo={"httpRoute": "web"}, **existing)
    found = Cluster().access(tenant(authentication=KNOWN), one, two)
    assert found.models == (("one", ROUTE.replace("ranker", "theirs")),)


def test_what_has_not_changed_is_the_same_object():
    cluster = Cluster()
    first = cluster.access(tenant(authentication=KNOWN), model(), caller())
    assert cluster.access(tenant(authentication=KNOWN), model(), caller()) is first
