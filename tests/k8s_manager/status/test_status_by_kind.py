"""Statuses follow from typed inputs, and a condition that does not hold says what to do."""

from fractions import Fraction

import pytest

from collectors.replicas import PodState
from istio_templates.documents import parse
from istio_templates.errors import Problem
from istio_templates.facts import Bucket, LimitKey, ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.kube.errors import Absent, FieldConflict
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.prometheus_replicas import ONE_SOURCE, SourceDoubt
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.apply import Failure
from k8s_manager.pipeline.termination import Terminating
from k8s_manager.status.document_status import DocumentInputs, unreadable_status
from k8s_manager.status.gateway_status import GatewayInputs, gateway_status
from k8s_manager.status.model_status import ModelInputs, model_status
from k8s_manager.status.tenant_status import TenantInputs, tenant_status
from k8s_manager.warmup_gate.progress import warm
from k8s_manager.world.tenant_gateways import Binding
from ratelimiter.capacity import LimitBounds
from ratelimiter.controller import LimitTarget
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.fairness import Uneven
from ratelimiter.target import PodTarget, Terms, Total
from tests.support.documents import gateway, model, tenant

ACCEPTED = DocumentInputs(AdmissionResult(True), written=True)
OWNER = ("", "search", "")


def stored(raw: dict):
    return world_of([parse(raw)]).documents()[0]


def conditions(status: dict) -> dict[str, dict]:
    return {condition["type"]: condition for condition in status["conditions"]}


def of_gateway(before: dict | None = None, **inputs) -> dict[str, dict]:
    return conditions(status_of_gateway(before, **inputs))


def told(type_: str, status: str) -> dict:
    """Return a condition as the last manager left it."""
    return {"type": type_, "status": status, "reason": "Before", "message": "x", "lastTransitionTime": "2026-01-01"}


def status_of_gateway(before: dict | None = None, **inputs) -> dict:
    document = stored(gateway())
    if before:
        document.status["conditions"] = [before]
    given = {
        "pods": (), "duplicates": (), "trouble": (), "rolled_back": (), "rejects": (), "uneven": None, "probed": True,
    }  # fmt: skip
    made = GatewayInputs(spec=document.document.spec, **{**given, **inputs})
    return gateway_status(document, ACCEPTED, made)


def of_model(
    raw: dict, ready: int = 0, document: DocumentInputs = ACCEPTED, before: dict | None = None, **inputs
) -> dict[str, dict]:
    found = stored(raw)
    if before:
        found.status["conditions"] = [before]
    spec = found.document.spec
    given = {
        "served": None,
        "scalers": (),
        "declared": (),
        "source_doubt": None,
        "unfollowed": None,
        "warmup": None,
        "draining": (),
        "limit_mark": None,
    }
    made = ModelInputs(
        spec=spec, identity="", ready=tuple((v.name, ready) for v in spec.versions), **{**given, **inputs}
    )
    return conditions(model_status(found, document, made, {}))


@pytest.mark.parametrize(
    ("found", "type_", "reason", "to_do"),
    [
        (of_gateway(), "Ready", "NoGatewayPod", "start one, or check the selector"),
        (
            of_gateway(pods=(PodState("a", frozenset(), True, False, None, "1.29.0"),)),
            "Ready",
            "ProxyTooOld",
            "upgrade Istio",
        ),
        (of_gateway(duplicates=("gw/a",)), "SlotsUnique", "Duplicate", "delete it"),
        (of_gateway(trouble=(("a", "NoAnswer", (1,)),)), "LimitsApplied", "NoAnswer", "let the manager reach"),
        (of_gateway(trouble=(("a", "Rejected", (1,)),)), "LimitsApplied", "Rejected", "read the log"),
        (of_gateway(rolled_back=(1,)), "LimitsApplied", "Rejected", "read the logs"),
        (of_gateway(uneven=Uneven("a", 7, 0.9, "b", 0.1)), "LoadEven", "Uneven", "let clients open more connections"),
        (of_model(model()), "Ready", "NoReadyReplica", "scale it up"),
        (of_model(model(paused="a test")), "Ready", "Paused", "remove spec.paused"),
        (of_model(model(), 1, DocumentInputs(AdmissionResult(True), False)), "Ready", "NotServed", "correct what"),
        (of_model(model(), 1, without_pods=("shared",)), "Ready", "NoGatewayPod", "start one"),
        (
            of_model(model(), 1, source_doubt=SourceDoubt("Disagree", "1 by watch, 2 by Prometheus")),
            "SourcesAgree",
            "Disagree",
            "check kube-state",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_condition_that_does_not_hold_says_what_to_do(found, type_, reason, to_do):
    condition = found[type_]
    assert (condition["status"], condition["reason"]) == ("False", reason)
    assert to_do in condition["message"].rpartition("; ")[2] or to_do in condition["message"].partition("; ")[2]


def test_what_waits_to_be_written_is_not_programmed_and_what_is_in_no_slot_limits_nothing():
    waits = DocumentInputs(AdmissionResult(True), True, put_off="the change of VirtualService a/b waits: no slot; wait")
    found = of_model(model(), 1, waits)
    assert (found["Programmed"]["status"], found["Programmed"]["reason"]) == ("False", "Pending")
    assert found["Ready"]["status"] == "True"  # what was written before serves on
    limit = rate_limited(in_force=None)
    assert (limit["status"], limit["reason"]) == ("False", "Pending") and "wait" in limit["message"]
    assert rate_limited(in_force=Bucket(40, 1, 4))["status"] == "True"


def rate_limited(in_force: Bucket | None) -> dict:
    found = stored(model())
    rules = Rules(DebounceWindow(0, 0), DebounceWindow(0, 0))
    terms = Terms(
        "search", "ranker", "search", LimitKey("r"), ("shared",), LimitBounds(Fraction(1)), Fraction(1), rules,
        "hold", "hold",
    )  # fmt: skip
    wanted = PodTarget(Total(Fraction(40), Fraction(40), "Capacity"), 1, (), Bucket(40, 1, 4))
    view = LimitView(LimitTarget(terms, wanted), 9, in_force)
    made = ModelInputs(found.document.spec, "", None, (("v1", 2),), (), (), None, None, None, (), None)
    return conditions(model_status(found, ACCEPTED, made, {"shared": view}))["Limited"]


def test_no_replica_at_all_is_not_warm():
    assert (warm([]).holds, warm([]).reason) == (False, "NoReplica")


@pytest.mark.parametrize(
    ("document", "reason", "message"),
    [
        (
            DocumentInputs(AdmissionResult(False, "Conflict", (Problem("spec", "taken; choose another"),)), True),
            "Pending",
            "objects are written once the document is accepted; correct what condition Accepted names",
        ),
        (
            DocumentInputs(
                AdmissionResult(True), True, terminating=Terminating(stored(tenant()), OWNER, "models a; delete them")
            ),
            "Waiting",
            "the deletion has to wait: models a; delete them",
        ),
        (
            DocumentInputs(
                AdmissionResult(True),
                True,
                failure=(ObjectKey("Service", "search", "a"), Failure(Absent("namespaces search"), OWNER, 1, 0.0)),
            ),
            "NamespaceAbsent",
            "Service search/a: namespace search does not exist; kubectl create namespace search",
        ),
    ],
    ids=["rejected", "terminating", "absent"],
)
def test_what_keeps_objects_from_being_written_is_named(document, reason, message):
    found = conditions(tenant_status(stored(tenant()), document, TenantInputs(stored(tenant()).document.spec, None)))
    assert (found["Programmed"]["reason"], found["Programmed"]["message"]) == (reason, message)


def test_an_object_of_another_field_manager_is_named_with_it():
    error = FieldConflict("apply", [])
    error.managers = ("argo",)
    failed = DocumentInputs(
        AdmissionResult(True), True, failure=(ObjectKey("Service", "search", "a"), Failure(error, OWNER, 1, 0.0))
    )
    condition = of_model(model(), 1, failed)["Programmed"]
    assert condition["reason"] == "FieldConflict" and "Service search/a is managed by argo; " in condition["message"]


def test_a_tenant_that_is_rejected_stays_where_its_status_says():
    rejected = DocumentInputs(AdmissionResult(False, "Invalid"), written=False)
    document = stored(tenant())
    document.status.update({"namespace": "search", "gateway": "old"})
    inputs = TenantInputs(document.document.spec, Binding(("shared",)))
    assert tenant_status(document, rejected, inputs)["gateway"] == "old"
    assert unreadable_status(document, rejected)["gateway"] == "old"
    assert tenant_status(document, ACCEPTED, inputs)["gateway"] == "shared"


def test_the_addresses_of_a_gateway_take_ipv6():
    pods = tuple(PodState(name, frozenset(), True, False, name) for name in ("fd00::7", "10.0.0.7"))
    assert status_of_gateway(pods=pods)["addresses"] == ["10.0.0.7:8080", "[fd00::7]:8080"]


def test_traffic_that_is_not_read_from_the_virtual_service_is_told_until_it_is():
    found = of_model(model(), 1, unfollowed="VirtualService x sends requests elsewhere")
    assert found["TrafficFollowed"]["status"] == "False"
    assert "TrafficFollowed" not in of_model(model(), 1)


POD = PodState("a", frozenset(), True, False, "10.0.0.7")
STARTING = PodState("b", frozenset(), False, False, "10.0.0.8")
LEAVING = PodState("c", frozenset(), True, True, "10.0.0.9")


@pytest.mark.parametrize("pods", [(), (STARTING,), (LEAVING,)], ids=["none", "starting", "leaving"])
def test_limits_that_no_ready_pod_could_run_are_not_applied(pods):
    found = of_gateway(pods=pods)["LimitsApplied"]
    assert (found["status"], found["reason"]) == ("Unknown", "NoGatewayPod")
    assert of_gateway(pods=(*pods, POD))["LimitsApplied"]["status"] == "True"


@pytest.mark.parametrize("before", ["True", "False", "Unknown"])
@pytest.mark.parametrize(
    ("pods", "unread"), [((POD,), None), ((POD,), ("a",)), ((), ())], ids=["not yet", "silent", "no pod"]
)
def test_load_that_could_not_be_compared_is_not_known_to_be_even(before, pods, unread):
    found = of_gateway(told("LoadEven", before), pods=pods, unread=unread)["LoadEven"]
    assert (found["status"], found["reason"]) == ("Unknown", "NotRead") and "let the manager reach" in found["message"]


def test_load_is_even_again_once_all_pods_were_compared_and_never_told_where_it_always_was():
    assert of_gateway(told("LoadEven", "False"), pods=(POD,), unread=())["LoadEven"]["status"] == "True"
    assert "LoadEven" not in of_gateway(pods=(POD,), unread=("a",))
    uneven = of_gateway(pods=(POD,), unread=("a",), uneven=Uneven("a", 7, 0.9, "b", 0.1))["LoadEven"]
    assert uneven["status"] == "False"


@pytest.mark.parametrize(
    ("before", "doubt", "status"),
    [
        ("False", None, "True"),
        ("False", SourceDoubt("NotRead", "Prometheus does not answer"), "Unknown"),
        ("True", SourceDoubt("NotRead", "Prometheus does not answer"), "Unknown"),
        ("False", SourceDoubt("Settling"), "False"),
        ("True", SourceDoubt("Settling"), "True"),
        ("Unknown", SourceDoubt("Settling"), "Unknown"),
        ("True", SourceDoubt("Disagree", "1 by watch, 2 by Prometheus"), "False"),
    ],
)
def test_sources_agree_only_where_both_are_read(before, doubt, status):
    found = of_model(model(), 1, before=told("SourcesAgree", before), source_doubt=doubt)
    assert found["SourcesAgree"]["status"] == status
    assert status == "False" or "SourcesAgree" not in of_model(model(), 1, source_doubt=doubt)


@pytest.mark.parametrize("before", ["True", "False", "Unknown"])
def test_what_two_sources_said_goes_when_only_one_is_asked(before):
    assert "SourcesAgree" not in of_model(model(), 1, before=told("SourcesAgree", before), source_doubt=ONE_SOURCE)


def test_a_model_behind_a_gateway_without_ready_pods_is_not_ready():
    found = of_model(model(), 1, without_pods=("old", "new"))["Ready"]
    assert found["message"].startswith("gateway old, new has no ready pod")
    assert of_model(model(paused="a test"), 1, without_pods=("old",))["Ready"]["reason"] == "Paused"
    assert of_model(model(), 0, without_pods=("old",))["Ready"]["reason"] == "NoReadyReplica"
