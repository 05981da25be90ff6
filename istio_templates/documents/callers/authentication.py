"""How the callers of a tenant are known: whose tokens count, and where requests carry them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from istio_templates.callers.access_facts import TIDEGATE_ISSUER
from istio_templates.documents.callers.public_keys import key_set
from istio_templates.documents.fields import HeaderName, Spec, brief, distinct_headers

MOST_ISSUERS = 10
MOST_AUDIENCES = 10
MOST_HEADERS = 5
_TAKEN_ALWAYS = ("authorization", "api-key")
_NO_CARRIERS = ("cookie", "set-cookie", "content-type", "content-encoding", "te", "upgrade", "expect", "forwarded")


def _issuer(value: str) -> str:
    if value.lower().startswith(TIDEGATE_ISSUER):
        raise ValueError(
            f"{brief(value)} is Tidegate's own: its tokens count by themselves; leave this issuer out, or name yours"
        )
    return value


def _carrier(value: str) -> str:
    """Return the name of a header that may carry a token."""
    if value in _TAKEN_ALWAYS:
        raise ValueError(f"{value} carries a token always; leave it out")
    if value in _NO_CARRIERS or value.startswith(("x-forwarded-", "grpc-", "sec-")):
        raise ValueError(f"{value} has a meaning of its own; choose a header for the token alone, such as x-token")
    return value


def _checked_keys(value: Any) -> Any:
    key_set(value)
    return value


Printable = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
IssuerName = Annotated[Printable, AfterValidator(_issuer)]
ClaimName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
TokenHeader = Annotated[HeaderName, AfterValidator(_carrier)]
Jwks = Annotated[
    Any, BeforeValidator(_checked_keys), WithJsonSchema({"description": "A JWKS, as a text or as a mapping."})
]


class TokenIssuer(Spec):
    """An issuer of tokens (JWT) beside Tidegate itself, such as a company's OpenID Connect.

    A token counts when `iss` is `issuer`, one of `jwks` has signed it (public keys, as a text or a mapping), and `aud`
    names one of `audiences`. `callerClaim` names the Caller; with dots it is a claim within another.
    """

    issuer: IssuerName
    jwks: Jwks
    audiences: Annotated[tuple[Printable, ...], Field(min_length=1, max_length=MOST_AUDIENCES)]
    caller_claim: ClaimName = "sub"

    @property
    def key_set(self) -> str:
        """The public keys as gateways get them."""
        return key_set(self.jwks)

    @model_validator(mode="after")
    def _distinct(self) -> "TokenIssuer":
        if len(set(self.audiences)) < len(self.audiences):
            raise ValueError("audiences: one is listed twice; list it once")
        return self


class Authentication(Spec):
    """How the callers of a tenant are known. Tokens that Tidegate issues count always.

    Where it is not `required`, a request without a token is taken as anonymous. A token comes in `Authorization:
    Bearer`, `api-key`, or one of `headers`; the model gets it only with `forwardToken`.
    """

    required: bool = Field(default=True, strict=True)
    issuers: Annotated[tuple[TokenIssuer, ...], Field(max_length=MOST_ISSUERS)] = ()
    headers: Annotated[tuple[TokenHeader, ...], Field(max_length=MOST_HEADERS), BeforeValidator(distinct_headers)] = ()
    forward_token: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _apart(self) -> "Authentication":
        for number, issuer in enumerate(self.issuers):
            for other in self.issuers[:number]:
                if other.issuer == issuer.issuer and (both := {*other.audiences} & {*issuer.audiences}):
                    raise ValueError(
                        f"issuers[{number}].audiences: {brief(min(both))} of issuer {brief(issuer.issuer)} stands in "
                        "an entry before; put the two entries into one, or give them different audiences"
                    )
        return self
