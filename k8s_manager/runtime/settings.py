"""What an operator can set. Every setting is a flag of `tidegate serve` and an environment variable."""

import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from k8s_manager.authz.issuer import Issuer
from k8s_manager.runtime.git_address import Address

# What DNS and the longest connection of a managed gateway take: its connections end after ten minutes.
GATEWAY_OVERLAP = 660.0


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate (with its chain) and its key, and how often to look whether they are new ones."""

    certificate: Path
    key: Path
    every: float = 5.0


@dataclass(frozen=True, slots=True)
class Git:
    """The repository that holds the manifests: the tree's place there; whether each change gets a branch of its own;
    what becomes of overrides; seconds of quiet before a commit, the most it waits, how often the branch is looked at
    in any case, and how long one look may take."""

    address: Address
    review: bool = False
    overrides: Literal["expire", "commit"] = "expire"
    quiet: float = 2.0
    longest: float = 10.0
    every: float = 60.0
    patience: float = 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The manager's settings."""

    kubeconfig: Path | None = None
    """The cluster; absent: the pod's own service account."""

    listen: tuple[str, int] = ("127.0.0.1", 8700)
    """Where the REST API listens."""

    token_file: Path | None = None
    """A file with the bearer token that REST callers present."""

    tls: Tls | None = None
    """The certificate of the REST API; absent: plain HTTP, for a port that only the cluster reaches."""

    tokens_file: Path | None = None
    """A file with the hashes of people's and machines' tokens."""

    oidc: Issuer | None = None
    """The OpenID Connect issuer whose tokens are taken."""

    oidc_ca_file: Path | None = None
    """The authorities for its certificate, where it is not publicly known."""

    token_review: str | None = None
    """The audience of the Kubernetes tokens that are taken; absent: none are."""

    audit: str = "-"
    """Where the audit trail goes: `-` for standard output, a file, or `off`."""

    calls_per_second: float = 200.0
    """How often one caller of the REST API may call; twice as many at once."""

    strangers_per_second: float = 10.0
    """How often an address may show tokens that prove nobody; five times as many at once. Who was proved from there
    lately is not slowed."""

    proved_again: float = 60.0
    """Seconds after which who reads a stream of events is proved again: a token may have expired."""

    token_secret: tuple[str, str] | None = None
    """Namespace and name of a Secret that holds it (key `token`); made where it is missing."""

    lease: tuple[str, str] | None = None
    """Namespace and name of the Lease by which several managers agree on one that leads; absent: this is the only
    one."""

    lease_seconds: float = 15.0
    """How long the others wait for a leader that is silent. One that ends properly hands over at once."""

    identity: str = field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")
    """Who this manager is to the others; a pod's host name is its name."""

    in_flight: int = 32
    """How many writes to the Kubernetes API may be under way at once."""

    @property
    def has_own_token(self) -> bool:
        """Whether there is a token of the manager's own: one that is given, or where nothing else is taken, one that is
        made."""
        given = self.token_file or self.token_secret
        return bool(given) or not (self.tokens_file or self.oidc or self.token_review)

    git: Git | None = None
    """Where manifests go instead of the cluster; absent: into the cluster."""

    quiet: float = 0.1
    """Seconds without an event after which a pass starts."""

    longest: float = 0.5
    """Seconds after the first event when a pass starts in any case."""

    limit_quiet: float = 0.01
    """The same for replica and gateway pod events, whose proper debounce is each model's own."""

    history_quiet: float = 0.5
    """Seconds without a change of a document after which revisions are written."""

    gateway_overlap: float = GATEWAY_OVERLAP
    """Seconds for which a tenant that moves is served by its old gateway too: DNS and the longest connection."""

    replica_source: str = "watch"
    """Where replica counts come from: `watch` (the pods), `prometheus` (kube-state-metrics), or `both`: the watch, and
    a condition where Prometheus says otherwise."""

    prometheus_url: str | None = None
    """The Prometheus to ask, for `prometheus` and `both`."""

    sample_every: float = 5.0
    """Seconds between two questions to it."""

    sample_patience: float = 120.0
    """Seconds after which Prometheus and the watch are said to disagree: a scrape, and a replica's coming and going."""

    stats_port: int = 15090
    """Where gateway pods show Envoy's statistics; Istio's own, unless somebody has changed it."""

    stats_every: float = 15.0
    """Seconds between two readings of them; a third of that while a model of the gateway is in shadow or ramp."""

    proof_patience: float = 15.0
    """Seconds after which a gateway pod that does not run what was written has rejected it. istiod alone may put a push
    off for ten."""

    warming: int = 32
    """How many replicas may be warmed up at once."""

    warming_per_node: int = 8
    """The same on one node, whose other replicas serve meanwhile."""

    stale_after: float = 120.0
    """Seconds without any word of the pods after which replica counts are not trusted."""
