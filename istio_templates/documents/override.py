"""LimitOverride: what a person sets in place of a limit for a time, and why. It ends by itself."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from istio_templates.documents.fields import DnsLabel, Labels, Rate, Spec, brief

MOMENT_MAX = 40


def moment(text: str) -> datetime:
    """Return the moment in an RFC 3339 text such as `2026-11-21T03:00:00Z`; `ValueError` where there is none."""
    said = f"{brief(text)} is no moment; write it as 2026-11-21T03:00:00Z, with its time zone"
    if len(text) > MOMENT_MAX:
        raise ValueError(said)
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(said)
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(said) from error


def moment_text(when: datetime, timespec: str = "milliseconds") -> str:
    """Return a moment in UTC as documents and answers write it (RFC 3339), down to a `timespec` of `isoformat`."""
    return when.isoformat(timespec=timespec).replace("+00:00", "Z")


def _moment(value: Any) -> Any:
    moment(value if isinstance(value, str) else brief(value))
    return value


Moment = Annotated[
    str, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time", "maxLength": MOMENT_MAX})
]
Words = Annotated[str, Field(min_length=3, max_length=500, pattern=r"\S")]


class OverrideTarget(Spec):
    """The models that it is for: all that is given here must be true of them. `everything` stands alone."""

    tenant: DnsLabel | None = None
    model: DnsLabel | None = None
    gateway: DnsLabel | None = None
    labels: Labels = {}
    everything: Literal[True] | None = None

    @model_validator(mode="after")
    def _says_whom(self) -> "OverrideTarget":
        given = any((self.tenant, self.model, self.gateway, self.labels))
        if given == bool(self.everything):
            raise ValueError("give some of tenant, model, gateway and labels, or everything: true alone")
        return self


class LimitOverrideSpec(Spec):
    """What an operator sets in place of a limit until it expires.

    In a tenant's namespace: what its people set, for their own models and inside the tenant's range.
    `freeze` keeps what is in force; `unlimited` and `floor` are the kill switch.
    """

    author: Words
    reason: Words
    expires: Moment
    target: OverrideTarget
    per_replica_qps: Rate | None = None
    total: Rate | None = None
    mode: Literal["off", "shadow", "enforce"] | None = None
    action: Literal["freeze", "unlimited", "floor"] | None = None

    @model_validator(mode="after")
    def _one_change(self) -> "LimitOverrideSpec":
        given = [self.per_replica_qps, self.total, self.mode, self.action]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of perReplicaQps, total, mode and action")
        return self
