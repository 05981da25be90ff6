"""What the renderer of a gateway's access needs to know of a tenant's callers."""

from dataclasses import dataclass

TIDEGATE_ISSUER = "tidegate/"
"""What the issuer of Tidegate's own tokens begins with; the tenant's name follows."""


@dataclass(frozen=True, slots=True)
class IssuerFacts:
    """An issuer of tokens: its public keys as the text of a JWKS, the audiences of which a token has to name one, and
    the claim that names the caller."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: str
    caller_claim: str = "sub"


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """A caller that a tenant knows. `models` are the names of those that it may call; None means all of the tenant.
    `refused` says why it may call none (`suspended`, `expired`), and is empty where it may. `revoked` are the ids of
    its tokens that are no longer good."""

    name: str
    models: frozenset[str] | None = None
    refused: str = ""
    revoked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthenticationFacts:
    """How the callers of a tenant are known. Where it is not `required`, a request without a token is anonymous.

    `headers` carry a token beside `authorization` and `api-key`. With `forward` the model sees the token too.
    """

    issuers: tuple[IssuerFacts, ...]
    callers: tuple[CallerFacts, ...] = ()
    required: bool = True
    headers: tuple[str, ...] = ()
    forward: bool = False


@dataclass(frozen=True, slots=True)
class TenantAccess:
    """What a gateway enforces for a tenant: its namespace, how callers are known, and its models: the name of each,
    and what Envoy's routes say of it (`LimitKey.route`). `public` are names of models that anyone may call."""

    tenant: str
    namespace: str
    authentication: AuthenticationFacts
    models: tuple[tuple[str, str], ...] = ()
    public: frozenset[str] = frozenset()
