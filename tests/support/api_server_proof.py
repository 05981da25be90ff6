"""How an API server proves itself to those who serve an API behind it, and what it says of callers' rights."""

import ssl
from pathlib import Path
from typing import Any

import trustme

from istio_templates.facts import Manifest
from k8s_manager.external_metrics.request_header import CONFIG
from k8s_manager.kube.client import KubeClient

CONTROLLER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
NAME = "front-proxy-client"


class ReviewingClient(KubeClient):
    """A client of an API server that answers access reviews: `allowed` users may read every metric."""

    def __init__(self, server: str, session: Any) -> None:
        super().__init__(server, session)
        self.allowed = {CONTROLLER}
        self.reviews: list[Manifest] = []
        self.is_silent = False

    async def create(self, obj: Manifest) -> Manifest:
        """Create an object, or answer a review."""
        if obj["kind"] != "SubjectAccessReview":
            return await super().create(obj)
        self.reviews.append(obj["spec"])
        if self.is_silent:
            return await self.call("GET", "/nowhere", "create SubjectAccessReview")
        return {**obj, "status": {"allowed": obj["spec"]["user"] in self.allowed, "reason": "by the test"}}


def bundle(*authorities: trustme.CA) -> str:
    """Return the certificates of authorities."""
    return "".join(each.cert_pem.bytes().decode() for each in authorities)


def configuration(*authorities: trustme.CA, **data: str) -> Manifest:
    """Return the ConfigMap in which an API server says how it proves itself."""
    given = {
        "requestheader-client-ca-file": bundle(*authorities),
        "requestheader-allowed-names": f'["{NAME}"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        **{name.replace("_", "-"): value for name, value in data.items()},
    }
    metadata = {"name": CONFIG.name, "namespace": CONFIG.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": given}


def client_context(trusted: str, authority: trustme.CA | None, folder: Path, name: str = NAME) -> ssl.SSLContext:
    """Return the TLS context of one that checks the server by `trusted` (PEM), with a certificate of its own."""
    context = ssl.create_default_context(cadata=trusted)
    if authority is not None:
        made = authority.issue_cert("kube-apiserver", common_name=name)
        with made.private_key_and_cert_chain_pem.tempfile(dir=str(folder)) as path:
            context.load_cert_chain(path)
    return context
