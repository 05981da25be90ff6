"""A model's limit: what is in force, what it comes from, and why."""

from typing import Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class EnforcedBucket(ApiAnswer):
    """What one gateway pod enforces: `tokens` every `interval`, `burst` at most at once."""

    rate: float
    tokens: int
    interval: str
    burst: int


class OlderReplicas(ApiAnswer):
    """Ready replicas that run an earlier pod template, and the figure that was declared for them."""

    ready: int
    per_replica_qps: float


class LimitInput(ApiAnswer):
    """What one version contributes to a limit."""

    version: str
    ready: int
    per_replica_qps: float
    share: float = Field(description="Of the traffic, from 0 to 1.")
    older: list[OlderReplicas] = optional()


class OverrideSummary(ApiAnswer):
    """The override that holds now."""

    name: str
    author: str
    reason: str
    expires: str
    sets: str


class ShadowObservation(ApiAnswer):
    """What gateway pods have counted in shadow or ramp."""

    refused: int
    requests: int
    over: str


class LimitOfVersion(ApiAnswer):
    """The limit that a version has of its own."""

    version: str
    total: float | None = None
    per_gateway: EnforcedBucket | None = None


class LimitSummary(ApiAnswer):
    """A limit as a status holds it. What is null may be missing there."""

    total: float | None = Field(default=None, description="Requests per second over all gateway pods.")
    per_gateway: EnforcedBucket | None = None
    mode: Literal["off", "shadow", "ramp", "enforce"] = optional(
        description="How it is enforced now: off and shadow reject no request."
    )
    gateways: int
    capacity: float
    reason: str
    override: OverrideSummary | None = None
    cap: str | None = Field(default=None, description="What keeps the limit from the figure that the override sets.")
    overruled: list[OverrideSummary] | None = Field(
        default=None, description="The overrides that are not in force, as this one is stronger."
    )
    inputs: list[LimitInput]
    refill_bound: str | None = None
    enforced_percent: int = optional(description="Only in shadow and ramp.")
    awaits_verdict: bool | None = None
    observed: ShadowObservation | None = None
    versions: list[LimitOfVersion] = optional(description="Only where versions have limits of their own.")
    since: str | None = None


class GatewayPodState(ApiAnswer):
    """How far a gateway pod is with the limit that was written."""

    pod: str
    state: str = Field(description="Applied, Pending, Rejected, or that the pod does not answer.")


class ModelLimit(LimitSummary):
    """The limit of a model, with how far every gateway pod is."""

    model: str
    pods: list[GatewayPodState]


class ModelWithoutLimit(ApiAnswer):
    """A model that nothing limits."""

    model: str
    total: None
    reason: Literal["Off", "NoPinnedSlot"]
    mode: Literal["off"] = "off"
    pods: list[GatewayPodState]


class LimitCorridor(ApiAnswer):
    """Between which totals a limit stays."""

    floor: float
    ceiling: float | None
    tenant_ceiling: float | None


class FigureSource(ApiAnswer):
    """Where a figure comes from, and as of when."""

    origin: str = Field(alias="from")
    as_of: str | None = None


class LimitSources(ApiAnswer):
    """Where the figures of a limit come from."""

    replicas: FigureSource
    gateway_pods: FigureSource
    per_replica_qps: FigureSource
    in_force: FigureSource


class PendingChange(ApiAnswer):
    """Whether a change is on its way on a gateway, and when it is due."""

    state: Literal["settled", "pending"]
    target: EnforcedBucket = optional()
    due_in_seconds: float | None = None


class LimitExplanation(ModelLimit):
    """Why a limit is what it is: its inputs, formula, state, and sentences."""

    formula: str
    bounds: LimitCorridor
    sources: LimitSources
    debounce: dict[str, PendingChange] = Field(description="By gateway.")
    explanation: list[str]


class NoLimitExplanation(ApiAnswer):
    """Why a model has no limit."""

    model: str
    mode: Literal["off"]
    explanation: list[str]
