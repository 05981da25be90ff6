"""World: everything that a decision needs to know, frozen at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.replicas import PodSeen
from istio_templates.documents import Document
from istio_templates.errors import Problem
from istio_templates.facts import Manifest, ObjectKey

FINALIZER = "tidegate.dev/cleanup"


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as the API server holds it; `document` is None where it cannot be read, for `problems`."""

    key: ObjectKey
    uid: str
    generation: int
    created: str
    deleting: bool
    finalizer: bool
    document: Document | None
    problems: tuple[Problem, ...]
    status: Manifest

    @property
    def incumbent(self) -> bool:
        """Whether this very generation was accepted before: it keeps what it holds against newcomers."""
        return any(
            c["type"] == "Accepted" and c["status"] == "True" and c.get("observedGeneration") == self.generation
            for c in self.status.get("conditions", [])
        )


@dataclass(frozen=True, slots=True)
class NamespaceSeen:
    """A namespace that exists: its labels, and whether it is going away."""

    labels: Mapping[str, str]
    leaving: bool


@dataclass(frozen=True, slots=True)
class World:
    """One moment. `ready` and `desired` count replicas by (namespace, model, version); `limited` holds (gateway,
    identity) of every limit that is in a slot; `secrets` are (namespace, name)."""

    gateways: tuple[Stored, ...]
    tenants: tuple[Stored, ...]
    models: tuple[Stored, ...]
    namespaces: Mapping[str, NamespaceSeen]
    ready: Mapping[tuple[str, str, str], int]
    gateway_pods: Mapping[str, tuple[PodSeen, ...]]
    limited: frozenset[tuple[str, str]]
    secrets: frozenset[tuple[str, str]]

    def documents(self) -> tuple[Stored, ...]:
        """Return all documents."""
        return (*self.gateways, *self.tenants, *self.models)
