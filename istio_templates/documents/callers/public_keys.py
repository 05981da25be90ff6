"""Public keys of an issuer of tokens, as a JWKS (RFC 7517): what is taken, and what is refused with its remedy."""

import json
from base64 import b64decode
from binascii import Error
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from istio_templates.documents.fields import brief

MOST_KEYS = 20
MOST_BYTES = 64 * 1024
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: dict[str, tuple[str, ec.EllipticCurve]] = {
    "P-256": ("ES256", ec.SECP256R1()),
    "P-384": ("ES384", ec.SECP384R1()),
    "P-521": ("ES512", ec.SECP521R1()),
}
ALGORITHMS = (*(name for name, _ in _CURVES.values()), "EdDSA", *_RSA)
"""Algorithms by which a gateway verifies tokens."""
_PARTS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_KEPT = ("kty", "kid", "alg", "use")
_GET_IT = "give the JWKS that the issuer publishes (its jwks_uri)"


def key_set(value: Any) -> str:
    """Return the keys of a JWKS that verify signatures, as the one text of it that gateways get.

    The JWKS is a text or a mapping. What is for encryption is left out, and so are certificates. Raises `ValueError`
    with a remedy for what is no JWKS, is huge, has secret, weak or broken keys, one key id twice, or no usable key.
    """
    found = _parsed(value)
    keys = found.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError(f"has no list of keys; {_GET_IT}")
    if len(keys) > MOST_KEYS:
        raise ValueError(f"has {len(keys)} keys; at most {MOST_KEYS} are taken, leave out those that sign no tokens")
    for number, key in enumerate(keys):
        _require_public(f"key {number + 1}", key)
    usable = [_checked(f"key {number + 1}", key) for number, key in enumerate(keys) if _verifies(key)]
    ids = [key["kid"] for key in usable if "kid" in key]
    if repeated := next((kid for number, kid in enumerate(ids) if kid in ids[:number]), None):
        raise ValueError(f"has two keys with the id {brief(repeated)}; keep the one that signs")
    if not usable:
        raise ValueError(f"has no key that verifies signatures; {_GET_IT}")
    return json.dumps({"keys": usable}, sort_keys=True, separators=(",", ":"))


def _parsed(value: Any) -> dict[str, Any]:
    """Return the mapping of a JWKS."""
    try:
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text.encode()) > MOST_BYTES:
            raise ValueError(f"is longer than {MOST_BYTES // 1024} KiB; leave out certificates and old keys")
        found = json.loads(text)
    except (json.JSONDecodeError, TypeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"is no JSON ({brief(str(error))}); {_GET_IT}") from error
    if not isinstance(found, dict):
        raise ValueError(f"is no mapping with a list of keys; {_GET_IT}")
    return found


def _require_public(place: str, key: dict[str, Any]) -> None:
    if key.get("kty") == "oct" or any(name in key for name in _PRIVATE):
        raise ValueError(
            f"{place} is secret: each reader of this document could sign tokens; replace that key at the issuer now, "
            "and give public keys only"
        )


def _verifies(key: dict[str, Any]) -> bool:
    """Tell whether a key is one for signatures."""
    operations = key.get("key_ops")
    return key.get("use", "sig") == "sig" and (not isinstance(operations, list) or "verify" in operations)


def _checked(place: str, key: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a key that a gateway needs."""
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _PARTS:
        raise ValueError(f"{place} has kty {brief(kind)}; use one of {', '.join(_PARTS)}")
    fields = {name: key[name] for name in (*_KEPT, *_PARTS[kind]) if name in key}
    for name in _PARTS[kind]:
        if name not in fields:
            raise ValueError(f"{place} lacks {name}; {_GET_IT}")
    if wrong := next((name for name, text in fields.items() if not _is_plain(text)), None):
        raise ValueError(f"{place}: {wrong} is {brief(fields[wrong])}; write 1 to 1500 printable ASCII characters")
    allowed = _algorithms(place, kind, fields)
    if fields.get("alg", allowed[0]) not in allowed:
        raise ValueError(f"{place} has alg {brief(fields['alg'])}; such a key signs with one of {', '.join(allowed)}")
    return fields


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 1500 and text.isascii() and text.isprintable()


def _algorithms(place: str, kind: str, key: dict[str, str]) -> tuple[str, ...]:
    """Return the algorithms that a key is for, after a look whether it is one."""
    numbers = {name: _octets(place, name, key[name]) for name in _PARTS[kind] if name != "crv"}
    if kind == "RSA":
        _require_strong(place, *(int.from_bytes(numbers[name]) for name in ("n", "e")))
        return _RSA
    if kind == "EC":
        return (_algorithm_of_curve(place, key["crv"], numbers["x"], numbers["y"]),)
    if key["crv"] != "Ed25519":
        raise ValueError(f"{place} has crv {brief(key['crv'])}; use Ed25519")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(numbers["x"])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{place} is no key of Ed25519; {_GET_IT}") from error
    return ("EdDSA",)


def _require_strong(place: str, modulus: int, exponent: int) -> None:
    bits = modulus.bit_length()
    if not LEAST_RSA_BITS <= bits <= MOST_RSA_BITS:
        raise ValueError(f"{place} has {bits} bits; use RSA of {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits, or ES256")
    if exponent < 3 or not exponent % 2 or not modulus % 2 or exponent.bit_length() > 32:
        raise ValueError(f"{place} is no RSA key (e is {brief(exponent)}); {_GET_IT}")


def _algorithm_of_curve(place: str, name: str, x: bytes, y: bytes) -> str:
    if name not in _CURVES:
        raise ValueError(f"{place} has crv {brief(name)}; use one of {', '.join(_CURVES)}")
    algorithm, curve = _CURVES[name]
    length = (curve.key_size + 7) // 8
    try:
        if len(x) != length or len(y) != length:
            raise ValueError(f"its coordinates have {len(x)} and {len(y)} bytes, not {length}")
        ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve).public_key()
    except ValueError as error:
        raise ValueError(f"{place} is no point of {name} ({error}); {_GET_IT}") from error
    return algorithm


def _octets(place: str, name: str, text: str) -> bytes:
    try:
        # Envoy reads no other letter, and without a readable key rejects all that stands beside the issuer.
        plain = text.rstrip("=")
        return b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (Error, ValueError) as error:
        raise ValueError(f"{place}: {name} is no base64url; {_GET_IT}") from error
