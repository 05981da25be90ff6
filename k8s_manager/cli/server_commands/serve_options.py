"""The options of `tidegate serve`, in the groups in which its help shows them."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from istio_templates.facts import DEFAULT_KEDA
from k8s_manager.runtime.settings import GATEWAY_OVERLAP, SERVICE

_callers = partial(typer.Option, rich_help_panel="Who may call")
_managers = partial(typer.Option, rich_help_panel="Several managers")
_limits = partial(typer.Option, rich_help_panel="Limits and migrations")
_statistics = partial(typer.Option, rich_help_panel="Statistics of requests")
_prometheus = partial(typer.Option, rich_help_panel="Prometheus")
_metrics = partial(typer.Option, rich_help_panel="External metrics")
_SERVICE, _KEDA_AUTH = "/".join(SERVICE), "/".join(DEFAULT_KEDA.auth)
_releases = partial(typer.Option, rich_help_panel="Releases")
_git = partial(typer.Option, rich_help_panel="Manifests in Git")


class ReplicaSource(StrEnum):
    """Where replica counts come from."""

    WATCH = "watch"
    PROMETHEUS = "prometheus"
    BOTH = "both"


class Overrides(StrEnum):
    """How overrides are treated where manifests go to Git."""

    EXPIRE = "expire"
    COMMIT = "commit"


Kubeconfig = Annotated[
    Path | None, typer.Option(envvar="KUBECONFIG", help="The cluster; absent: the pod's own account.")
]
Listen = Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where the REST API listens.")]
TlsCert = Annotated[
    Path | None,
    typer.Option(envvar="TIDEGATE_TLS_CERT", help="Serve HTTPS with this certificate, or the one that replaces it."),
]
TlsKey = Annotated[Path | None, typer.Option(envvar="TIDEGATE_TLS_KEY", help="The private key of that certificate.")]
Audit = Annotated[
    str, typer.Option(envvar="TIDEGATE_AUDIT", help="Where the audit trail goes: - (standard output), a file, or off.")
]
Console = Annotated[
    bool,
    typer.Option("--console/--no-console", envvar="TIDEGATE_CONSOLE", help="Serve the console under /console."),
]
InFlight = Annotated[int, typer.Option(min=1, max=256, help="Most writes to Kubernetes in flight at once.")]

Traces = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="TIDEGATE_TRACES",
        help="Send spans of its own work to this OTLP/HTTP endpoint, such as http://otel-collector:4318; needs "
        "tidegate[tracing].",
    ),
]

TokenFile = Annotated[Path | None, _callers(help="A file with the bearer token of the REST API.")]
TokenSecret = Annotated[
    str | None,
    _callers(metavar="NAMESPACE/NAME", help="A Secret with that token (key token); made where it is missing."),
]
TokensFile = Annotated[
    Path | None,
    _callers(envvar="TIDEGATE_TOKENS_FILE", help="A file with people's tokens, hashed; see `tidegate token`."),
]
OidcIssuer = Annotated[
    str | None,
    _callers(metavar="URL", envvar="TIDEGATE_OIDC_ISSUER", help="Take the tokens of this OpenID Connect issuer."),
]
OidcAudience = Annotated[
    str, _callers(envvar="TIDEGATE_OIDC_AUDIENCE", help="The audience that those tokens must name.")
]
OidcAlgorithms = Annotated[
    str, _callers(envvar="TIDEGATE_OIDC_ALGORITHMS", help="Signature algorithms to accept, separated by commas.")
]
OidcUserClaim = Annotated[str, _callers(envvar="TIDEGATE_OIDC_USER_CLAIM", help="The claim with the user's name.")]
OidcGroupsClaim = Annotated[str, _callers(envvar="TIDEGATE_OIDC_GROUPS_CLAIM", help="The claim with the groups.")]
OidcKeys = Annotated[
    str | None,
    _callers(
        metavar="URL",
        envvar="TIDEGATE_OIDC_KEYS",
        help="The address of the issuer's keys; absent: read from its discovery document.",
    ),
]
OidcCaFile = Annotated[
    Path | None, _callers(envvar="TIDEGATE_OIDC_CA_FILE", help="The authorities for the issuer's certificate.")
]
ConsoleClient = Annotated[
    str | None,
    _callers(
        metavar="ID",
        envvar="TIDEGATE_CONSOLE_CLIENT",
        help="The console's client at that issuer: people sign in there. Its way back is URL/console/oidc/callback.",
    ),
]
ConsoleSecretFile = Annotated[
    Path | None, _callers(envvar="TIDEGATE_CONSOLE_SECRET_FILE", help="A file with that client's secret.")
]
ConsoleUrl = Annotated[
    str | None,
    _callers(
        metavar="URL", envvar="TIDEGATE_CONSOLE_URL", help="Where browsers reach this manager; absent: as they ask."
    ),
]
TokenReview = Annotated[
    str | None,
    _callers(
        metavar="AUDIENCE", envvar="TIDEGATE_TOKEN_REVIEW", help="Take Kubernetes tokens that are for this audience."
    ),
]
PrefixedNames = Annotated[
    bool,
    _callers(
        "--prefixed-names",
        envvar="TIDEGATE_PREFIXED_NAMES",
        help="Name callers in grants by how they signed in: token:NAME, oidc:NAME or kubernetes:NAME.",
    ),
]
MetricsTokenFile = Annotated[
    Path | None,
    _callers(
        envvar="TIDEGATE_METRICS_TOKEN_FILE",
        help="A file with the bearer token that /metrics asks for: metrics name tenants. Absent: all clients may.",
    ),
]
CallsPerSecond = Annotated[
    float, _callers(min=1, help="Calls of the REST API per second for one caller; the burst is twice as many.")
]

Lease = Annotated[
    str | None,
    _managers(
        metavar="NAMESPACE/NAME",
        help="The Lease by which several managers elect a leader; without it this is the only manager.",
    ),
]
LeaseSeconds = Annotated[
    float, _managers(min=3, max=120, help="Seconds that a standby waits for a silent leader before it takes over.")
]

GatewayOverlap = Annotated[
    float,
    _limits(
        min=0,
        envvar="TIDEGATE_GATEWAY_OVERLAP",
        help="Seconds for which a tenant in migration is served by its old gateway too.",
    ),
]
Source = Annotated[
    ReplicaSource,
    _limits(help="Where replica counts come from; both: the pods count, a condition says where they differ."),
]
_PROMETHEUS = (
    "A Prometheus server: what pods use of CPU and memory (cAdvisor) and of GPUs (DCGM exporter), and replica counts "
    "(kube-state-metrics) with --replica-source; absent: usage is that of metrics.k8s.io, without GPUs."
)
PrometheusUrl = Annotated[
    str | None,
    _prometheus("--prometheus", "--prometheus-url", metavar="URL", envvar="TIDEGATE_PROMETHEUS_URL", help=_PROMETHEUS),
]
PrometheusTokenFile = Annotated[
    Path | None,
    _prometheus(envvar="TIDEGATE_PROMETHEUS_TOKEN_FILE", help="A file with the bearer token that it asks for."),
]
PrometheusCaFile = Annotated[
    Path | None, _prometheus(envvar="TIDEGATE_PROMETHEUS_CA_FILE", help="The authorities for its certificate.")
]

CollectorsUrl = Annotated[
    str | None,
    _statistics(
        "--collectors",
        metavar="URL",
        envvar="TIDEGATE_COLLECTORS",
        help="Where collectors answer (tidegate collect --pods); every address of the host name is asked.",
    ),
]
CollectorsTokenFile = Annotated[
    Path | None,
    _statistics(envvar="TIDEGATE_COLLECTORS_TOKEN_FILE", help="A file with the token that collectors ask for."),
]

ExternalMetricsListen = Annotated[
    str | None,
    _metrics(
        metavar="HOST:PORT",
        envvar="TIDEGATE_EXTERNAL_METRICS_LISTEN",
        help="Serve external.metrics.k8s.io there, over TLS, for versions with writer hpa; absent: it is not served.",
    ),
]
ExternalMetricsService = Annotated[
    str,
    _metrics(
        metavar="NAMESPACE/NAME",
        envvar="TIDEGATE_EXTERNAL_METRICS_SERVICE",
        help="The Service by which the API server reaches it, under port 443.",
    ),
]
KedaUrl = Annotated[
    str,
    _metrics(
        metavar="URL",
        envvar="TIDEGATE_KEDA_URL",
        help="The REST API as KEDA reaches it, for versions with writer keda.",
    ),
]
KedaAuth = Annotated[
    str,
    _metrics(
        metavar="KIND/NAME",
        envvar="TIDEGATE_KEDA_AUTH",
        help="What gives KEDA its token: a ClusterTriggerAuthentication, or a TriggerAuthentication of each tenant.",
    ),
]

WebhookHosts = Annotated[
    str,
    _releases(
        metavar="HOST,...",
        envvar="TIDEGATE_WEBHOOK_HOSTS",
        help="Hosts that webhooks of releases may have, separated by commas: gate.example.com, *.example.com, "
        "gate.example.com:8443, http://gate.ci.svc:8080; absent: none is called.",
    ),
]
WebhookKeyFile = Annotated[
    Path | None,
    _releases(
        envvar="TIDEGATE_WEBHOOK_KEY_FILE",
        help="A file with the key that signs what they are sent: whsec_ and 24 to 64 random bytes in base64.",
    ),
]
WebhookCaFile = Annotated[
    Path | None,
    _releases(envvar="TIDEGATE_WEBHOOK_CA_FILE", help="Authorities for their certificates, beside the public ones."),
]

GitUrl = Annotated[
    str | None,
    _git(
        metavar="URL",
        envvar="TIDEGATE_GIT_URL",
        help="Commit manifests to this repository (https, ssh) instead of writing them into the cluster; slots and "
        "routes stay the manager's.",
    ),
]
GitBranch = Annotated[str, _git(envvar="TIDEGATE_GIT_BRANCH", help="The branch that holds the tree.")]
GitFolder = Annotated[
    str, _git(metavar="DIR", envvar="TIDEGATE_GIT_FOLDER", help="Where in the repository the tree stands.")
]
GitReview = Annotated[
    bool,
    _git("--git-review", envvar="TIDEGATE_GIT_REVIEW", help="Give each change a branch, tidegate/..., for review."),
]
GitOverrides = Annotated[
    Overrides,
    _git(
        envvar="TIDEGATE_GIT_OVERRIDES",
        help="expire: overrides stay in the cluster and expire there; commit: the tree has them while in force.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The cluster, and how the REST API listens."""

    kubeconfig: Kubeconfig = None
    listen: Listen = "127.0.0.1:8700"
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    audit: Audit = "-"
    console: Console = True
    in_flight: InFlight = 32
    traces: Traces = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerOptions:
    """Who may call the REST API."""

    token_file: TokenFile = None
    token_secret: TokenSecret = None
    tokens_file: TokensFile = None
    oidc_issuer: OidcIssuer = None
    oidc_audience: OidcAudience = "tidegate"
    oidc_algorithms: OidcAlgorithms = "RS256,ES256"
    oidc_user_claim: OidcUserClaim = "sub"
    oidc_groups_claim: OidcGroupsClaim = "groups"
    oidc_keys: OidcKeys = None
    oidc_ca_file: OidcCaFile = None
    console_client: ConsoleClient = None
    console_secret_file: ConsoleSecretFile = None
    console_url: ConsoleUrl = None
    token_review: TokenReview = None
    calls_per_second: CallsPerSecond = 200.0
    prefixed_names: PrefixedNames = False
    metrics_token_file: MetricsTokenFile = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    """How several managers agree on a leader."""

    lease: Lease = None
    lease_seconds: LeaseSeconds = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What limits and gateway migrations go by."""

    gateway_overlap: GatewayOverlap = GATEWAY_OVERLAP
    replica_source: Source = ReplicaSource.WATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """The Prometheus server that is asked for replica counts and for usage."""

    prometheus_url: PrometheusUrl = None
    prometheus_token_file: PrometheusTokenFile = None
    prometheus_ca_file: PrometheusCaFile = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsOptions:
    """Where statistics of requests come from."""

    collectors_url: CollectorsUrl = None
    collectors_token_file: CollectorsTokenFile = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricOptions:
    """Where the decided numbers of replicas are served to autoscalers."""

    external_metrics_listen: ExternalMetricsListen = None
    external_metrics_service: ExternalMetricsService = _SERVICE
    keda_url: KedaUrl = DEFAULT_KEDA.url
    keda_auth: KedaAuth = _KEDA_AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """Whom releases may ask."""

    webhook_hosts: WebhookHosts = ""
    webhook_key_file: WebhookKeyFile = None
    webhook_ca_file: WebhookCaFile = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """The repository that holds the manifests."""

    git_url: GitUrl = None
    git_branch: GitBranch = "main"
    git_folder: GitFolder = ""
    git_review: GitReview = False
    git_overrides: GitOverrides = Overrides.EXPIRE
