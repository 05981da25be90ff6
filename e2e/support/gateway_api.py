"""The Gateway API in the cluster."""

from e2e.cluster import build, needs
from e2e.support.site import bounded, kubectl

GROUP = "gateway.networking.k8s.io"


def install_gateway_api() -> None:
    """Install the Gateway API that this Istio is built with; it stays, since istiod does not expect it to go."""
    folder = build.module_folder(needs.require(), "istio", "sigs.k8s.io/gateway-api") / "config/crd/standard"
    for plural in ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"):
        kubectl("apply", "--server-side", "-f", str(folder / f"{GROUP}_{plural}.yaml"))
    for plural in ("gateways", "httproutes"):
        kubectl("wait", "--for=condition=Established", f"crd/{plural}.{GROUP}", bounded())
