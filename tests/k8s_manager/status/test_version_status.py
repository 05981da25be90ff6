"""The condition Served of a registered version, in words that say what to do."""

import pytest

from istio_templates.documents import ModelVersionSpec, parse
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.status.document_status import DocumentInputs
from k8s_manager.status.versions.version_status import VersionInputs, version_status
from k8s_manager.world.world import Stored
from tests.support.documents import API

BLOCKED = {"blocked": {"reason": "empty answers"}}


def status(accepted: bool = True, there: bool = True, weight: int | None = None, **spec):
    metadata = {"name": "ranker-v2", "namespace": "search"}
    whole = {"model": "ranker", "image": "x:2", **spec}
    document = parse({"apiVersion": API, "kind": "ModelVersion", "metadata": metadata, "spec": whole})
    assert isinstance(document.spec, ModelVersionSpec)
    stored = Stored(ObjectKey("ModelVersion", "search", "ranker-v2"), "u", 1, "", False, False, document, ())
    result = AdmissionResult(True) if accepted else AdmissionResult(False, "NotFound", (Problem("", "no tenant"),))
    return version_status(stored, DocumentInputs(result, False), VersionInputs(document.spec, there, weight))


@pytest.mark.parametrize(
    ("given", "state", "reason", "said"),
    [
        ({"weight": 30}, "True", "Served", "30 % of the requests of model ranker go to version v2"),
        ({"weight": 30, **BLOCKED}, "True", "Served", "it is blocked all the same (empty answers), move the traffic"),
        ({"weight": 0}, "False", "NoTraffic", "lists version v2 without any traffic"),
        ({"weight": 0, **BLOCKED}, "False", "Blocked", "unblock it to let it be chosen"),
        ({}, "False", "NotListed", "add it to spec.versions"),
        ({"there": False}, "False", "NoModel", "create it, or correct spec.model"),
    ],
)
def test_a_version_says_whether_it_serves_and_why_not(given, state, reason, said):
    found = status(**given)
    (served,) = (one for one in found["conditions"] if one["type"] == "Served")
    assert (served["status"], served["reason"]) == (state, reason) and said in served["message"]
    assert found["version"] == "v2"
    assert found["candidate"] == (not given.get("weight") and "blocked" not in given)


def test_one_that_is_rejected_says_only_that():
    assert [one["type"] for one in status(accepted=False)["conditions"]] == ["Accepted"]
