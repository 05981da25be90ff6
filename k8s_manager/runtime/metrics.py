"""What the manager counts about itself, and metrics as a page."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FRESH = 1.0
"""Seconds for which a page of metrics stays as it is."""
MEDIA_TYPE = "text/plain; version=0.0.4"
REGISTRY = CollectorRegistry()


def _of_versions(name: str, description: str) -> Gauge:
    """Return a gauge of each version of each model."""
    return Gauge(name, description, ["namespace", "model", "version"], registry=REGISTRY)


KUBE_REQUESTS = Counter("tidegate_k8s_requests", "Calls to the Kubernetes API.", ["verb", "code"], registry=REGISTRY)
WATCH_RESTARTS = Counter("tidegate_watch_restarts", "Lists after a watch that ended.", ["kind"], registry=REGISTRY)
PASSES = Counter("tidegate_reconcile", "Passes of the main loop.", ["result"], registry=REGISTRY)
PASS_SECONDS = Histogram("tidegate_reconcile_time_seconds", "Length of a pass.", registry=REGISTRY)
EFFECTS = Counter(
    "tidegate_effects",
    "Attempts of writes and reads by the loops; late: a pass went on without it.",
    ["what", "result"],
    registry=REGISTRY,
)
ODD_VALUES = Counter(
    "tidegate_odd_values", "Values of another shape than Kubernetes gives them, left out.", ["kind"], registry=REGISTRY
)
RENDERED = Counter("tidegate_rendered", "Gateways, tenants, models and slots rendered.", ["what"], registry=REGISTRY)
APPLIED = Counter("tidegate_apply", "Objects written.", ["kind", "operation", "result"], registry=REGISTRY)
LIMIT = _of_versions("tidegate_ratelimit_target_rps", "Limit of a model, or of one of its versions.")
REPLICAS = Gauge(
    "tidegate_ratelimit_replicas_observed", "Ready replicas of a model.", ["namespace", "model"], registry=REGISTRY
)
OVERRIDES = Gauge("tidegate_override_active", "Models whose limit is overridden now.", registry=REGISTRY)
SLOT_WRITES = Counter("tidegate_ratelimit_updates", "Slots written.", ["result"], registry=REGISTRY)
REACTION = Histogram(
    "tidegate_ratelimit_reaction_seconds",
    "From the moment a limit was due to its write being accepted.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
SOURCE_READS = Counter("tidegate_replica_source_reads", "Times Prometheus was asked.", ["result"], registry=REGISTRY)
EFFECT = Histogram(
    "tidegate_ratelimit_effect_seconds",
    "From a slot's write being seen to every gateway pod of it running it, as the config probe reads it.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
GATEWAY_PODS = Gauge(
    "tidegate_gateway_pods", "Gateway pods, by how far they run what was written.", ["state"], registry=REGISTRY
)
POD_REQUESTS = Counter(
    "tidegate_gateway_pod_requests", "Requests that came to a gateway pod.", ["gateway", "pod"], registry=REGISTRY
)
POD_REFUSED = Counter(
    "tidegate_gateway_pod_refused", "Requests that a gateway pod refused.", ["gateway", "pod"], registry=REGISTRY
)
SHADOW_REQUESTS = Counter(
    "tidegate_shadow_requests",
    "Requests of a model in shadow or ramp; an HTTPRoute is named httproute/NAME.",
    ["namespace", "virtual_service"],
    registry=REGISTRY,
)
SHADOW_REFUSED = Counter(
    "tidegate_shadow_beyond_limit",
    "Of those, the ones beyond the limit.",
    ["namespace", "virtual_service"],
    registry=REGISTRY,
)
AUTOSCALED = _of_versions("tidegate_autoscale_replicas", "Replicas that the autoscale of a version asks for.")
AUTOSCALE_RATIO = _of_versions(
    "tidegate_autoscale_ratio",
    "How many times the warm replicas of a version would be just enough, by its signals; absent without a signal.",
)
AUTOSCALE_MISSING = _of_versions(
    "tidegate_autoscale_signals_missing", "Signals of a version that cannot be read; no replica goes meanwhile."
)
AUTOSCALE_LIMITED = _of_versions(
    "tidegate_autoscale_limited", "1 where max or a quota keeps replicas from coming that signals ask for."
)
RESCALED = Counter(
    "tidegate_autoscale_rescales", "Changes of replicas that were written.", ["direction"], registry=REGISTRY
)
RELEASE_WEIGHT = _of_versions(
    "tidegate_release_weight", "Per cent of the requests that a version has while it is released step by step."
)
RELEASE_BLOCKED = _of_versions("tidegate_release_blocked", "1 for a version that failed its release.")
RELEASE_WAITING = Gauge(
    "tidegate_release_waiting",
    "1 while a release does not go on by itself, with the reason of the condition Released.",
    ["namespace", "model", "reason"],
    registry=REGISTRY,
)
RELEASE_CHECKS = Counter(
    "tidegate_release_external_checks",
    "What webhooks and Jobs of releases said: passed, failed, pending, or error; made: Jobs that were made.",
    ["source", "result"],
    registry=REGISTRY,
)
RELEASES = Counter("tidegate_releases", "Releases that have ended.", ["outcome"], registry=REGISTRY)
REGISTRY_READS = Counter(
    "tidegate_registry_reads",
    "Looks at registered models in MLflow: success, failure, or not written: ModelVersions could not be.",
    ["result"],
    registry=REGISTRY,
)
REGISTRY_LAST_READ = Gauge(
    "tidegate_registry_last_read_timestamp_seconds", "When MLflow was last read; 0: never.", registry=REGISTRY
)
REGISTRY_MODELS = Gauge(
    "tidegate_registry_models", "Models whose versions are those of a registered model in MLflow.", registry=REGISTRY
)
WARMING = Gauge("tidegate_warmup_pods", "Replicas that are being warmed now.", registry=REGISTRY)
WARMED = Histogram(
    "tidegate_warmup_seconds",
    "How long warm-ups took, by what came of them.",
    ["result"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
STANDBY_CLOSURES = Counter(
    "tidegate_standby_gate_closures",
    "Gates of containers not found warm that this manager closed while it did not lead.",
    registry=REGISTRY,
)
FIRST_REQUEST = Histogram(
    "tidegate_first_request_seconds",
    "From a replica being ready to its first request through a gateway that counts by endpoint.",
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
CERTIFICATE = Gauge(
    "tidegate_certificate_expiry_timestamp_seconds",
    "When a certificate that a gateway serves ends.",
    ["namespace", "secret"],
    registry=REGISTRY,
)
GIT_COMMITS = Counter("tidegate_git_commits", "Attempts to commit a tree.", ["result"], registry=REGISTRY)
GIT_FAILING = Gauge("tidegate_git_failing", "1 while the tree does not get onto its branch.", registry=REGISTRY)
GIT_OUT_OF_STEP = Gauge(
    "tidegate_git_out_of_step", "Objects in the cluster that are not as the tree has them.", registry=REGISTRY
)
TASKS = Gauge(
    "tidegate_tasks", "Tasks of the manager's event loop; a number that grows for hours is a leak.", registry=REGISTRY
)
LEADER = Gauge("tidegate_leader", "1 on the manager that leads.", registry=REGISTRY)
SPANS = Counter(
    "tidegate_spans",
    "Spans of its own work: sent, not taken by the receiver, or dropped since too many waited.",
    ["result"],
    registry=REGISTRY,
)
API_REQUESTS = Counter("tidegate_api_requests", "REST calls.", ["method", "code"], registry=REGISTRY)


class MetricsPage:
    """All metrics of some registries, written down beside the event loop, and once a second however many ask."""

    def __init__(self, registries: Callable[[], Sequence[CollectorRegistry]]) -> None:
        self._registries = registries
        self._made: tuple[float, bytes] | None = None
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """Return the text, at most a second old."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._made is None or now - self._made[0] > FRESH:
                pages = [await asyncio.to_thread(generate_latest, registry) for registry in self._registries()]
                self._made = (now, b"".join(pages))
            return self._made[1]
