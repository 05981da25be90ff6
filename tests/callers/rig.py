"""Tenants of every kind on one gateway: with callers, with optional tokens, with a delegated path, and without."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from istio_templates.callers.access_facts import CallerFacts
from k8s_manager.pipeline.plan import Plan
from tests.support.callers import HOST, Signer, access_of, planned, with_access
from tests.support.documents import gateway, model, tenant

SEARCH, GUEST, ADS = (Signer(f"tidegate/{name}", name) for name in ("search", "guest", "ads"))
CALLERS = (
    CallerFacts("app1", revoked=("bad-id",)),
    CallerFacts("app2", models=frozenset({"spell"})),
    CallerFacts("app3", refused="suspended"),
    CallerFacts("app4", refused="expired"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A route, and the model behind it."""

    host: str
    path: str
    model: str


OWN = Place(HOST.format("search"), "/v2/models/ranker", "search/ranker")
SOME = Place(HOST.format("search"), "/v2/models/spell", "search/spell")
PUBLIC = Place(HOST.format("search"), "/v2/models/faq", "search/faq")
CHAT = Place(HOST.format("search"), "/v1/chat/completions", "search/chat")
DELEGATED = Place(HOST.format("search"), "/lent", "guest/lent")
OTHER = Place(HOST.format("guest"), "/v2/models/helper", "guest/helper")
OPTIONAL = Place(HOST.format("ads"), "/v2/models/bidder", "ads/bidder")
OPEN = Place(HOST.format("plain"), "/v2/models/open", "plain/open")
PLACES = (OWN, SOME, PUBLIC, CHAT, DELEGATED, OTHER, OPTIONAL, OPEN)
MODELS = tuple(place.model for place in PLACES)


def documents() -> list[dict[str, Any]]:
    """Return the documents of all tenants and models."""
    delegated = {"name": HOST.format("search"), "delegations": [{"path": "/lent", "tenant": "guest"}]}
    tenants = [tenant("search", hosts=[delegated]), tenant("guest"), tenant("ads"), tenant("plain")]
    return [gateway(), *tenants, *map(_model, PLACES)]


def _model(place: Place) -> dict[str, Any]:
    namespace, name = place.model.split("/")
    return model(name, namespace, routes=[{"host": place.host, "path": place.path, "port": 8080}])


def plan_of_all(**more: Mapping[str, Any]) -> Plan:
    """Return the plan of all tenants with their callers; `more` are facts of a tenant's authentication."""
    plan = planned(documents())
    assert all(result.accepted for result in plan.admission.values())
    return with_access(
        plan,
        access_of(plan, "search", SEARCH, CALLERS, ("faq",), **more.get("search", {})),
        access_of(plan, "guest", GUEST, CALLERS, **more.get("guest", {})),
        access_of(plan, "ads", ADS, CALLERS, **{"required": False, **more.get("ads", {})}),
    )
