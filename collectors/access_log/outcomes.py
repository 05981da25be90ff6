"""What became of a request, by Envoy's status, response flags and response code details.

Source of flags and details: Envoy's documentation of access logs and of response code details; tried on a real Envoy in
tests/collectors/access_log/test_envoy_lines.py.
"""

OUTCOMES = (
    "ok",
    "limited",
    "clientError",
    "upstreamLimited",
    "serverError",
    "noHealthyReplica",
    "circuitBreaker",
    "timeout",
    "upstreamFailure",
    "clientGone",
    "closed",
    "preflight",
    "noRoute",
    "rejected",
    "gatewayError",
)
"""Every outcome, in the order of a row's counts; what each means stands in docs/access-log.md."""

NUMBER = {name: number for number, name in enumerate(OUTCOMES)}
CLIENT_ERRORS = ("clientError", "upstreamLimited")
SERVER_ERRORS = ("serverError", "noHealthyReplica", "circuitBreaker", "timeout", "upstreamFailure", "gatewayError")
NO_ANSWER = ("clientGone",)
ADMITTED = ("ok", *CLIENT_ERRORS, *SERVER_ERRORS, *NO_ANSWER)
"""Outcomes of requests that passed the limit; with `limited` they are the demand."""
TIMED = frozenset({"ok", "clientError", "upstreamLimited", "serverError", "timeout"})
"""Outcomes whose duration says something about the model."""

BY_FLAG = {
    "NR": "noRoute",
    "DC": "clientGone",
    "DR": "clientGone",
    "UH": "noHealthyReplica",
    "UO": "circuitBreaker",
    "UT": "timeout",
    "DT": "timeout",
    "SI": "timeout",
    "UMSDR": "timeout",
    "UF": "upstreamFailure",
    "UC": "upstreamFailure",
    "UR": "upstreamFailure",
    "LR": "upstreamFailure",
    "UPE": "upstreamFailure",
    "URX": "upstreamFailure",
}
"""What Envoy's flags say of a request that no upstream answered; the first of them, in this order, decides."""
GRPC_CLIENT_ERRORS = frozenset({3, 5, 6, 7, 9, 11, 12, 16})
GRPC_RESOURCE_EXHAUSTED = 8


def outcome_of(status: int, flags: str, details: str, grpc_status: int | None) -> str:
    """Return the outcome of a request; `grpc_status` is None where the answer has none."""
    if details == "local_rate_limited":
        return "limited"
    if details == "cors_response":
        return "preflight"
    if details == "direct_response":
        return "closed"
    given = flags.split(",")
    if details == "via_upstream":
        return "clientGone" if "DC" in given or "DR" in given else _by_status(status, grpc_status)
    for flag, outcome in BY_FLAG.items():
        if flag in given:
            return outcome
    if status == 0:
        return "clientGone"
    return "gatewayError" if status >= 500 else "rejected"


def _by_status(status: int, grpc_status: int | None) -> str:
    if status == 0:
        return "clientGone"
    if grpc_status:
        if grpc_status == GRPC_RESOURCE_EXHAUSTED:
            return "upstreamLimited"
        return "clientError" if grpc_status in GRPC_CLIENT_ERRORS else "serverError"
    if status == 429:
        return "upstreamLimited"
    if status >= 500:
        return "serverError"
    return "clientError" if status >= 400 else "ok"
