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
"""How long before its end a certificate is reported: tools that renew certificates have done so earlier."""
KEYS = ("tls.crt", "cert")
"""Where Istio looks for a certificate in a Secret, with its chain."""
Place = tuple[str, str]  # namespace and name of a Secret
Uses = Mapping[Place, tuple[str, ...]]  # the hosts for which each is served


@dataclass(frozen=True, slots=True)
class Certificate:
    """The end of a certificate's time, the hosts it is for, and where its time begins."""

    until: datetime
    hosts: tuple[str, ...]
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """A Secret from which a gateway serves `hosts`: what is in it (None: nothing that can be read), and how that is, in
    the words of the condition."""

    place: Place
    hosts: tuple[str, ...]
    certificate: Certificate | None
    state: str
    message: str


def read(secret: Manifest) -> Certificate | None:
    """Return the certificate in a Secret; None where there is none that can be read."""
    data = secret.get("data") or {}
    text = next((data[key] for key in KEYS if key in data), "")
    try:
        first = x509.load_pem_x509_certificates(base64.b64decode(text))[0]
        return Certificate(first.not_valid_after_utc, _hosts(first), first.not_valid_before_utc)
    except Exception:  # a Secret can hold anything, and the parser's errors have no base class
        return None


def validity(uses: Uses, found: Mapping[Place, Certificate | None], now: datetime) -> Condition | None:
    """Return the condition CertificatesValid of a document that uses certificates; None where it uses none."""
    if not uses:
        return None
    trouble = sorted(_trouble(uses, found, now))
    if trouble:
        return Condition("CertificatesValid", False, trouble[0][1], "; ".join(message for _, _, message in trouble))
    ends = min(certificate.until for place in uses if (certificate := found[place]))
    return Condition(
        "CertificatesValid", True, "Valid", f"all certificates are valid until {ends:%Y-%m-%d %H:%M} UTC at least"
    )


def served(
    place: Place, hosts: tuple[str, ...], found: Mapping[Place, Certificate | None], now: datetime
) -> ServedCertificate:
    """Return how a certificate is that a gateway serves for some hosts."""
    trouble = sorted(_trouble({place: hosts}, found, now))
    _, state, message = trouble[0] if trouble else (0, "Valid", "")
    return ServedCertificate(place, hosts, found.get(place), state, message)


def due(uses: Mapping[ObjectKey, Uses], found: Mapping[Place, Certificate | None], now: datetime) -> float | None:
    """Return in how many seconds the condition of some document changes."""
    used = {certificate for of_one in uses.values() for place in of_one if (certificate := found.get(place))}
    running = [certificate for certificate in used if certificate.until > now]
    turns = [turn for certificate in running for turn in (certificate.until - AHEAD, certificate.until)]
    return min(((turn - now).total_seconds() for turn in turns if turn > now), default=None)


def _trouble(uses: Uses, found: Mapping[Place, Certificate | None], now: datetime) -> Iterator[tuple[int, str, str]]:
    """Yield (rank, reason, message) of each certificate that is wrong; rank 0 is the worst."""
    for place, hosts in uses.items():
        secret, certificate = f"Secret {'/'.join(place)}", found.get(place)
        if place not in found:
            yield 0, "Absent", f"{secret} does not exist; create it with a certificate for {', '.join(hosts)}"
        elif certificate is None:
            yield 1, "Unreadable", f"{secret} has no readable certificate under {' or '.join(KEYS)}; renew it"
        elif certificate.until <= now:
            yield (
                2,
                "Expired",
                f"the certificate in {secret} expired at {certificate.until:%Y-%m-%d %H:%M} UTC; renew it",
            )
        else:
            if wrong := [host for host in hosts if not any(_covers(name, host) for name in certificate.hosts)]:
                valid_for = ", ".join(certificate.hosts) or "no host"
                message = f"the certificate in {secret} is for {valid_for}; issue one for {', '.join(wrong)}"
                yield 3, "WrongHost", message
            if certificate.until <= now + AHEAD:
                yield (
                    4,
                    "Expiring",
                    f"the certificate in {secret} expires at {certificate.until:%Y-%m-%d %H:%M} UTC; renew it",
                )


def _covers(name: str, host: str) -> bool:
    return name == host or (name.startswith("*.") and names.under(host, name[2:]))


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(found, x509.SubjectAlternativeName)
    return tuple(name.lower() for name in found.get_values_for_type(x509.DNSName))
