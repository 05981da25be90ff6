"""The condition Active of a caller, in words that say what to do."""

import pytest

from istio_templates.callers.access_facts import AuthenticationFacts, CallerFacts, TenantAccess
from istio_templates.documents import CallerSpec, parse
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.status.callers.caller_status import caller_inputs, caller_status, guarded_tenants, is_unguarded
from k8s_manager.status.document_status import DocumentInputs
from k8s_manager.world.world import Stored
from tests.support.caller_documents import caller
from tests.support.documents import model

MODELS = (("ranker", "/ranker"), ("router", "/router"))


def status(facts: CallerFacts | None, accepted: bool = True, **spec):
    document = parse(caller(**spec))
    assert isinstance(document.spec, CallerSpec)
    stored = Stored(ObjectKey("Caller", "search", "app1"), "u", 1, "", False, False, document, ())
    known = AuthenticationFacts((), tuple(filter(None, (CallerFacts("a"), facts, CallerFacts("b")))))
    tenants = guarded_tenants({"search": TenantAccess("search", "search", known, MODELS)})
    inputs = caller_inputs(stored, document.spec, tenants.get("search") if facts else None)
    result = AdmissionResult(True) if accepted else AdmissionResult(False, "NotFound", (Problem("", "no tenant"),))
    return caller_status(stored, DocumentInputs(result, False), inputs)


@pytest.mark.parametrize(
    ("facts", "spec", "reason", "said", "models"),
    [
        (CallerFacts("c"), {}, "Active", "it may call 2 models", 2),
        (CallerFacts("c", frozenset({"ranker"})), {}, "Active", "it may call 1 model", 1),
        (CallerFacts("c", refused="suspended"), {}, "Suspended", "tidegate caller resume", 0),
        (CallerFacts("c", refused="expired"), {"expires": "2026-01-01T00:00:00Z"}, "Expired", "at 2026-01-01", 0),
        (CallerFacts("c", frozenset({"x"})), {}, "NoModel", "correct spec.models", 0),
        (None, {}, "NoAuthentication", "spec.authentication", None),
    ],
)
def test_a_caller_says_what_it_may_call_and_why_not(facts, spec, reason, said, models):
    facts = facts and CallerFacts("app1", facts.models, facts.refused)
    found = status(facts, **spec)
    (active,) = (one for one in found["conditions"] if one["type"] == "Active")
    assert (active["status"], active["reason"]) == (str(reason == "Active"), reason) and said in active["message"]
    assert found.get("models") == models


@pytest.mark.parametrize(
    ("models", "reason", "said"),
    [
        (["ranker"], "ResolvedRefs", "all models"),
        (["ranker", "gone"], "ModelNotFound", "there is no model gone; correct spec.models, or create the model"),
        ([f"m{n}" for n in range(12)], "ModelNotFound", "m9 and 2 more"),
    ],
)
def test_models_that_do_not_exist_are_a_condition(models, reason, said):
    found = status(CallerFacts("app1", frozenset(models)), models=models)
    (resolved,) = (one for one in found["conditions"] if one["type"] == "ResolvedRefs")
    assert resolved["reason"] == reason and said in resolved["message"]


def test_one_that_is_rejected_says_only_that():
    assert [one["type"] for one in status(CallerFacts("app1"), accepted=False)["conditions"]] == ["Accepted"]


def test_only_a_model_on_an_http_route_of_a_tenant_that_asks_cannot_be_guarded():
    existing = {"versions": [{"name": "v1", "existing": {"labels": {"a": "b"}}}], "routes": []}
    attached = parse(model(attachTo={"httpRoute": "web"}, **existing)).spec
    asked = guarded_tenants({"search": TenantAccess("search", "search", AuthenticationFacts(()))})["search"]
    assert is_unguarded(attached, asked) and not is_unguarded(attached, None)
    assert not is_unguarded(parse(model()).spec, asked)
    assert not is_unguarded(parse(model(attachTo={"httpRoute": "web"}, access="public", **existing)).spec, asked)
