"""Who asks: the API server proves itself by its client certificate, and names the caller in headers.

What may prove it is in the ConfigMap `kube-system/extension-apiserver-authentication`, which the API server keeps.
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID

from istio_templates.errors import Stalled
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.external_metrics.tls_material import is_issued_by

log = logging.getLogger(__name__)
CONFIG = ObjectKey("ConfigMap", "kube-system", "extension-apiserver-authentication")
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class RequestHeaderTrust:
    """Which client certificates prove the API server: issued by one of the `authorities` (PEM), with one of the
    `names` (none: any). `users`, `uids`, `groups` and `extras` are the headers with the caller, in small letters."""

    authorities: str
    names: frozenset[str] = frozenset()
    users: tuple[str, ...] = ("x-remote-user",)
    uids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("x-remote-group",)
    extras: tuple[str, ...] = ("x-remote-extra-",)

    def accepts_name(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate, whose issuer is proved, has an accepted name."""
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return not self.names or any(str(name.value) in self.names for name in found)

    def has_issued(self, certificate: x509.Certificate, now: datetime) -> bool:
        """Tell whether one of the authorities has issued a certificate that is valid now: for connections that were
        made when the authorities were others."""
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return False
        return any(
            is_issued_by(certificate, each) for each in x509.load_pem_x509_certificates(self.authorities.encode())
        )


@dataclass(frozen=True, slots=True)
class ProxiedCaller:
    """The caller that the API server names; `extra` by key, as SubjectAccessReviews have it."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


def trust_of(config: Manifest) -> RequestHeaderTrust:
    """Return the trust in the ConfigMap; raises `Stalled` where the API server names no authority."""
    data = config.get("data") or {}
    authorities = data.get("requestheader-client-ca-file", "")
    try:
        readable = bool(authorities and x509.load_pem_x509_certificates(authorities.encode()))
    except ValueError:
        readable = False
    if not readable:
        raise Stalled(
            f"{CONFIG} has no requestheader-client-ca-file; start the API server with its request-header flags "
            "(--requestheader-client-ca-file), or use writer tidegate"
        )
    listed = {name: _listed(data.get(f"requestheader-{name}", "")) for name in _LISTS}
    return RequestHeaderTrust(
        authorities,
        frozenset(_texts(data.get("requestheader-allowed-names", ""))),
        listed["username-headers"],
        listed["uid-headers"],
        listed["group-headers"],
        listed["extra-headers-prefix"],
    )


def caller_in(trust: RequestHeaderTrust, headers: Headers) -> ProxiedCaller | None:
    """Return the caller that headers name; None where they name none."""
    found = [(name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers]
    user = _first(found, trust.users)
    if not user:
        return None
    groups = tuple(value for wanted in trust.groups for name, value in found if name == wanted and value)
    return ProxiedCaller(user, groups, _first(found, trust.uids), _extras(found, trust.extras))


_LISTS = ("username-headers", "uid-headers", "group-headers", "extra-headers-prefix")


def _first(headers: list[tuple[str, str]], wanted: tuple[str, ...]) -> str:
    return next((value for name in wanted for found, value in headers if found == name and value), "")


def _extras(headers: list[tuple[str, str]], prefixes: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    extra: dict[str, tuple[str, ...]] = {}
    for prefix in prefixes:
        for name, value in headers:
            if name.startswith(prefix) and len(name) > len(prefix):
                key = unquote(name[len(prefix) :])
                extra[key] = (*extra.get(key, ()), value)
    return tuple(sorted(extra.items()))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _texts(text))


def _texts(text: str) -> list[str]:
    """Return the strings of a JSON list."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        log.warning("%s has a value that is no list and is left out: %.100s", CONFIG, text)
        return []
    return [name for name in found if isinstance(name, str) and name] if isinstance(found, list) else []
