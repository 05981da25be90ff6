"""Certificates and kubeconfigs: one authority, one certificate for each component, all verified; and a second authority
for the API server's way to the APIs behind it."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from e2e.cluster.network import NODE

SERVER = f"https://{NODE}:6443"
_SERVED_AS = (NODE, "127.0.0.1", "10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
              "kubernetes.default.svc.cluster.local", "localhost")  # fmt: skip
CLIENTS = {
    "admin": ("tidegate-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kubelet": ("system:node:node0", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", None),
    "apiserver-to-kubelet": ("kube-apiserver-to-kubelet", "system:masters"),
}
"""Who each client is to the API server: common name and group."""
FRONT_PROXY = "front-proxy-client"
"""Who the API server is to the APIs behind it."""


@dataclass(frozen=True, slots=True)
class Pki:
    """The folder with everything in it."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.crt"

    @property
    def front_proxy_ca(self) -> Path:
        """The certificate of the authority that proves the API server to the APIs behind it."""
        return self.folder / "front-proxy-ca.crt"

    def certificate(self, name: str) -> Path:
        """The certificate of a component."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key of a component."""
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of a client."""
        return self.folder / f"{name}.kubeconfig"


def make(folder: Path) -> Pki:
    """Write the authority, every certificate, the key of the service accounts, and a kubeconfig for each client."""
    pki = Pki(folder)
    folder.mkdir(parents=True, mode=0o700)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(pki.ca))
    for name in ("apiserver", "kubelet-server"):
        _write(pki, name, authority.issue_cert(*_SERVED_AS, "node0"))
    for name, (user, group) in CLIENTS.items():
        _write(pki, name, authority.issue_cert(f"{name}.internal", common_name=user, organization_name=group))
        pki.kubeconfig(name).write_text(kubeconfig(pki, name))
    front_proxy = trustme.CA()
    front_proxy.cert_pem.write_to_path(str(pki.front_proxy_ca))
    _write(pki, FRONT_PROXY, front_proxy.issue_cert("apiserver.internal", common_name=FRONT_PROXY))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pki.key("service-accounts").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return pki


def _write(pki: Pki, name: str, leaf: trustme.LeafCert) -> None:
    leaf.private_key_pem.write_to_path(str(pki.key(name)))
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(str(pki.certificate(name)), append=number > 0)


def kubeconfig(pki: Pki, name: str) -> str:
    """Return the kubeconfig of a client."""
    return f"""apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: tidegate-e2e
  cluster: {{server: "{SERVER}", certificate-authority: "{pki.ca}"}}
contexts:
- name: {name}
  context: {{cluster: tidegate-e2e, user: {name}}}
users:
- name: {name}
  user: {{client-certificate: "{pki.certificate(name)}", client-key: "{pki.key(name)}"}}
"""
