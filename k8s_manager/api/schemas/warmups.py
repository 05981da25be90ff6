"""Replicas: where they are, how far they have come with their warm-up, and who measures them."""

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class WarmupCase(ApiAnswer):
    """How far one case of a warm-up plan has come."""

    case: str
    batch: int
    state: str
    calls: int
    failures: int
    first_ms: float | None
    last_ms: float | None
    quantile_ms: float | None
    message: str


class GatedReplica(ApiAnswer):
    """A replica behind a warm-up gate."""

    name: str
    version: str
    state: str
    reason: str
    message: str
    since: str
    seconds: float = optional()
    requests: int = optional()
    first_request: str = optional()
    cases: list[WarmupCase] = optional(description="While its plan runs.")


class WarmupExplanation(ApiAnswer):
    """Which replicas of a model are warm, and what that means for requests."""

    model: str
    mode: str
    plan: str = optional()
    explanation: list[str]
    replicas: list[GatedReplica]


class MeasurementHold(ApiAnswer):
    """Who measures a model, and until when."""

    holder: str
    until: str = Field(description="With its time zone, to the second.")
