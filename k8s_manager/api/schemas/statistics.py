"""Statistics of requests."""

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class LatencyQuantiles(ApiAnswer):
    """Milliseconds that a share of the requests that a model answered did not exceed, within 2 %; null without any."""

    p50: float | None
    p95: float | None
    p99: float | None


class RequestCounts(ApiAnswer):
    """The requests of one step, as counts."""

    start: str = Field(description="When the step begins.")
    gateway: str = optional(description="With by=gateway.")
    tenant: str = optional(description="With by=tenant or by=model.")
    model: str = optional(description="With by=model.")
    version: str = optional(description="With by=version.")
    demand: int = Field(description="Requests that were admitted or refused by the limit.")
    admitted: int = Field(description="Requests that passed the limit.")
    limited: int = Field(description="Requests that the limit refused with 429.")
    client_errors: int
    server_errors: int
    no_answer: int = Field(description="Requests whose client was gone before the answer.")
    outcomes: dict[str, int] = Field(description="Requests by outcome; docs/access-log.md tells what each means.")
    bytes_in: int
    bytes_out: int
    latency: LatencyQuantiles


class OutcomeCount(ApiAnswer):
    """The requests of one step with one outcome."""

    start: str
    outcome: str
    requests: int


class RequestStatistics(ApiAnswer):
    """The requests of a span, step by step; steps without a request are left out."""

    step: str = Field(
        description="The length of a step; what was asked for, or longer where rows are kept by minutes, or by five."
    )
    items: list[RequestCounts] | list[OutcomeCount]
    partial: bool = Field(description="Whether requests of the span may be missing.")
    gaps: list[str] = Field(description="Why, in sentences, and why the step is longer than was asked for.")


class LoggedLine(ApiAnswer):
    """A line of a pod's log, or why the pod's log cannot be read."""

    time: str | None = Field(description="As the container runtime noted it; null where it did not.")
    pod: str
    line: str = optional()
    problem: str = optional(description="In place of a line.")


class LogLineList(ApiAnswer):
    """The lines of a model's pods, in the order of time."""

    items: list[LoggedLine]
