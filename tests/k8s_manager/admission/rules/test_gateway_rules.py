"""Which namespaces a gateway may stand in, and whose pods it may select."""

import pytest

from istio_templates.documents import parse
from k8s_manager.admission.admit import AdmissionResult, Admitter
from k8s_manager.offline.offline_world import world_of
from tests.support.documents import gateway, tenant

MANAGED = {"managed": {"replicas": 2}}


def admitted(*raw: dict) -> dict[str, AdmissionResult]:
    documents = [parse(document) for document in raw]
    return {str(key): result for key, result in Admitter().admit(world_of(documents)).items()}


def message(result: AdmissionResult) -> str:
    return "; ".join(f"{problem.field}: {problem.message}" for problem in result.problems)


def test_a_gateway_whose_pods_another_owner_runs_may_stand_where_istio_puts_them():
    found = admitted(gateway(namespace="istio-system"), tenant())
    assert all(result.accepted for result in found.values()), found


def test_a_managed_gateway_does_not_stand_there_and_the_message_says_what_may():
    (result,) = admitted(gateway(namespace="istio-system", **MANAGED)).values()
    assert not result.accepted
    assert "istio-system belongs to Istio" in message(result) and "leave spec.managed out" in message(result)


@pytest.mark.parametrize("spec", [{}, MANAGED], ids=["unmanaged", "managed"])
@pytest.mark.parametrize(
    "namespace", ["default", "kube-system", "kube-public", "kube-node-lease", "kube-flannel", "tidegate-system"]
)
def test_other_namespaces_of_the_cluster_and_the_managers_own_hold_no_gateway(namespace: str, spec: dict):
    (result,) = admitted(gateway(namespace=namespace, **spec)).values()
    assert not result.accepted and f"namespace {namespace} is reserved for the cluster" in message(result)


@pytest.mark.parametrize("namespace", ["istio-system", "kube-system", "tidegate-system"])
def test_no_tenant_has_a_namespace_of_the_cluster(namespace: str):
    found = admitted(gateway(), tenant(namespace=namespace))
    assert "is reserved for the cluster" in message(found["Tenant search"])


@pytest.mark.parametrize("first", ["istio-system", "edge"])
def test_what_istio_applies_in_every_namespace_selects_no_pods_of_another_gateway(first: str):
    """istio-system is the root namespace: an EnvoyFilter there reaches pods with its labels wherever they run."""
    second = "edge" if first == "istio-system" else "istio-system"
    found = admitted(gateway("a", first, selector={"istio": "x"}), gateway("b", second, selector={"istio": "x"}))
    assert found["InferenceGateway a"].accepted
    assert "also matches the pods of gateway a" in message(found["InferenceGateway b"])


def test_elsewhere_the_same_labels_are_other_pods():
    found = admitted(gateway("a", "edge-a", selector={"istio": "x"}), gateway("b", "edge-b", selector={"istio": "x"}))
    assert all(result.accepted for result in found.values())
