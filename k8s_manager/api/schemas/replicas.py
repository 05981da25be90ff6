"""The replicas of a model, and how many a version with `autoscale` should have, and why."""

from typing import Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class ModelReplica(ApiAnswer):
    """A replica, whether it takes requests, and the weight of its version."""

    name: str
    version: str
    address: str = Field(description="Empty until it has one.")
    ready: bool
    weight: int


class ReplicaList(ApiAnswer):
    """The replicas of a model that stay."""

    items: list[ModelReplica]


class DecidedReplicas(ApiAnswer):
    """How many replicas a version is to have, as an autoscaler reads it."""

    model: str
    version: str
    replicas: int = Field(
        description="What an autoscaler is served: with it one that does nothing within a tenth comes to the decision."
    )
    decided: int = Field(description="The decision.")
    at: str


class SignalShare(ApiAnswer):
    """What one signal contributes. Without a value it is `missing`, for a reason."""

    name: str
    value: float = optional(description="In the unit of its target.")
    target: float = Field(description="Of one replica.")
    ratio: float = optional(description="How many times the warm replicas would be just enough by this signal.")
    weight: float
    guard: bool = Field(description="Whether it is not averaged away.")
    missing: str = optional()


class FigureTooHigh(ApiAnswer):
    """A figure `perReplicaQps` that the measured latency does not bear."""

    load: float = Field(description="Requests/s of each warm replica.")
    latency: float = Field(description="In seconds, at that load.")
    target: float = Field(description="The latency that the document allows, in seconds.")
    of: str = Field(description="Differs when it is about another figure, other signals or other pods.")


class VersionScaling(ApiAnswer):
    """The replicas of a version that `autoscale` asks for, as of the last look that the status shows."""

    version: str
    writer: Literal["hpa", "keda", "tidegate"]
    min: int
    max: int
    replicas: int = Field(description="How many it asks for.")
    current: int = Field(description="How many its Deployment asks for.")
    warm: int
    holds: list[str] = Field(description="Why it is another number than the signals ask for.")
    ratio: float = optional(description="How many times the warm replicas would be just enough.")
    need: float = optional(description="Replicas that are needed now.")
    need_ahead: float = optional(description="Replicas that are needed when new ones are warm.")
    signals: list[SignalShare]
    too_high: FigureTooHigh = optional(description="What was measured where replicas did not bear `perReplicaQps`.")
    at: str


class ScalingExplanation(ApiAnswer):
    """How many replicas the versions of a model should have, and what that comes from."""

    model: str
    mode: Literal["autoscale", "off"]
    explanation: list[str]
    versions: list[VersionScaling]
