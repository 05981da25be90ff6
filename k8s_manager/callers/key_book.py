"""Keys by which tokens of callers are signed, as one Secret holds them for all tenants. Pure, but for making a key.

The Secret has two entries: `private`, all that is known of each key, and `public`, what verifies. They are written
together. Readers of the World get the public one alone (`k8s_manager/gather/caller_key_reader.py`).
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from istio_templates.documents.callers.token_lifetime import LONGEST
from istio_templates.documents.override import moment
from istio_templates.errors import Conflict, Problem, Stalled
from istio_templates.facts import Manifest
from k8s_manager.world.installation import CALLER_KEYS, LABELS, PRIVATE_KEYS, PUBLIC_KEYS

MOST_KEYS = 20
"""Of one tenant: what gateways are given at most."""
SKEW = timedelta(minutes=1)
"""By how much clocks of gateways may be behind."""


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key pair of the curve P-256, its numbers in base64url. `until` (RFC 3339) is when the last token that it has
    signed is over; empty for the key that signs."""

    id: str
    d: str
    x: str
    y: str
    until: str = ""

    @property
    def public(self) -> dict[str, str]:
        """The public key as a JWK."""
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": self.x, "y": self.y}

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        """The private key."""
        numbers = ec.EllipticCurvePublicNumbers(_number(self.x), _number(self.y), ec.SECP256R1())
        return ec.EllipticCurvePrivateNumbers(_number(self.d), numbers).private_key()

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


KeyBook = Mapping[str, tuple[SigningKey, ...]]
"""The keys of each tenant, the one that signs first."""
MakeKey = Callable[[], ec.EllipticCurvePrivateKey]


def generated() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def signing_key_of(private: ec.EllipticCurvePrivateKey) -> SigningKey:
    """Return a key that signs from now on; its id is the beginning of its thumbprint (RFC 7638)."""
    numbers = private.private_numbers()
    x, y = _text(numbers.public_numbers.x), _text(numbers.public_numbers.y)
    thumbprint = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
    name = base64.urlsafe_b64encode(sha256(thumbprint.encode()).digest()).decode()[:16]
    return SigningKey(name, _text(numbers.private_value), x, y)


def with_key(book: KeyBook, tenant: str, make: MakeKey) -> KeyBook:
    """Return the keys with one that signs for a tenant; the same where there is one."""
    keys = book.get(tenant, ())
    return book if any(not key.until for key in keys) else {**book, tenant: (signing_key_of(make()), *keys)}


def rotated(book: KeyBook, tenant: str, now: datetime, at_once: bool, make: MakeKey) -> KeyBook:
    """Return the keys with a new one that signs for a tenant. Tokens of those before stay good until they expire;
    `at_once`: they are good no more. Raises `Conflict` where too many keys are good."""
    until = (now + LONGEST + SKEW).isoformat(timespec="seconds")
    before = [] if at_once else [replace(key, until=key.until or until) for key in book.get(tenant, ())]
    good = [key for key in before if moment(key.until) > now]
    if len(good) >= MOST_KEYS:
        said = f"has {len(good)} keys whose tokens are still good; rotate with now to end them all, or wait"
        raise Conflict(f"Tenant {tenant}", [Problem("", said)])
    return {**book, tenant: (signing_key_of(make()), *good)}


def without_ended(book: KeyBook, tenants: frozenset[str], now: datetime) -> KeyBook:
    """Return the keys without those of which no token can be good, and without those of tenants that are gone."""
    left = {
        tenant: tuple(key for key in keys if not key.until or moment(key.until) > now)
        for tenant, keys in book.items()
        if tenant in tenants
    }
    return {tenant: keys for tenant, keys in left.items() if keys}


def book_in(secret: Manifest | None) -> KeyBook:
    """Return the keys in the Secret; raises `Stalled` where they cannot be read: new ones would end every token."""
    if secret is None:
        return {}
    try:
        text = base64.b64decode((secret.get("data") or {})[PRIVATE_KEYS], validate=True)
        found: dict[str, list[dict[str, Any]]] = json.loads(text)
        book = {tenant: tuple(SigningKey(**key) for key in keys) for tenant, keys in found.items()}
        for keys in book.values():
            for key in keys:
                _require_whole(key)
        return book
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Stalled(
            f"{CALLER_KEYS} cannot be read; restore it, or delete it: the manager then makes new keys, and every token "
            "issued so far is good no more"
        ) from None  # what was read must not get into a log


def secret_of(book: KeyBook, live: Manifest | None) -> Manifest:
    """Return the Secret that holds keys, in place of the `live` one."""
    private = {tenant: [asdict(key) for key in keys] for tenant, keys in book.items()}
    public = {tenant: [{"key": key.public, "until": key.until} for key in keys] for tenant, keys in book.items()}
    data = {PRIVATE_KEYS: _encoded(private), PUBLIC_KEYS: _encoded(public)}
    metadata = {"name": CALLER_KEYS.name, "namespace": CALLER_KEYS.namespace, "labels": LABELS}
    if live is not None:
        metadata = {**live["metadata"], **metadata}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def _require_whole(key: SigningKey) -> None:
    """Make sure that the parts of a key belong together; raises `ValueError` or `TypeError`."""
    if key.until:
        moment(key.until)
    if signing_key_of(key.private).id != key.id:
        raise ValueError("the id is not that of the key")


def _encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).decode()


def _text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32)).decode().rstrip("=")


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
