"""Callers and the keys of issuers that tests start from."""

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.documents import API

Object = dict[str, Any]


def caller(name: str = "app1", namespace: str = "search", **spec: Any) -> Object:
    """Return a caller of all models of a tenant."""
    return {"apiVersion": API, "kind": "Caller", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def _key(algorithm: str, bits: int) -> Any:
    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm]())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else _rsa(bits)


def jwk(algorithm: str = "ES256", kid: str = "k1", bits: int = 2048, secret: bool = False) -> Object:
    """Return a public key as an issuer publishes it; with `secret` what no issuer may."""
    key = _key(algorithm, bits)
    maker = jwt.get_algorithm_by_name(algorithm)
    return {**json.loads(maker.to_jwk(key if secret else key.public_key())), "kid": kid, "alg": algorithm, "use": "sig"}


def issuer(*keys: Object, **fields: Any) -> Object:
    """Return an issuer with one key, or these."""
    base = {"issuer": "https://id.example.com", "audiences": ["models"], "jwks": {"keys": list(keys or (jwk(),))}}
    return {**base, **fields}
