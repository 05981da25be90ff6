"""KEDA, installed from the manifests of its own release: operator, metrics adapter and kinds, without its webhook."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster import build, needs
from e2e.cluster.neighbours import KEDA_ADAPTER, KEDA_OPERATOR
from e2e.support.site import bounded, kubectl
from k8s_manager.autoscaling.api_service import API_SERVICE

NAMESPACE, ACCOUNT = "keda", "keda-operator"
_CHANGES = {
    "ghcr.io/kedacore/keda:main": KEDA_OPERATOR,
    "ghcr.io/kedacore/keda-metrics-apiserver:main": KEDA_ADAPTER,
    "imagePullPolicy: Always": "imagePullPolicy: Never",
    "- --enable-cert-rotation=true": "- --enable-cert-rotation=true\n        - --enable-webhook-patching=false",
}


@contextmanager
def with_keda() -> Iterator[None]:
    """Have KEDA in the cluster, with a token of the manager as docs/autoscaling.md says; take all away afterwards."""
    manifests = _manifests()
    kubectl("apply", "--server-side", "-f", "-", stdin=manifests)
    try:
        for name in ("keda-operator", "keda-metrics-apiserver"):
            kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", bounded())
        kubectl("wait", "--for=condition=Available", f"apiservice/{API_SERVICE.name}", bounded())
        kubectl("apply", "-f", "-", stdin=json.dumps(_access()))
        yield
    finally:
        # First of all: while an API is not served, no namespace goes.
        kubectl("delete", "--ignore-not-found", "apiservice", API_SERVICE.name)
        kubectl("delete", "--ignore-not-found", "accessgrant/keda")
        kubectl("delete", "--ignore-not-found", "-f", "-", bounded(), stdin=manifests)


def _manifests() -> str:
    """Return the manifests of the release with the images that were built here."""
    folder = build.module_folder(needs.require(), "keda", "github.com/kedacore/keda/v2") / "config/minimal"
    rendered = kubectl("kustomize", str(folder))
    for published, ours in _CHANGES.items():
        assert published in rendered, published
        rendered = rendered.replace(published, ours)
    return rendered


@contextmanager
def without_token() -> Iterator[None]:
    """Have KEDA show a token that is none."""
    kubectl("apply", "-f", "-", stdin=json.dumps(_secret("none")))
    try:
        yield
    finally:
        kubectl("apply", "-f", "-", stdin=json.dumps(_secret(_token())))


def _token() -> str:
    return kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--audience=tidegate", "--duration=8h").strip()


def _secret(token: str) -> dict[str, object]:
    metadata = {"name": "tidegate-token", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}


def _access() -> dict[str, object]:
    """Return what lets KEDA ask the manager: a token of its account, which is a viewer."""
    authentication = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ClusterTriggerAuthentication",
        "metadata": {"name": "tidegate"},
        "spec": {"secretTargetRef": [{"parameter": "token", "name": "tidegate-token", "key": "token"}]},
    }
    grant = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": {"name": "keda"},
        "spec": {"role": "viewer", "users": [f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"]},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [_secret(_token()), authentication, grant]}
