"""Secrets with certificates that end when a test wants them to."""

import base64
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def secret(until: datetime, *hosts: str, name: str = "search", namespace: str = "gw", key: str = "tls.crt") -> dict:
    """Return a Secret whose certificate ends at a moment, and is for hosts."""
    private, subject = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]),
    )
    made = x509.CertificateBuilder(subject, subject, private.public_key(), 1, until - timedelta(days=90), until)
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    pem = made.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    data = {key: base64.b64encode(pem).decode(), "tls.key": "c2VjcmV0"}
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}
