"""What a gateway answers to a request that it refuses for its token or its caller.

Envoy's own answers are a few words, with 403 for a wrong audience. Here each reason has a status, a challenge
(https://www.rfc-editor.org/rfc/rfc6750#section-3), and a sentence that says what to do. The body has the shape that the
client reads: OpenAI's on its paths, JSON elsewhere; gRPC has the sentence as its message. Nothing of the request is in
an answer.

Source of the shapes: Envoy's LocalReplyConfig v3 and ExpressionFilter v3.
"""

from dataclasses import dataclass

from istio_templates.callers.matchers import POLICY
from istio_templates.facts import Manifest

UNAUTHORIZED, FORBIDDEN = 401, 403
_TOKEN, _SCOPE, _REQUEST = "invalid_token", "insufficient_scope", "invalid_request"
_CEL = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_OPENAI = ("chat/completions", "completions", "embeddings", "responses", "models")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason for which a request is refused: its short name, `details` as Envoy begins them, the status, the `error`
    of the challenge (none where there was no token), and the sentence of the answer."""

    reason: str
    details: str
    status: int
    error: str
    message: str


def _of_token(reason: str, details: str, message: str, error: str = _TOKEN) -> Refusal:
    return Refusal(reason, f"jwt_authn_access_denied{{{details}", UNAUTHORIZED, error, message)


def _of_caller(reason: str, status: int, error: str, message: str) -> Refusal:
    return Refusal(reason, f"rbac_access_denied_matched_policy[{POLICY}{reason}]", status, error, message)


REFUSALS = (
    _of_token(
        "missing",
        "Jwt_is_missing",
        "The request carries no token; send one in the header `authorization`, as `Bearer TOKEN`, or in `api-key`.",
        error="",
    ),
    _of_token("expired", "Jwt_is_expired", "The token of the request has expired; ask its issuer for a new one."),
    _of_token(
        "early",
        "Jwt_not_yet_valid",
        "The token of the request is not valid yet; wait until it is, or set the clock of its issuer.",
    ),
    _of_token(
        "audience",
        "Audiences_in_Jwt_are_not_allowed",
        "The token of the request was issued for another audience; ask for one for this tenant.",
    ),
    _of_token(
        "issuer",
        "Jwt_issuer_is_not_configured",
        "This tenant does not know the issuer of the request's token; send a token of an issuer that it knows.",
    ),
    _of_token(
        "unverifiable",
        "",
        "A token of the request cannot be verified; send one token, as its issuer gave it, with an expiration.",
    ),
    _of_caller("revoked", UNAUTHORIZED, _TOKEN, "The token of the request was revoked; ask for a new one."),
    _of_caller("several", UNAUTHORIZED, _REQUEST, "The request carries several tokens; send one, in one header."),
    _of_caller("suspended", FORBIDDEN, _SCOPE, "The caller of the request is suspended; ask the owners of the tenant."),
    _of_caller(
        "expired",
        FORBIDDEN,
        _SCOPE,
        "The caller of the request has expired; ask the owners of the tenant to extend it.",
    ),
    _of_caller(
        "model",
        FORBIDDEN,
        _SCOPE,
        "The caller of the request may not call this model; ask the owners of the tenant for it.",
    ),
    _of_caller(
        "unknown",
        FORBIDDEN,
        _SCOPE,
        "The request has no caller that this tenant knows; send one token, of a caller of the tenant.",
    ),
    _of_caller(
        "unverified",
        UNAUTHORIZED,
        "",
        "The request has no verified caller: its token names none, its tenant has no issuer yet, or the route was only "
        "just made; send a token, try again, or ask the owners of the tenant.",
    ),
    Refusal(
        "refused",
        f"rbac_access_denied_matched_policy[{POLICY}",
        FORBIDDEN,
        _SCOPE,
        "The request was refused; ask the owners of the tenant.",
    ),
)
"""Every reason, those first that others would cover."""


def refusals() -> list[Manifest]:
    """Return the mappers of Envoy's local replies, in the order in which they are tried."""
    return [mapper for refusal in REFUSALS for mapper in _mappers(refusal)]


def _mappers(refusal: Refusal) -> list[Manifest]:
    kind = "authentication_error" if refusal.status == UNAUTHORIZED else "permission_error"
    error = {"message": refusal.message, "type": kind, "code": refusal.reason}
    is_openai = " || ".join(f"request.url_path.endsWith('/v1/{path}')" for path in _OPENAI)
    return [
        _mapper(refusal, "request.headers['content-type'].startsWith('application/grpc')", _text(refusal.message)),
        _mapper(refusal, f"({is_openai})", {"json_format": {"error": error}}),
        _mapper(refusal, "", {"json_format": {"reason": refusal.reason, "message": refusal.message}}),
    ]


def _text(message: str) -> Manifest:
    return {"text_format_source": {"inline_string": message}}


def _mapper(refusal: Refusal, shape: str, body: Manifest) -> Manifest:
    expression = f"response.code_details.startsWith('{refusal.details}')"
    if shape:
        expression += f" && {shape}"
    by_details = {"name": "cel", "typed_config": {"@type": _CEL, "expression": expression}}
    # The plain comparison comes first: what a limit refuses, by the thousand, is not put to every expression.
    filters = [_status("GE", UNAUTHORIZED), _status("LE", FORBIDDEN), {"extension_filter": by_details}]
    challenge = {"header": {"key": "www-authenticate", "value": _challenge(refusal.error)}}
    return {
        "filter": {"and_filter": {"filters": filters}},
        "status_code": refusal.status,
        "headers_to_add": [{**challenge, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "body_format_override": body,
    }


def _status(comparison: str, status: int) -> Manifest:
    value = {"default_value": status, "runtime_key": "tidegate.access"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _challenge(error: str) -> str:
    return f'Bearer realm="tidegate", error="{error}"' if error else 'Bearer realm="tidegate"'
