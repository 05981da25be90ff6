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
    arm: str = optional(
        description="With by=arm: the arm of the match that took the requests; weights: the weights divided them."
    )
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


class CpuFigures(ApiAnswer):
    """Cores. Of several pods: what is used and requested as far as it is known."""

    used: float | None = Field(description="Null where it is not known; `gaps` says why.")
    requested: float | None = Field(description="Null where no container says.")
    limit: float | None = Field(description="Null where a container has none.")


class MemoryFigures(ApiAnswer):
    """Bytes, as those of CPU."""

    used: int | None = Field(description="The working set, which cannot be taken from the pod; null where not known.")
    requested: int | None
    limit: int | None


class GpuFigures(ApiAnswer):
    """GPUs and their memory in bytes; null where the DCGM exporter shows nothing of them."""

    requested: int = Field(description="GPUs, or parts of them that are requested.")
    utilization: float | None = Field(description="The mean share of time in which they work, from 0 to 1.")
    memory_used: int | None
    memory_total: int | None


class PodUsage(ApiAnswer):
    """What a pod uses, beside what it requests and may use."""

    pod: str
    version: str
    measured: str | None = Field(description="When CPU and memory were measured; null where the source does not say.")
    cpu: CpuFigures
    memory: MemoryFigures
    gpu: GpuFigures


class ModelUsage(ApiAnswer):
    """What the pods of a model use together."""

    model: str
    pods: int
    measured: int = Field(description="Pods of which CPU and memory are known.")
    cpu: CpuFigures
    memory: MemoryFigures
    gpu: GpuFigures


class PodUsageList(ApiAnswer):
    """What the pods of a model use."""

    items: list[PodUsage]
    partial: bool = Field(description="Whether something is not known.")
    gaps: list[str] = Field(description="What, and what to do, in sentences.")


class ModelUsageList(ApiAnswer):
    """What the models of a tenant use."""

    items: list[ModelUsage]
    partial: bool = Field(description="Whether something is not known.")
    gaps: list[str] = Field(description="What, and what to do, in sentences.")
