"""The inner vocabulary: what the renderers need to know, and nothing more.

Every fact is frozen and compares by value, so that equal facts need not be rendered twice.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from istio_templates.arms.arm_facts import ArmFacts, StickyFacts

Pairs = tuple[tuple[str, str], ...]
Manifest = dict[str, Any]
# A route that is there: host, headers that a request must carry, path, namespace and name of the model.
LiveRoute = tuple[str, frozenset[tuple[str, str]], str, tuple[str, str]]


class ObjectKey(NamedTuple):
    """The name of one Kubernetes object; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class LimitKey(NamedTuple):
    """What a limit is for: the requests of one route, and of them those of a `part`.

    `route` is what Istio writes into the metadata of every route of a VirtualService, by which Envoy tells requests
    apart; or the path of an HTTPRoute, which Envoy knows by the names of its routes. An empty `part` is the whole
    model; else it is a version's cluster, or `names.REQUESTS`, which counts.
    """

    route: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.route}#{self.part}" if self.part else self.route

    @property
    def whole(self) -> "LimitKey":
        """The key of the whole model's limit."""
        return LimitKey(self.route) if self.part else self

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name of the VirtualService or HTTPRoute; empty as far as an edit of the slot has left none."""
        head, _, name = self.route.rpartition("/")
        return head.removesuffix("/virtual-service").removesuffix("/http-route").rpartition("/")[2], name

    def of_part(self, part: str) -> "LimitKey":
        """Return the key of a limit for a part of the requests."""
        return LimitKey(self.route, part)


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """One port of a gateway."""

    name: str
    port: int
    protocol: str
    domain: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayPods:
    """Gateway pods that Tidegate renders: `replicas`, or between `least` and `most` of them."""

    replicas: int | None = None
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class TracingFacts:
    """Which percentage of requests is traced, and by which extension provider of the mesh."""

    provider: str
    sampling: float


@dataclass(frozen=True, slots=True)
class GatewayPool:
    """A set of gateway pods that share one configuration. `probe` is the secret header value, if any. With
    `endpoint_stats` they count what they send to each replica, with `access_log` they log requests, with `tracing` they
    trace them. Listeners whose Secret is `missing` are left out, since they would hold back the others of their
    port."""

    name: str
    namespace: str
    selector: Pairs
    listeners: tuple[ListenerFacts, ...]
    managed: GatewayPods | None = None
    probe: str | None = None
    endpoint_stats: bool = False
    access_log: bool = False
    tracing: TracingFacts | None = None
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OwnedHost:
    """A host of a tenant; with `credential`, under a certificate of its own. `guests` are the namespaces of other
    tenants that serve paths of it."""

    name: str
    credential: str | None = None
    guests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LentHost:
    """A host of another tenant, `owner`, of which this one may serve paths, at `gateways`. `adopted` is the owner's."""

    name: str
    owner: str
    credential: str | None
    gateways: tuple[str, ...]
    adopted: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A tenant that was accepted, with the gateways that serve it (two while it moves). `adopted` is a gateway and the
    Gateway there that the tenant has taken over. `leaving` are gateways that it has left but for live routes."""

    name: str
    namespace: str
    gateways: tuple[GatewayPool, ...]
    hosts: tuple[OwnedHost, ...]
    strict: bool = False
    lent: tuple[LentHost, ...] = ()
    adopted: tuple[str, str] | None = None
    leaving: tuple[str, ...] = ()

    @property
    def silent_gateways(self) -> tuple[str, ...]:
        """The names of its gateways that log no requests."""
        return tuple(pool.name for pool in self.gateways if not pool.access_log)


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Headers to set, add and remove."""

    set: Pairs = ()
    add: Pairs = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RewriteFacts:
    """What a model sees: the whole `path`, or a `prefix` in place of the route's path; the Host header."""

    path: str | None = None
    prefix: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class CorsFacts:
    """Which web pages may call a route. `origins` are pairs of exact, prefix or regex and its text; `max_age` is in
    seconds."""

    origins: Pairs
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """One route of a model; `timeout` and `per_try` are durations as text."""

    name: str
    host: str
    path: str
    headers: Pairs
    protocol: str
    port: int
    timeout: str | None
    attempts: int
    per_try: str | None
    request: HeaderEdits = HeaderEdits()
    response: HeaderEdits = HeaderEdits()
    rewrite: RewriteFacts | None = None
    cors: CorsFacts | None = None


@dataclass(frozen=True, slots=True)
class AutoscalerFacts:
    """The bounds of a HorizontalPodAutoscaler that applies the manager's number of replicas."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class KedaFacts:
    """How KEDA asks the manager: the address of its REST API, and the kind and name of the object that says with which
    token (`TriggerAuthentication` in the tenant's namespace, or `ClusterTriggerAuthentication`)."""

    url: str = "http://tidegate.tidegate-system.svc"
    auth: tuple[str, str] = ("ClusterTriggerAuthentication", "tidegate")


DEFAULT_KEDA = KedaFacts()
"""How KEDA asks where the manager is installed by the shipped manifests."""


@dataclass(frozen=True, slots=True)
class ScaledObjectFacts:
    """The bounds of a ScaledObject of KEDA that applies the manager's number of replicas, and how it asks for that."""

    least: int
    most: int
    keda: KedaFacts


@dataclass(frozen=True, slots=True)
class PodsOfVersion:
    """The pods of a version that Tidegate renders; `template` is a PodTemplateSpec as the tenant wrote it. `budget`: a
    drained node takes one of them at a time. `spare`: a rollout may have one more than `replicas`, and so needs none
    less. `autoscaler` or `scaled_object`: what writes their number, if Tidegate renders one."""

    replicas: int | None
    template: Manifest
    budget: bool = True
    spare: bool = True
    autoscaler: AutoscalerFacts | None = None
    scaled_object: ScaledObjectFacts | None = None


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A version: the labels its pods carry, its share of traffic, its pods if Tidegate renders them, and the per cent
    of requests that is mirrored to it."""

    name: str
    labels: Pairs
    weight: int
    pods: PodsOfVersion | None
    mirror: int = 0


@dataclass(frozen=True, slots=True)
class SlowStartFacts:
    """How a replica that is new to a gateway pod gets its share: over `duration`, from `least` per cent."""

    duration: str
    least: int
    aggression: float


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Bounds and balancing between a gateway pod and a model."""

    max_connections: int | None
    max_requests: int | None
    max_pending: int | None
    consecutive_errors: int
    interval: str
    ejection_time: str
    max_ejection_percent: int
    balancing: str
    hash_header: str | None = None
    hash_cookie: str | None = None
    slow_start: SlowStartFacts | None = None


@dataclass(frozen=True, slots=True)
class WarmupFacts:
    """How a model's replicas prove that they are warm.

    `plan` is the text of its plan and `hash` its name; empty where there is none. `ready_port` and, where it has one,
    `ready_path` are the server's own readiness; without a port it has none that is known. `delay`, `load` and `warm`
    are whole seconds: from a container's start to its first readiness probe, and what fixedDelay grants (with an
    agent, `load` is the whole plan's timeout). `image` is the agent's; `restarts`: what is not warm in time restarts.
    `deadline` is how long a rollout may stand still while one replica is warmed.
    """

    mode: str
    plan: str = ""
    hash: str = ""
    ready_port: int | None = None
    ready_path: str | None = None
    delay: int = 0
    load: int = 0
    warm: int = 0
    image: str = ""
    restarts: bool = False
    deadline: int = 0


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that was accepted.

    `closed` is the sentence of its 503, where it takes no requests, and `retry_after` in how many seconds a caller may
    come again, where that is known; `attached` another owner's VirtualService or
    HTTPRoute that routes for it. `arms` are looked at in order, before the weights; with `sticky` these keep each
    caller on one version.
    """

    tenant: Tenancy
    name: str
    routes: tuple[RouteFacts, ...]
    versions: tuple[VersionFacts, ...]
    policy: PolicyFacts
    closed: str | None = None
    retry_after: int | None = None
    attached: ObjectKey | None = None
    warmup: WarmupFacts | None = None
    arms: tuple[ArmFacts, ...] = ()
    sticky: StickyFacts | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one gateway pod enforces: `tokens` every `interval` seconds, `burst` at most at once.

    It counts every request, and refuses for `enforced` per cent of them.
    """

    tokens: int
    interval: int
    burst: int
    enforced: int = 100

    @property
    def rate(self) -> Fraction:
        """Requests per second."""
        return Fraction(self.tokens, self.interval)


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """The limits in one slot of a gateway: a bucket for each key, in order.

    For how many per cent of the requests limits are enforced is the whole slot's: where it is not all, the slot is one
    model's. `sent` counts how often the slot was sent again with the same limits.
    """

    pool: GatewayPool
    index: int
    limits: tuple[tuple[LimitKey, Bucket], ...]
    sent: int = 0
