"""A token that a caller shows: a JWT, signed by the tenant's key. Pure."""

from dataclasses import dataclass
from datetime import datetime

import jwt

from istio_templates.callers.access_facts import TIDEGATE_ISSUER
from k8s_manager.callers.key_book import SigningKey


@dataclass(frozen=True, slots=True, repr=False)
class IssuedToken:
    """A token, shown once: its text, its id, and when it expires."""

    text: str
    id: str
    expires: datetime

    def __repr__(self) -> str:
        return f"IssuedToken({self.id})"


def issued(key: SigningKey, tenant: str, caller: str, token_id: str, now: datetime, expires: datetime) -> IssuedToken:
    """Return a token by which a caller calls the models of a tenant until it expires."""
    ends = expires.replace(microsecond=0)
    claims = {
        "iss": f"{TIDEGATE_ISSUER}{tenant}",
        "aud": tenant,
        "sub": caller,
        "jti": token_id,
        "iat": int(now.timestamp()),
        "exp": int(ends.timestamp()),
    }
    return IssuedToken(jwt.encode(claims, key.private, "ES256", {"kid": key.id}), token_id, ends)
