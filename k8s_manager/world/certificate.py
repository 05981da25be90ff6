"""Certificates that gateways serve: until when, and for which hosts. Pure.

CertificatesValid    Valid | Absent | Unreadable | Expired | WrongHost | Expiring
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.world.condition import Condition

AHEAD = timedelta(days=14)
"""How long before its end a certificate is told: what renews them on its own has done so by then."""
KEYS = ("tls.crt", "cert")
"""Where Istio looks for a certificate in a Secret, with its chain."""
Place = tuple[str, str]  # namespace and name of a Secret
Uses = Mapping[Place, tuple[str, ...]]  # the hosts for which each is served


@dataclass(frozen=True, slots=True)
class Certificate:
    """The end of a certificate's time, and the hosts it is for."""

    until: datetime
    hosts: tuple[str, ...]


def read(secret: Manifest) -> Certificate | None:
    """Return the certificate in a Secret; None where there is none that can be read."""
    data = secret.get("data") or {}
    text = next((data[key] for key in KEYS if key in data), "")
    try:
        first = x509.load_pem_x509_certificates(base64.b64decode(text))[0]
        return Certificate(first.not_valid_after_utc, _hosts(first))
    except Exception:  # whatever somebody has put there: the parser's errors have no base of their own
        return None


def told(uses: Uses, found: Mapping[Place, Certificate | None], now: datetime) -> Condition | None:
    """Return what is told of the certificates that a document uses; None where it uses none."""
    if not uses:
        return None
    trouble = sorted(_trouble(uses, found, now))
    if trouble:
        return Condition("CertificatesValid", False, trouble[0][1], "; ".join(said for _, _, said in trouble))
    ends = min(certificate.until for place in uses if (certificate := found[place]))
    return Condition("CertificatesValid", True, "Valid", f"all of them, until {ends:%Y-%m-%d %H:%M} UTC at least")


def due(uses: Mapping[ObjectKey, Uses], found: Mapping[Place, Certificate | None], now: datetime) -> float | None:
    """Return in how many seconds there is something else to tell."""
    used = {certificate for of_one in uses.values() for place in of_one if (certificate := found.get(place))}
    running = [certificate for certificate in used if certificate.until > now]
    turns = [turn for certificate in running for turn in (certificate.until - AHEAD, certificate.until)]
    return min(((turn - now).total_seconds() for turn in turns if turn > now), default=None)


def _trouble(uses: Uses, found: Mapping[Place, Certificate | None], now: datetime) -> Iterator[tuple[int, str, str]]:
    """Yield how bad it is (0: worst), the reason and a sentence, of each certificate that is not as it should be."""
    for place, hosts in uses.items():
        secret, certificate = f"Secret {'/'.join(place)}", found.get(place)
        if place not in found:
            yield 0, "Absent", f"there is no {secret}; put the certificate of {', '.join(hosts)} there"
        elif certificate is None:
            yield 1, "Unreadable", f"{secret} holds no certificate that can be read under {' or '.join(KEYS)}; renew it"
        elif certificate.until <= now:
            yield 2, "Expired", f"{secret} ended at {certificate.until:%Y-%m-%d %H:%M} UTC; renew it"
        else:
            if wrong := [host for host in hosts if not any(_covers(name, host) for name in certificate.hosts)]:
                yield 3, "WrongHost", f"{secret} is not for {', '.join(wrong)} but for {', '.join(certificate.hosts)}"
            if certificate.until <= now + AHEAD:
                yield 4, "Expiring", f"{secret} ends at {certificate.until:%Y-%m-%d %H:%M} UTC; renew it"


def _covers(name: str, host: str) -> bool:
    return name == host or (name.startswith("*.") and names.under(host, name[2:]))


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(found, x509.SubjectAlternativeName)
    return tuple(name.lower() for name in found.get_values_for_type(x509.DNSName))
