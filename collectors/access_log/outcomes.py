"""What became of a request, by Envoy's status, response flags and response code details.

Source of flags and details: Envoy's documentation of access logs and of response code details; tried on a real Envoy in
tests/collectors/access_log/test_envoy_lines.py. The rules are data, so that other engines are given the same ones
(aggregation_sql).
"""

from dataclasses import dataclass

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
LEFT = tuple(flag for flag, outcome in BY_FLAG.items() if outcome == "clientGone")
ANSWERED = "via_upstream"
"""Envoy's details of what an upstream answered."""
GRPC_CLIENT_ERRORS = frozenset({3, 5, 6, 7, 9, 11, 12, 16})
GRPC_RESOURCE_EXHAUSTED = frozenset({8})


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """An outcome and what a request has to be for it: its details, one of some flags, a status from `lowest` to
    `highest`, one of some gRPC statuses, or any but 0. What is None is not asked."""

    outcome: str
    details: str | None = None
    flags: tuple[str, ...] | None = None
    lowest: int | None = None
    highest: int | None = None
    grpc: frozenset[int] | None = None
    is_grpc_error: bool = False

    def fits(self, status: int, flags: list[str], details: str, grpc_status: int | None) -> bool:
        """Whether a request is as the rule asks."""
        return (
            (self.details is None or details == self.details)
            and (self.flags is None or any(flag in flags for flag in self.flags))
            and (self.lowest is None or status >= self.lowest)
            and (self.highest is None or status <= self.highest)
            and (self.grpc is None or grpc_status in self.grpc)
            and (not self.is_grpc_error or bool(grpc_status))
        )


RULES = (
    OutcomeRule("limited", "local_rate_limited"),
    OutcomeRule("preflight", "cors_response"),
    OutcomeRule("closed", "direct_response"),
    OutcomeRule("clientGone", ANSWERED, flags=LEFT),
    OutcomeRule("clientGone", ANSWERED, lowest=0, highest=0),
    OutcomeRule("upstreamLimited", ANSWERED, grpc=GRPC_RESOURCE_EXHAUSTED),
    OutcomeRule("clientError", ANSWERED, grpc=GRPC_CLIENT_ERRORS),
    OutcomeRule("serverError", ANSWERED, is_grpc_error=True),
    OutcomeRule("upstreamLimited", ANSWERED, lowest=429, highest=429),
    OutcomeRule("serverError", ANSWERED, lowest=500),
    OutcomeRule("clientError", ANSWERED, lowest=400),
    OutcomeRule("ok", ANSWERED),
    *(OutcomeRule(outcome, flags=(flag,)) for flag, outcome in BY_FLAG.items()),
    OutcomeRule("clientGone", lowest=0, highest=0),
    OutcomeRule("gatewayError", lowest=500),
    OutcomeRule("rejected"),
)
"""The first rule that fits decides; the last one fits every request."""


def outcome_of(status: int, flags: str, details: str, grpc_status: int | None) -> str:
    """Return the outcome of a request; `grpc_status` is None where the answer has none."""
    given = flags.split(",")
    return next(rule.outcome for rule in RULES if rule.fits(status, given, details, grpc_status))
