"""Conflicts that are there already are found, with whom they are."""

import pytest

from k8s_manager.admission.prior_conflicts import conflicts
from tests.support.documents import model, tenant


def istio(kind: str, namespace: str, **spec) -> dict:
    return {"kind": kind, "metadata": {"name": "theirs", "namespace": namespace}, "spec": spec}


def refused(document: dict, reason: str) -> dict:
    condition = {"type": "Accepted", "status": "False", "reason": reason, "message": "spec.hosts[0].name: is claimed"}
    return {**document, "status": {"conditions": [condition]}}


def test_a_claim_that_was_refused_is_named_and_a_mistake_is_not():
    found = list(conflicts([tenant(), refused(tenant("ads"), "Conflict"), refused(model(), "Invalid")], []))
    assert [(str(key), said) for key, said in found] == [("Tenant ads", "spec.hosts[0].name: is claimed")]


@pytest.mark.parametrize(
    "obj",
    [
        istio("VirtualService", "ads", hosts=["SEARCH.models.example.com."]),
        istio("VirtualService", "ads", hosts=["*"]),
        istio("VirtualService", "default", hosts=["*.example.com"]),
        istio("Gateway", "ads", servers=[{"hosts": ["free.net", "*/search.models.example.com"]}]),
    ],
    ids=str,
)
def test_a_route_on_a_claimed_host_is_named_with_its_owner(obj):
    ((key, said),) = conflicts([tenant(), tenant("ads", "ads.net")], [obj])
    assert key.name == "theirs" and "search" in said.rpartition("claimed by ")[2]


@pytest.mark.parametrize(
    "obj",
    [
        istio("VirtualService", "search", hosts=["search.models.example.com"]),
        istio("VirtualService", "ads", hosts=["models.example.com"]),
        {**istio("Gateway", "gw"), "metadata": {"name": "g", "namespace": "gw", "labels": {
            "app.kubernetes.io/managed-by": "tidegate"}}, "spec": {"servers": [{"hosts": ["*"]}]}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_its_owners_own_or_ours_is_none(obj):
    assert list(conflicts([tenant(), tenant("ads", "ads.net")], [obj])) == []
