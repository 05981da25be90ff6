"""The statuses of documents, as the manager writes them.

A status is stored by a merge patch, which drops what is null: any field may be missing.
"""

from typing import Literal

from k8s_manager.api.schemas.answer import ApiAnswer, optional
from k8s_manager.api.schemas.limits import LimitSummary
from k8s_manager.api.schemas.releases.release import ReleaseSummary
from k8s_manager.api.schemas.releases.selection import SelectedVersion, VersionChoice
from k8s_manager.api.schemas.replicas import VersionScaling
from k8s_manager.api.schemas.warmups import GatedReplica


class StatusCondition(ApiAnswer):
    """One condition, as Kubernetes has them; an empty transition time is one that is not written yet."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = optional()


class DocumentStatus(ApiAnswer):
    """What every document's status has."""

    observed_generation: int = optional()
    conditions: list[StatusCondition] = optional()


class GatewayPodCount(ApiAnswer):
    """The pods of a gateway."""

    total: int
    ready: int


class InferenceGatewayStatus(DocumentStatus):
    """The status of an InferenceGateway."""

    pods: GatewayPodCount = optional()
    addresses: list[str] = optional()


class TenantMigration(ApiAnswer):
    """A tenant's move between gateways: those that it leaves, and until when they serve it."""

    source: list[str] = optional("from")
    until: str = optional()


class TenantStatus(DocumentStatus):
    """The status of a Tenant."""

    namespace: str = optional()
    gateway: str = optional()
    authentication: Literal["required", "optional"] = optional(description="Only with spec.authentication.")
    moving: TenantMigration | None = None


class VersionReplicas(ApiAnswer):
    """The replicas of a version; `desired` is missing where the manager does not run them."""

    name: str
    desired: int | None = None
    ready: int


class DrainingVersion(ApiAnswer):
    """A version that has left its document, and until when its pods stay."""

    version: str
    until: str


class WarmupSummary(ApiAnswer):
    """How far the replicas of a model have come with their warm-up."""

    mode: str
    plan: str
    counts: dict[str, int]
    not_open: list[GatedReplica]


class LeftOutVersion(ApiAnswer):
    """A version in MLflow, or what it says, that is not taken over, and why."""

    version: str
    why: str


class RegistrySummary(ApiAnswer):
    """The registered model in MLflow that versions come from, and up to which of its versions it was read."""

    name: str
    read_up_to: int
    left_out: list[LeftOutVersion] = optional()


class ModelStatus(DocumentStatus):
    """The status of a Model."""

    url: str | None = None
    versions: list[VersionReplicas] = optional()
    limit: LimitSummary | None = None
    warmup: WarmupSummary = optional()
    autoscale: list[VersionScaling] = optional(description="Only where versions have autoscale.")
    rollout: ReleaseSummary = optional(description="Only with spec.rollout.")
    selection: VersionChoice = optional(description="Only with spec.selection.")
    selected: SelectedVersion = optional(description="Only where a choice is carried out by itself.")
    registry: RegistrySummary = optional(description="Only with spec.selection.registry.")
    draining: list[DrainingVersion] = optional()


class LimitOverrideStatus(DocumentStatus):
    """The status of a LimitOverride: for how many models it is, and for how many of them it is in force."""

    models: int = optional()
    in_force: int = optional()


class AccessGrantStatus(DocumentStatus):
    """The status of an AccessGrant."""


class ModelVersionStatus(DocumentStatus):
    """The status of a ModelVersion: the version that it is about, whether that may be chosen, and the per cent of the
    model's requests that it gets."""

    version: str = optional()
    candidate: bool = optional()
    weight: int = optional()


class CallerStatus(DocumentStatus):
    """The status of a Caller: how many models it may call, and how many of its tokens are revoked."""

    models: int = optional()
    revoked: int = optional()
