"""Istio, and the cluster's DNS that its gateways ask for it."""

from pathlib import Path

from e2e.cluster.network import DNS
from e2e.cluster.node import Node
from e2e.cluster.run import run
from e2e.cluster.versions import COREDNS, HUB, ISTIO

_MANIFESTS = Path(__file__).parent / "manifests"


def install(node: Node) -> None:
    """Install DNS and Istio, and return when istiod answers."""
    dns = (_MANIFESTS / "coredns.yaml").read_text().replace("IMAGE", f"{HUB}/coredns:{COREDNS}").replace("DNS_IP", DNS)
    node.kubectl("apply", "--server-side", "-f", "-", stdin=dns)
    operator = node.place.state / "istio.yaml"
    operator.write_text((_MANIFESTS / "istio.yaml").read_text().replace("HUB", HUB).replace("TAG", ISTIO))
    rendered = run(node.program("istioctl"), "manifest", "generate", "-f", operator)
    node.kubectl("create", "namespace", "istio-system")
    crds, rest = _crds_first(rendered)
    node.kubectl("apply", "--server-side", "-f", "-", stdin=crds)
    node.kubectl("apply", "--server-side", "-f", "-", stdin=rest)
    node.kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", "--timeout=120s")
    node.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")


def _crds_first(rendered: str) -> tuple[str, str]:
    documents = rendered.split("\n---\n")
    crds = [text for text in documents if "kind: CustomResourceDefinition" in text]
    return "\n---\n".join(crds), "\n---\n".join(text for text in documents if text not in crds)
