"""Rules for the namespaces of gateways and tenants. Pure."""

from collections.abc import Iterator

from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid
from k8s_manager.world.world import NamespaceState

FIELD = "spec.namespace"
ISTIO = "istio-system"
"""Istio's own, and by default its root namespace: what is configured here reaches pods of all namespaces."""
RESERVED = ("default", "kube-system", "kube-public", "kube-node-lease", ISTIO, "tidegate-system")
Label = tuple[str, str]


def check_reserved(namespace: str) -> Iterator[Rejection]:
    """Reject a namespace of the cluster itself."""
    if namespace in RESERVED or namespace.startswith("kube-"):
        yield invalid(FIELD, f"namespace {namespace} is reserved for the cluster; choose another namespace")


def check_gateway_namespace(namespace: str, is_managed: bool) -> Iterator[Rejection]:
    """Reject a namespace of the cluster itself, but not the one in which Istio's own gateway pods run.

    For a gateway whose pods another owner runs, the manager writes Gateways, EnvoyFilters and the probe's route there,
    each with its labels, and neither the namespace itself nor NetworkPolicies, rights or pods.
    """
    if namespace != ISTIO:
        yield from check_reserved(namespace)
    elif is_managed:
        message = (
            f"namespace {namespace} belongs to Istio; leave spec.managed out to use gateway pods that run there, or "
            "choose another namespace"
        )
        yield invalid(FIELD, message)


def has_label(namespace: NamespaceState, label: Label) -> bool:
    """Tell whether a namespace carries a label."""
    return namespace.labels.get(label[0]) == label[1]


def unmanaged(namespace: str, label: Label) -> Rejection:
    """Return the rejection of a namespace that exists and was not made by the manager."""
    message = (
        f"namespace {namespace} already exists and is not managed by Tidegate; choose another namespace, or label this "
        f"one {label[0]}={label[1]} to let Tidegate use it"
    )
    return conflict(FIELD, message)
