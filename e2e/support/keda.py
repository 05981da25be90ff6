"""KEDA, installed from the manifests of its own release: operator, metrics adapter and kinds, without its webhook."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster import build, needs
from e2e.cluster.neighbours import KEDA_ADAPTER, KEDA_OPERATOR
from e2e.support.site import bounded, kubectl
from istio_templates.facts import Manifest
from k8s_manager.autoscaling.api_service import API_SERVICE

NAMESPACE, ACCOUNT, READER = "keda", "keda-operator", "tidegate-reader"
AUDIENCES = "KEDA_SERVICE_ACCOUNT_TOKEN_AUDIENCES"
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
        kubectl("delete", "--ignore-not-found", f"accessgrant/{ACCOUNT}")
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
def without_grant() -> Iterator[None]:
    """Have KEDA's account read nothing. Another token in its Secret would not do: KEDA has the one that it began with
    until that is refused."""
    kubectl("delete", f"accessgrant/{ACCOUNT}")
    try:
        yield
    finally:
        kubectl("apply", "-f", "-", stdin=json.dumps(_grant(ACCOUNT)))


@contextmanager
def with_token_of_its_own() -> Iterator[None]:
    """Have KEDA ask Kubernetes for the token of an account, and have no Secret with one."""
    audience = [{"audience": "tidegate", "namespace": NAMESPACE, "serviceAccountName": READER}]
    bound = [{"parameter": "token", "serviceAccountName": READER}]
    kubectl("apply", "-f", "-", stdin=json.dumps(_list(*_reader(), _authentication(boundServiceAccountToken=bound))))
    kubectl("-n", NAMESPACE, "delete", "secret", "tidegate-token")
    _set_env(f"{AUDIENCES}={json.dumps(audience)}")
    try:
        yield
    finally:
        kubectl("apply", "-f", "-", stdin=json.dumps(_access()))
        kubectl("delete", "-f", "-", stdin=json.dumps(_list(*_reader())))
        _set_env(f"{AUDIENCES}-")


def _set_env(change: str) -> None:
    kubectl("-n", NAMESPACE, "set", "env", "deployment/keda-operator", change)
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/keda-operator", bounded())


def _reader() -> list[Manifest]:
    """Return an account that reads the manager, and KEDA's right to have tokens of it."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER}
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [READER], "verbs": ["create"]}
    metadata = {"name": READER, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": [rule]},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [account]},
        _grant(READER),
    ]


def _token() -> str:
    return kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--audience=tidegate", "--duration=8h").strip()


def _secret(token: str) -> Manifest:
    metadata = {"name": "tidegate-token", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}


def _access() -> Manifest:
    """Return what lets KEDA ask the manager: a token of its account, which is a viewer."""
    given = [{"parameter": "token", "name": "tidegate-token", "key": "token"}]
    return _list(_secret(_token()), _authentication(secretTargetRef=given), _grant(ACCOUNT))


def _authentication(**spec: object) -> Manifest:
    head = {"apiVersion": "keda.sh/v1alpha1", "kind": "ClusterTriggerAuthentication", "metadata": {"name": "tidegate"}}
    return {**head, "spec": spec}


def _grant(account: str) -> Manifest:
    spec = {"role": "viewer", "users": [f"system:serviceaccount:{NAMESPACE}:{account}"]}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": account}, "spec": spec}


def _list(*items: Manifest) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": [*items]}
