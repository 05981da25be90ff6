"""Certificates of scenarios: Secrets beside gateway pods, and clients that trust their authority."""

import base64
import json
import ssl

import trustme

from e2e.support.site import kubectl


def put_certificate(authority: trustme.CA, namespace: str, name: str, *hosts: str) -> None:
    """Write a certificate for hosts into a Secret."""
    issued = authority.issue_cert(*hosts)
    data = {
        "tls.crt": b"".join(pem.bytes() for pem in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes(),
    }
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": encoded}
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))


def put_namespace(gateway: str, name: str) -> None:
    """Make the namespace of a gateway before the gateway, for its certificates."""
    metadata = {"name": name, "labels": {"tidegate.dev/gateway": gateway}}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client needs to trust an authority alone."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
