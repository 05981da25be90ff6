"""OpenID Connect: signed tokens (JWT) of one issuer, checked against the keys that it publishes.

The operator, never the token, decides which algorithms are accepted. For an unknown key the manager reads the keys
again (the issuer may have changed them), but not more often than every `PAUSE` seconds; where the issuer does not
answer, the keys known stay in force.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from istio_templates.errors import Transient, Waiting
from k8s_manager.api.authn.authenticators import Unidentified, taken
from k8s_manager.authz.issuer import Issuer
from k8s_manager.authz.roles import Identity
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
LEEWAY = 30.0
"""Seconds by which clocks may differ."""
PAUSE = 10.0
KEYS_HOLD = 600.0
"""Seconds after which the keys are read again, so that one that was withdrawn is not accepted for ever."""
LONGEST = 16_384
"""Most characters of a token that is checked."""

_NOT_BY_ITS_CLOCK = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}

Fetch = Callable[[str], Awaitable[dict[str, Any]]]
"""Return the JSON object at an address; raises `Transient`."""


class Oidc:
    """Accepts the tokens of one issuer."""

    def __init__(self, issuer: Issuer, fetch: Fetch, clock: Clock) -> None:
        self._issuer, self._fetch, self._clock = issuer, fetch, clock
        self._keys: dict[str, dict[str, Any]] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None

    async def identity(self, token: str) -> Identity | None:
        """Return the identity in a token of the issuer; None where another issuer signed it."""
        header = self._header(token)
        if header is None:
            return None
        if header.get("alg") not in self._issuer.algorithms:
            raise Unidentified(f"the token is signed with {header.get('alg')!r}; {self._listed()} is taken here")
        claims = self._claims(token, await self._key(str(header.get("kid", ""))), header["alg"])
        if self._issuer.user_claim == "email" and claims.get("email_verified", True) is not True:
            raise Unidentified(f"the token's address is not verified; have it verified at {self._issuer.url}")
        return taken(claims.get(self._issuer.user_claim), claims.get(self._issuer.groups_claim, []), "the token")

    def _header(self, token: str) -> dict[str, Any] | None:
        """Return the header of a token that names the configured issuer; nothing of it is trusted yet."""
        if token.count(".") != 2 or len(token) > LONGEST:
            return None
        try:
            unproved = jwt.decode_complete(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            return None
        return unproved["header"] if unproved["payload"].get("iss") == self._issuer.url else None

    def _claims(self, token: str, key: dict[str, Any], algorithm: str) -> dict[str, Any]:
        now = self._clock.utc().timestamp()
        if key.get("alg", algorithm) != algorithm:
            raise Unidentified(f"the token is signed with {algorithm}, and its key is published for {key['alg']!r}")
        try:
            claims = jwt.decode(
                token,
                jwt.PyJWK.from_dict(key, algorithm=algorithm),
                algorithms=[algorithm],
                audience=self._issuer.audience,
                issuer=self._issuer.url,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, begins = float(claims["exp"]), float(claims.get("nbf", 0))
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise Unidentified(f"the token does not hold: {error}; get a new one from {self._issuer.url}") from error
        if now >= expires + LEEWAY:
            raise Unidentified(f"the token has expired; get a new one from {self._issuer.url}")
        if now < begins - LEEWAY:
            raise Unidentified("the token does not hold yet; compare the clocks")
        return claims

    async def _key(self, kid: str) -> dict[str, Any]:
        now = self._clock.now()
        stale = self._read_at is None or now - self._read_at > KEYS_HOLD
        if stale or kid not in self._keys:
            await self._refresh(now)
        if self._read_at is None:
            raise Waiting(f"the keys of {self._issuer.url} could not be read yet; try again", PAUSE)
        if kid not in self._keys:
            raise Unidentified(
                f"the token is signed with a key that {self._issuer.url} does not publish; get a new one"
            )
        return self._keys[kid]

    async def _refresh(self, now: float) -> None:
        if self._tried_at is not None and now - self._tried_at < PAUSE:
            return
        self._tried_at = now
        try:
            found = await self._fetch(await self._keys_url())
            self._keys = _usable(found)
            self._read_at = now
        except Transient as error:
            log.warning("the keys of %s could not be read, those known stay in force: %s", self._issuer.url, error)

    async def _keys_url(self) -> str:
        if self._issuer.keys_url:
            return self._issuer.keys_url
        found = await self._fetch(self._issuer.url.rstrip("/") + "/.well-known/openid-configuration")
        address = found.get("jwks_uri")
        if found.get("issuer") != self._issuer.url or not isinstance(address, str):
            raise Transient(f"the discovery document of {self._issuer.url} is not its own or names no jwks_uri")
        return address

    def _listed(self) -> str:
        return " or ".join(self._issuer.algorithms)


def _usable(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the published keys that are for signatures, by their ids; secret ones are never among them."""
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise Transient("no list of keys is published there")
    public = [key for key in listed if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP")]
    return {str(key.get("kid", "")): key for key in public if key.get("use", "sig") == "sig"}
