"""Certificate of the embedded API for this machine: kubectl sends no token over plain HTTP."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID, LEFT = timedelta(days=3650), timedelta(days=30)


def kept_certificate(certificate: Path, key: Path, now: datetime) -> bytes:
    """Return the PEM text of a certificate for 127.0.0.1 that signs itself: the one in a file, beside its key, or where
    there is none or its end is near a new one."""
    if certificate.exists() and key.exists():
        found = certificate.read_bytes()
        if x509.load_pem_x509_certificate(found).not_valid_after_utc - LEFT > now:
            return found
    made, private = _made(now)
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(private)
    certificate.write_bytes(made)
    return made


def _made(now: datetime) -> tuple[bytes, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate standalone")])
    public = private.public_key()
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")), x509.DNSName("localhost")])
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    found = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now.astimezone(UTC) + VALID)
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return found.public_bytes(serialization.Encoding.PEM), text
