"""World: everything that a decision needs to know, frozen at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic

from collectors.replicas import PodState
from istio_templates.documents import (
    AccessGrantSpec,
    CallerSpec,
    Document,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    ModelVersionSpec,
    SpecT,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.errors import Problem
from istio_templates.facts import DEFAULT_KEDA, KedaFacts, LimitKey, LiveRoute, Manifest, ObjectKey
from k8s_manager.world.certificate import Certificate
from k8s_manager.world.gateway_api import GatewayApi
from k8s_manager.world.rollout import Rollout, StuckPod, UnplacedReplicas
from k8s_manager.world.tenant_gateways import Binding
from ratelimiter.autoscaler import Scaler

FINALIZER = "tidegate.dev/cleanup"


@dataclass(frozen=True, slots=True)
class Stored(Generic[SpecT]):
    """A document as the API server holds it; `document` is None where it cannot be read, for `problems`.

    An `incumbent` was accepted before in this very generation, one that was `accepted_before` in an older one: they
    keep their claims against newcomers. The rest of the status decides nothing, and has no part in comparing.
    `document` is the one to go by: a version that a selection has chosen is in it, and not in what was `written`.
    `release_request` is the annotation by which an operator steers the release of a model, `release_record` that by
    which a release is found again where its status is lost.
    """

    key: ObjectKey
    uid: str
    generation: int
    created: str
    deleting: bool
    finalizer: bool
    document: Document[SpecT] | None
    problems: tuple[Problem, ...]
    incumbent: bool = False
    accepted_before: bool = False
    status: Manifest = field(default_factory=dict, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    release_request: str = ""
    release_record: str = ""
    written: Document[SpecT] | None = None

    @property
    def spec(self) -> SpecT | None:
        """The document's spec; None where the document cannot be read."""
        return self.document.spec if self.document else None


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that has a Deployment of the manager: its ready and desired replicas, and when it was created."""

    version: str
    ready: int
    wanted: int
    created: str


@dataclass(frozen=True, slots=True)
class Routing:
    """The VirtualServices of the manager by (namespace, name): the weights by which requests go to versions, and the
    Gateways (`namespace/name`) that lead to them. `carriers` are the Gateways of the manager that exist, each with the
    gateway that carries it."""

    weights: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    gateways: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    carriers: Mapping[str, str] = field(default_factory=dict)

    def carrying(self, route: tuple[str, str]) -> frozenset[str]:
        """Return the gateways through which requests come to a VirtualService now."""
        return frozenset(self.carriers[name] for name in self.gateways.get(route, ()) if name in self.carriers)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a tenant's own tokens: its id, the key as JSON (JWK), and until when (RFC 3339) tokens that it
    signed can be good; empty for the key that signs now."""

    id: str
    jwk: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """A namespace that exists: its labels, and whether it is going away."""

    labels: Mapping[str, str]
    leaving: bool


@dataclass(frozen=True, slots=True)
class Bound:
    """What live objects already serve: hosts of Gateways by tenant, hosts of VirtualServices by the tenant that routes
    there, and (host, headers, path) by model's namespace and name.

    It stays reserved for its owner, also while the owner's document is refused and its last good objects are kept.
    """

    hosts: tuple[tuple[str, str], ...] = ()
    routed: tuple[tuple[str, str], ...] = ()
    routes: tuple[LiveRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """A VirtualService of another owner: where it is exported to, and through which Gateways (`namespace/name`) or as
    whose delegate it is reached."""

    export_to: tuple[str, ...]
    gateways: tuple[str, ...]
    delegate_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an attached route sends requests: host, subset and weight, the labels by which the pods there are
    selected (None where they are not known), and the labels that those pods carry."""

    host: str
    subset: str
    weight: int
    labels: frozenset[tuple[str, str]] | None = None
    pods: frozenset[frozenset[tuple[str, str]]] = frozenset()

    def __str__(self) -> str:
        return f"{self.host}, subset {self.subset}" if self.subset else self.host


Splits = tuple[tuple[Destination, ...], ...]
"""How the routes of a VirtualService, or the rules of an HTTPRoute, split requests, each way once."""


@dataclass(frozen=True, slots=True)
class World:
    """One moment.

    `ready` counts replicas by (namespace, model, version). `limited` holds (gateway, identity) of every limit that is
    in a slot. `secrets` are (namespace, name), `certificates` those in gateways' namespaces; None where one cannot be
    read. `duplicate_slot_filters` are, by gateway, the EnvoyFilters of others that have the name of a slot. `bindings`
    say, by tenant, which gateways serve it. `foreign` are the VirtualServices of others by (namespace, name); None
    where they cannot be known (rendering for Git). `scalers` are the autoscalers by (namespace, Deployment). `files`
    are what warm-up plans may refer to: the contents of ConfigMaps by (namespace, name). `deployed` are, by (namespace,
    model), the versions that have a Deployment; `ready` counts those too that their document no longer has. `rollouts`
    are the Deployments of the manager by (namespace, name), `stuck` by namespace the pods beside them that do not take
    requests, and `unplaced` by (namespace, model, version) those that find no node. What `traffic.resolver` decides:
    `bindings`; `departed`, by (namespace, model), versions that serve though their document no longer has them; and
    `handovers`, the messages of models whose requests stay where they are until another version is warm: their document
    is then not the one that is stored (`version_handover.effective`). `selecting` says, by `namespace/name` of an Istio
    Gateway, which gateways' pods it selects. `gateway_api` are the HTTPRoutes that there are; None where they cannot be
    known (rendering for Git). `splits` are those of the routes of others that models attach to, and `unfollowed` says,
    by (namespace, model), why the traffic of a model is not read from such a route but from its document. `ungated` are
    (namespace, model, version) of existing pods without the readiness gate that their model asks for. `keda` is how
    KEDA asks the manager, and `absent` are the kinds that the cluster need not have, and that it has not. `caller_keys`
    are the public keys of the tokens that the manager issues, by tenant, and `lapsed` says what of callers is over at
    this moment, as `callers.expiry` writes it.
    """

    gateways: tuple[Stored[InferenceGatewaySpec], ...]
    tenants: tuple[Stored[TenantSpec], ...]
    models: tuple[Stored[ModelSpec], ...]
    namespaces: Mapping[str, NamespaceState]
    gateway_pods: Mapping[str, tuple[PodState, ...]]
    secrets: frozenset[tuple[str, str]]
    ready: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    certificates: Mapping[tuple[str, str], Certificate | None] = field(default_factory=dict)
    limited: frozenset[tuple[str, LimitKey]] = frozenset()
    bound: Bound = Bound()
    duplicate_slot_filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    overrides: tuple[Stored[LimitOverrideSpec], ...] = ()
    foreign: Mapping[tuple[str, str], Foreign] | None = None
    scalers: Mapping[tuple[str, str], Scaler] = field(default_factory=dict)
    warmup_plans: tuple[Stored[WarmupPlanSpec], ...] = ()
    access_grants: tuple[Stored[AccessGrantSpec], ...] = ()
    model_versions: tuple[Stored[ModelVersionSpec], ...] = ()
    callers: tuple[Stored[CallerSpec], ...] = ()
    caller_keys: Mapping[str, tuple[PublicKey, ...]] = field(default_factory=dict)
    lapsed: frozenset[tuple[str, str, str]] = frozenset()
    files: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    ungated: frozenset[tuple[str, str, str]] = frozenset()
    deployed: Mapping[tuple[str, str], tuple[Deployed, ...]] = field(default_factory=dict)
    routing: Routing = Routing()
    departed: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    handovers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    selecting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    gateway_api: GatewayApi | None = None
    splits: Mapping[ObjectKey, Splits] = field(default_factory=dict)
    unfollowed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    rollouts: Mapping[tuple[str, str], Rollout] = field(default_factory=dict)
    stuck: Mapping[str, tuple[StuckPod, ...]] = field(default_factory=dict)
    unplaced: Mapping[tuple[str, str, str], UnplacedReplicas] = field(default_factory=dict)
    keda: KedaFacts = DEFAULT_KEDA
    absent: frozenset[str] = frozenset()

    def kinds(self) -> tuple[tuple[Stored, ...], ...]:
        """Return the documents by kind, those first that others refer to."""
        others = (self.overrides, self.access_grants, self.model_versions, self.callers)
        return self.gateways, self.tenants, self.warmup_plans, self.models, *others

    def documents(self) -> tuple[Stored, ...]:
        """Return all documents."""
        return tuple(chain.from_iterable(self.kinds()))
