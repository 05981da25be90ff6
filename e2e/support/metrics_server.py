"""metrics-server, installed from the manifests of its own release: the source of `metrics.k8s.io`."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster import build, needs
from e2e.cluster.recipes import METRICS
from e2e.support.site import bounded, kubectl

API = "v1beta1.metrics.k8s.io"
_PUBLISHED = "gcr.io/k8s-staging-metrics-server/metrics-server:master"
_PORT = "- --kubelet-use-node-status-port"
_AUTHORITY = "- --kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


@contextmanager
def with_metrics_server() -> Iterator[None]:
    """Have metrics-server in the cluster, serving through the API server; take both away afterwards."""
    manifests = _manifests()
    kubectl("apply", "--server-side", "-f", "-", stdin=manifests)
    kubectl("-n", "kube-system", "rollout", "status", "deployment/metrics-server", bounded())
    kubectl("wait", "--for=condition=Available", f"apiservice/{API}", bounded())
    try:
        yield
    finally:
        # First of all: while an API is not served, no namespace goes.
        kubectl("delete", "apiservice", API)
        kubectl("delete", "--ignore-not-found", "-f", "-", bounded(), stdin=manifests)


def _manifests() -> str:
    """Return the manifests of the release with the image that was built here; kubelets prove themselves by the
    cluster's authority, which the ones that most clusters have cannot."""
    folder = build.module_folder(needs.require(), "metrics-server", "sigs.k8s.io/metrics-server") / "manifests/base"
    rendered = kubectl("kustomize", str(folder))
    assert _PUBLISHED in rendered and _PORT in rendered, rendered
    return rendered.replace(_PUBLISHED, METRICS).replace(_PORT, f"{_PORT}\n        {_AUTHORITY}")
