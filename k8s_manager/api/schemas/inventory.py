"""What belongs to a document in the cluster, and how far its rollout has come."""

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional
from k8s_manager.api.schemas.fleet import EventRecord


class VersionRollout(ApiAnswer):
    """The replicas of a version; only `ready` is known where the manager does not run them."""

    name: str
    desired: int | None = None
    updated: int | None = Field(default=None, description="Replicas of the newest pod template.")
    ready: int
    available: int | None = None


class ModelRollout(ApiAnswer):
    """How far the replicas of a model are those of its document."""

    model: str = Field(description="As NAMESPACE/NAME.")
    done: bool
    failed: bool
    message: str
    versions: list[VersionRollout]


class RolloutList(ApiAnswer):
    """The rollouts of a tenant's models."""

    items: list[ModelRollout]


class InventoryObject(ApiAnswer):
    """An object that was rendered from a document."""

    kind: str
    namespace: str = optional()
    name: str
    created: str


class InventoryPod(ApiAnswer):
    """A pod of a document: what it does, and why it is not ready."""

    name: str
    namespace: str
    version: str = optional()
    state: str = Field(description="As kubectl shows it: the waiting reason of a container, or the phase.")
    ready: bool
    restarts: int
    message: str
    created: str


class DocumentInventory(ApiAnswer):
    """What belongs to a document: its objects, its pods, and its last events."""

    objects: list[InventoryObject]
    pods: list[InventoryPod]
    events: list[EventRecord]
