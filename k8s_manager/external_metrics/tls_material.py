"""The manager's own authority and the certificate that it serves external metrics with, and when each is renewed.

An authority is replaced in three steps, so that the API server trusts whatever is served at any moment: the new one is
added to the bundle; when the APIService has that bundle, the certificate is issued by the new one; when every manager
has served that for a while, the old one is taken out.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from istio_templates.facts import Manifest, ObjectKey

AUTHORITY_VALID, AUTHORITY_LEFT = timedelta(days=3 * 365), timedelta(days=180)
"""How long an authority is valid, and how long before its end there is a new one."""
VALID, LEFT = timedelta(days=90), timedelta(days=30)
"""The same of the certificate."""
SKEW = timedelta(hours=1)
"""By how much clocks may differ: a certificate is valid from so long before it was made."""
OVERLAP = timedelta(hours=1)
"""How long a certificate is served by the new authority before the old one is taken out of the bundle."""
_FILES = {"bundle": "ca.crt", "authority_key": "ca.key", "certificate": "tls.crt", "key": "tls.key"}


@dataclass(frozen=True, slots=True)
class ServingMaterial:
    """PEM texts: the authorities, the newest first, with its key, and the certificate that is served, with its own."""

    bundle: str
    authority_key: str
    certificate: str
    key: str

    @property
    def authorities(self) -> list[x509.Certificate]:
        """The authorities, the newest first."""
        return x509.load_pem_x509_certificates(self.bundle.encode())

    @property
    def served(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.certificate.encode())


def renewed(found: ServingMaterial | None, host: str, published: str, now: datetime) -> ServingMaterial:
    """Return what should be served to a host name, the same where nothing is to change; `published` are the authorities
    (PEM) by which the API server checks now."""
    if found is None or _is_broken(found):
        return _issued(_with_authority(None, now), host, now)
    newest, served = found.authorities[0], found.served
    if newest.not_valid_after_utc - AUTHORITY_LEFT <= now:
        return _with_authority(found, now)
    by_newest = is_issued_by(served, newest)
    is_due = served.not_valid_after_utc - LEFT <= now or host not in _hosts(served)
    if is_due or (not by_newest and _pem(newest) in published):
        return _issued(found, host, now)
    if by_newest and len(found.authorities) > 1 and served.not_valid_before_utc + SKEW + OVERLAP <= now:
        return replace(found, bundle=_pem(newest))
    return found


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Tell whether an authority has issued a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def material_in(secret: Manifest) -> ServingMaterial | None:
    """Return what a Secret holds; None where a part is missing or cannot be read."""
    data = secret.get("data") or {}
    try:
        texts = {name: base64.b64decode(data[file], validate=True).decode() for name, file in _FILES.items()}
        found = ServingMaterial(**texts)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    return None if _is_broken(found) else found


def secret_of(material: ServingMaterial, key: ObjectKey, labels: dict[str, str]) -> Manifest:
    """Return the Secret that holds it."""
    data = {file: base64.b64encode(getattr(material, name).encode()).decode() for name, file in _FILES.items()}
    metadata = {"name": key.name, "namespace": key.namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}


def _is_broken(material: ServingMaterial) -> bool:
    """Tell whether a part cannot be read, or does not belong to the others."""
    try:
        pairs = [(material.authorities[0], material.authority_key), (material.served, material.key)]
        return any(
            certificate.public_key() != serialization.load_pem_private_key(text.encode(), None).public_key()
            for certificate, text in pairs
        )
    except (ValueError, TypeError, IndexError):
        return True


def _with_authority(found: ServingMaterial | None, now: datetime) -> ServingMaterial:
    """Return material with a new authority in front; of the older ones those that are still valid stay."""
    private = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    name = _name(f"tidegate external metrics {now:%Y-%m-%d}")
    made = (
        _builder(name, name, private.public_key(), now, AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    older = [_pem(each) for each in found.authorities if each.not_valid_after_utc > now] if found else []
    bundle, key = "".join([_pem(made), *older]), _key_text(private)
    return replace(found, bundle=bundle, authority_key=key) if found else ServingMaterial(bundle, key, "", "")


def _issued(found: ServingMaterial, host: str, now: datetime) -> ServingMaterial:
    """Return material with a new certificate by the newest authority."""
    authority = found.authorities[0]
    signing = serialization.load_pem_private_key(found.authority_key.encode(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    private = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name("tidegate"), authority.subject, private.public_key(), now, VALID)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(signing, hashes.SHA256())
    )
    return replace(found, certificate=_pem(made), key=_key_text(private))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    number = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, public, number, now - SKEW, now + valid)


def _hosts(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_text(private: ec.EllipticCurvePrivateKey) -> str:
    form, nothing = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, form, nothing).decode()
