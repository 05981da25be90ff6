"""Whether Envoy can read a set of public keys.

Envoy rejects the whole configuration of an access slot, with those of all its tenants, for one issuer without a key
that it can read. Documents are checked before they come here; this keeps one that was not from its neighbours.
"""

import base64
import binascii
import json
from typing import Any

_SIZES = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}
_SMALLEST_RSA = 2048 // 8


def has_usable_key(jwks: str) -> bool:
    """Tell whether the text of a JWKS has a key of a kind and size that Envoy takes."""
    try:
        keys = json.loads(jwks)["keys"]
        return any(_is_usable(key) for key in keys if isinstance(key, dict))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_usable(key: dict[str, Any]) -> bool:
    curve = key.get("crv")
    if key.get("kty") == "RSA":
        return _size(key.get("n")) >= _SMALLEST_RSA and _size(key.get("e")) > 0
    if key.get("kty") == "EC":
        return curve in ("P-256", "P-384", "P-521") and _size(key.get("x")) == _size(key.get("y")) == _SIZES[curve]
    return key.get("kty") == "OKP" and curve == "Ed25519" and _size(key.get("x")) == _SIZES[curve]


def _size(text: object) -> int:
    """Return how many bytes a number has that is written in base64; 0 where it is none."""
    if not isinstance(text, str):
        return 0
    try:
        return len(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return 0
