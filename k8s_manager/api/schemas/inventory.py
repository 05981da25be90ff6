"""What belongs to a document in the cluster, how far its rollout has come, and what runs at a gateway."""

from typing import Literal

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
    node: str = optional(description="Where it runs; absent until it is placed.")
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


ProbeState = Literal["Applied", "Pending", "Rejected", "NoAnswer"]


class GatewaySlot(ApiAnswer):
    """A slot in which something is written, and the limits in it."""

    slot: int
    use: Literal["pinned", "quiet", "restless"] = Field(
        description="For whom it is: models in shadow or ramp; those whose replicas stand in their document; those "
        "whose replicas another controller moves. A rewrite fills the buckets of all models in the slot."
    )
    limits: int
    models: list[str] = Field(description="As NAMESPACE/NAME.")
    revision: str = Field(description="A hash of what is written; a pod that runs it shows the same.")
    sent: int = Field(description="How often it was sent again, since a pod had not taken it.")
    rolled_back: bool = Field(description="Whether no pod took the last limits, so that those before stand here.")
    pending_since: str | None = Field(description="Since when some pod does not run what is written.")
    effect_seconds: float | None = Field(
        description="How long the last change took until every gateway pod ran it, as this manager saw it."
    )


class PodSlot(ApiAnswer):
    """What a gateway pod runs of a slot."""

    slot: int
    state: ProbeState
    revision: str | None = Field(description="What it was seen to run last; null where it showed none.")
    since: str | None = Field(description="Since when this manager has seen that revision there.")


class ProbedGatewayPod(ApiAnswer):
    """What the config probe found in a gateway pod."""

    pod: str
    ready: bool
    state: Literal["Applied", "Pending", "Rejected", "NoAnswer", "NotAsked"] = Field(
        description="NotAsked: it is not ready, or its gateway has no probe."
    )
    silent_since: str | None = Field(description="Since when it has not answered; null where it answers.")
    slots: list[PodSlot]


class PodLoadShare(ApiAnswer):
    """The requests that came to a gateway pod."""

    pod: str
    requests: int
    refused: int
    share: float | None = Field(description="Of the gateway's requests, from 0 to 1.")


class GatewayLoad(ApiAnswer):
    """How the requests of the last minute spread over the pods, by what these count in their slots."""

    state: Literal["Even", "Skewed", "Uneven", "Few", "Single", "NotRead"] = Field(
        description="Uneven: one pod refuses while another idles. Skewed: it would, with more requests. Few requests, "
        "and a Single pod, say nothing."
    )
    seconds: float
    requests: int
    refused: int
    limits_full_at: float | None = Field(
        description="Which part of a limit comes to the gateway when the busiest pod has all of its share; 1 where the "
        "load is even, null where it is not known."
    )
    message: str
    unread: list[str] = Field(description="Pods whose counters could not be read.")
    pods: list[PodLoadShare]


class GatewayCertificate(ApiAnswer):
    """A Secret with a certificate that a gateway serves. Its key is read by no one but the gateway."""

    secret: str = Field(description="As NAMESPACE/NAME.")
    tenant: str | None = Field(description="Whose hosts it is for; null for the gateway's own domains.")
    hosts: list[str] = Field(description="The hosts for which it is served.")
    state: Literal["Valid", "Absent", "Unreadable", "Expired", "WrongHost", "Expiring"]
    message: str = Field(description="What is wrong and what to do; empty where nothing is.")
    not_before: str | None
    not_after: str | None
    certifies: list[str] = Field(description="The hosts in the certificate.")


class GatewayDataplane(ApiAnswer):
    """What runs at a gateway, as the manager that answers has observed it."""

    gateway: str
    probed: bool = Field(description="Whether its pods can be asked what they run: it has a plain HTTP listener.")
    slots: list[GatewaySlot]
    pods: list[ProbedGatewayPod]
    load: GatewayLoad
    certificates: list[GatewayCertificate]
