"""Settings of the manager.

`tidegate serve` has a flag for each setting that an installation differs in, most of them with an environment variable.
The rest are constants of the design, measured or derived from what Kubernetes, istiod and Envoy do. They are fields so
that a test or a benchmark can set them; their descriptions begin with "No flag".
"""

import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from istio_templates.facts import DEFAULT_KEDA, KedaFacts
from istio_templates.text.web_address import HostPattern
from k8s_manager.authz.issuer import Issuer
from k8s_manager.runtime.git_address import Address

# DNS caches and the longest connection of a managed gateway, whose connections end after ten minutes.
GATEWAY_OVERLAP = 660.0
REGISTRY_EVERY = 30.0
"""Seconds between two reads of a registered model in MLflow."""
SERVICE = ("tidegate-system", "tidegate")
"""The managers' Service, as the shipped manifests have it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate (with its chain) and its key, and the seconds between two checks for new ones."""

    certificate: Path
    key: Path
    every: float = 5.0


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Bounds of connections to the REST API: how many in all and of one address, and as many more in their TLS
    handshake; seconds for a handshake, for the line and headers of a request (from the connection's beginning), for its
    body, and between requests; bytes and number of headers."""

    most: int = 2000
    most_of_an_address: int = 400
    head: float = 10.0
    body: float = 30.0
    idle: int = 5
    head_bytes: int = 32_768
    headers: int = 100


@dataclass(frozen=True, slots=True)
class Git:
    """The repository that holds the manifests.

    `review`: each change gets a branch of its own. `overrides`: whether overrides expire in the cluster or are
    committed. `quiet` and `longest`: seconds without a change before a commit, and the most it waits. `every`: seconds
    between two reads of the branch. `patience`: seconds that one attempt may take.
    """

    address: Address
    review: bool = False
    overrides: Literal["expire", "commit"] = "expire"
    quiet: float = 2.0
    longest: float = 10.0
    every: float = 60.0
    patience: float = 120.0


@dataclass(frozen=True, slots=True)
class MlflowSettings:
    """The MLflow server whose registered models are read: its URL, a file with the bearer token that it asks for (read
    again for each call), its certificate authorities, where they are not publicly known, the seconds between two reads
    of a registered model, and which of them the models of a tenant may name: `{tenant}` stands for its name, and a `*`
    at the end for whatever follows."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    every: float = REGISTRY_EVERY
    names: str = "*"

    def allows(self, tenant: str, name: str) -> bool:
        """Tell whether the models of a tenant may name a registered model."""
        whole = self.names.replace("{tenant}", tenant)
        return name.startswith(whole[:-1]) if whole.endswith("*") else name == whole


@dataclass(frozen=True, slots=True)
class Settings:
    """The manager's settings."""

    kubeconfig: Path | None = None
    """The cluster; absent: the pod's own service account."""

    listen: tuple[str, int] = ("127.0.0.1", 8700)
    """Host and port on which the REST API listens."""

    tls: Tls | None = None
    """The certificate of the REST API; absent: plain HTTP, for a port that only the cluster reaches."""

    console: bool = True
    """Whether the console is served beside the REST API, under `/console`."""

    console_client: str | None = None
    """The client that the console is at the OpenID Connect issuer; absent: people sign in with a token."""

    console_secret_file: Path | None = None
    """A file with the secret of that client; absent: it is a public one."""

    console_url: str | None = None
    """The address under which browsers reach this manager, for the issuer's way back; absent: the one they ask."""

    audit: str = "-"
    """Destination of the audit trail: `-` for standard output, a file, or `off`."""

    in_flight: int = 32
    """Most writes to the Kubernetes API in flight at once."""

    token_file: Path | None = None
    """A file with the bearer token that REST callers present."""

    token_secret: tuple[str, str] | None = None
    """Namespace and name of a Secret that holds that token (key `token`); created where it is missing."""

    tokens_file: Path | None = None
    """A file with the hashes of people's and machines' tokens."""

    oidc: Issuer | None = None
    """The OpenID Connect issuer whose tokens are accepted."""

    oidc_ca_file: Path | None = None
    """The certificate authorities for the issuer, where they are not publicly known."""

    token_review: str | None = None
    """The audience of the Kubernetes tokens that are accepted; absent: none are."""

    prefixed_names: bool = False
    """Whether names in grants have to say whose they are (`token:`, `oidc:`, `kubernetes:`); else those that do not are
    of any authentication method."""

    calls_per_second: float = 200.0
    """Calls of the REST API per second for one caller; the burst is twice as many."""

    lease: tuple[str, str] | None = None
    """Namespace and name of the Lease by which several managers elect a leader; absent: this is the only manager."""

    lease_seconds: float = 15.0
    """Seconds that a standby waits for a silent leader. A leader that ends properly releases the Lease at once."""

    gateway_overlap: float = GATEWAY_OVERLAP
    """Seconds for which a tenant in migration is served by its old gateway too: DNS and the longest connection."""

    replica_source: str = "watch"
    """Source of replica counts: `watch` (the pods), `prometheus` (kube-state-metrics), or `both`: the watch, and a
    condition where Prometheus differs."""

    prometheus_url: str | None = None
    """The Prometheus server: of replica counts with `prometheus` and `both`, and in any case of what pods use; absent:
    CPU and memory come from `metrics.k8s.io`, and GPUs are not known."""

    prometheus_token_file: Path | None = None
    """A file with the bearer token that Prometheus asks for; it is read again for each question."""

    prometheus_ca_file: Path | None = None
    """The certificate authorities for Prometheus, where they are not publicly known."""

    collectors_url: str | None = None
    """The address of the collectors, each address of its host name one of them; absent: no statistics of requests."""

    collectors_token_file: Path | None = None
    """A file with the bearer token that collectors ask for; it is read again for each question."""

    webhook_hosts: tuple[HostPattern, ...] = ()
    """The hosts that webhooks of releases may have; absent: none is called."""

    webhook_key_file: Path | None = None
    """A file with the key that signs what webhooks are sent; it is read again for each message."""

    webhook_ca_file: Path | None = None
    """Certificate authorities for the hosts of webhooks, beside the public ones."""

    mlflow: MlflowSettings | None = None
    """Where registered models are read; absent: none are."""

    traces_url: str | None = None
    """The OTLP/HTTP endpoint that takes the spans of the manager's own work; absent: none are made."""

    external_metrics_listen: tuple[str, int] | None = None
    """Host and port on which `external.metrics.k8s.io` is served over TLS, for versions with writer `hpa`; absent: it
    is not."""

    external_metrics_service: tuple[str, str] = SERVICE
    """Namespace and name of the Service by which the API server reaches that port, under 443."""

    keda: KedaFacts = DEFAULT_KEDA
    """How KEDA asks for numbers of replicas, for versions with writer `keda`."""

    git: Git | None = None
    """Where manifests go instead of the cluster; absent: into the cluster."""

    connections: ConnectionBounds = ConnectionBounds()
    """No flag: bounds of connections to the REST API. A proxy in front of it is one address."""

    metrics_token_file: Path | None = None
    """A file with the bearer token that `/metrics` asks for, since metrics name tenants; absent: any client reads
    them."""

    strangers_per_second: float = 10.0
    """No flag: calls per second from one address with tokens that authenticate no caller; the burst is five times as
    many. Callers who were authenticated from there recently are not slowed."""

    proved_again: float = 60.0
    """No flag: seconds after which a reader of the event stream is authenticated again, since tokens expire."""

    identity: str = field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")
    """No flag: the holder that this manager writes into the Lease, made from the pod's host name."""

    quiet: float = 0.1
    """No flag: seconds without an event after which a reconcile pass starts."""

    longest: float = 0.5
    """No flag: seconds after the first event when a pass starts in any case."""

    limit_quiet: float = 0.01
    """No flag: `quiet` for events of replicas and gateway pods, whose debounce is a setting of each model."""

    history_quiet: float = 0.5
    """No flag: seconds without a change of a document after which revisions are written."""

    sample_every: float = 5.0
    """No flag: seconds between two queries of Prometheus."""

    sample_patience: float = 120.0
    """No flag: seconds after which Prometheus and the watch count as differing: a scrape, and a replica that comes or
    goes."""

    stats_port: int = 15090
    """No flag: the port on which gateway pods serve Envoy's statistics; it is Istio's."""

    stats_every: float = 15.0
    """No flag: seconds between two reads of them; a third of that while a model of the gateway is in shadow or ramp."""

    autoscale_every: float = 10.0
    """No flag: seconds between two looks of the autoscaler, as often as a window of requests ends."""

    release_every: float = 5.0
    """No flag: seconds between two looks at a release that is under way."""

    proof_patience: float = 15.0
    """No flag: seconds after which a gateway pod that does not run the written slots counts as having rejected them.
    istiod alone may delay a push by ten."""

    warming: int = 32
    """No flag: most replicas in warm-up at once."""

    warming_per_node: int = 8
    """No flag: the same on one node, whose other replicas serve meanwhile."""

    change_patience: float = 60.0
    """No flag: seconds after which the leader finishes a change of several writes, such as the transfer of a host, that
    its manager does not carry on."""

    stale_after: float = 120.0
    """No flag: seconds without any event of the pods after which replica counts are stale."""

    @property
    def has_own_token(self) -> bool:
        """Whether the manager has a token of its own: one that is given, or, where no other kind of token is accepted,
        one that it makes."""
        given = self.token_file or self.token_secret
        return bool(given) or not (self.tokens_file or self.oidc or self.token_review)
