"""The options of `tidegate serve`, in the groups in which its help shows them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

CALLERS, MANAGERS, LIMITS, GIT = "Who may call", "Several managers", "Limits and moves", "Manifests in Git"


class ReplicaSource(StrEnum):
    """Where replica counts come from."""

    WATCH = "watch"
    PROMETHEUS = "prometheus"
    BOTH = "both"


class Overrides(StrEnum):
    """What becomes of overrides where manifests go to Git."""

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
TlsKey = Annotated[Path | None, typer.Option(envvar="TIDEGATE_TLS_KEY", help="Its key.")]
Audit = Annotated[
    str, typer.Option(envvar="TIDEGATE_AUDIT", help="Where the audit trail goes: - (standard output), a file, or off.")
]
InFlight = Annotated[int, typer.Option(min=1, max=256, help="Writes to Kubernetes under way at once.")]

TokenFile = Annotated[
    Path | None, typer.Option(rich_help_panel=CALLERS, help="A file with the bearer token of the REST API.")
]
TokenSecret = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACE/NAME",
        rich_help_panel=CALLERS,
        help="A Secret with that token (key token); made where it is missing.",
    ),
]
TokensFile = Annotated[
    Path | None,
    typer.Option(
        envvar="TIDEGATE_TOKENS_FILE",
        rich_help_panel=CALLERS,
        help="A file with people's tokens, hashed; see `tidegate token`.",
    ),
]
OidcIssuer = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="TIDEGATE_OIDC_ISSUER",
        rich_help_panel=CALLERS,
        help="Take the tokens of this OpenID Connect issuer.",
    ),
]
OidcAudience = Annotated[
    str,
    typer.Option(envvar="TIDEGATE_OIDC_AUDIENCE", rich_help_panel=CALLERS, help="Whom those tokens must be meant for."),
]
OidcAlgorithms = Annotated[
    str,
    typer.Option(envvar="TIDEGATE_OIDC_ALGORITHMS", rich_help_panel=CALLERS, help="How they may be signed."),
]
OidcUserClaim = Annotated[
    str,
    typer.Option(envvar="TIDEGATE_OIDC_USER_CLAIM", rich_help_panel=CALLERS, help="The claim with the user's name."),
]
OidcGroupsClaim = Annotated[
    str,
    typer.Option(envvar="TIDEGATE_OIDC_GROUPS_CLAIM", rich_help_panel=CALLERS, help="The claim with the groups."),
]
OidcKeys = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="TIDEGATE_OIDC_KEYS",
        rich_help_panel=CALLERS,
        help="Where its keys are; absent: as it says itself.",
    ),
]
OidcCaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="TIDEGATE_OIDC_CA_FILE",
        rich_help_panel=CALLERS,
        help="The authorities for the issuer's certificate.",
    ),
]
TokenReview = Annotated[
    str | None,
    typer.Option(
        metavar="AUDIENCE",
        envvar="TIDEGATE_TOKEN_REVIEW",
        rich_help_panel=CALLERS,
        help="Take Kubernetes tokens that are for this audience.",
    ),
]
CallsPerSecond = Annotated[
    float, typer.Option(min=1, rich_help_panel=CALLERS, help="How often one caller may call the REST API.")
]

Lease = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACE/NAME",
        rich_help_panel=MANAGERS,
        help="The Lease by which several managers agree on one that leads; without it this is the only manager.",
    ),
]
LeaseSeconds = Annotated[
    float,
    typer.Option(
        min=3, max=120, rich_help_panel=MANAGERS, help="How long the others wait for a leader that is silent."
    ),
]

GatewayOverlap = Annotated[
    float,
    typer.Option(
        min=0,
        envvar="TIDEGATE_GATEWAY_OVERLAP",
        rich_help_panel=LIMITS,
        help="Seconds for which a tenant that moves is served by its old gateway too.",
    ),
]
Source = Annotated[
    ReplicaSource,
    typer.Option(
        rich_help_panel=LIMITS,
        help="Where replica counts come from; both: the pods count, a condition says where they differ.",
    ),
]
PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        envvar="TIDEGATE_PROMETHEUS_URL",
        rich_help_panel=LIMITS,
        help="The Prometheus that has kube-state-metrics.",
    ),
]

GitUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="TIDEGATE_GIT_URL",
        rich_help_panel=GIT,
        help="Commit manifests to this repository (https, ssh) instead of writing them into the cluster; slots and "
        "routes stay the manager's.",
    ),
]
GitBranch = Annotated[
    str,
    typer.Option(envvar="TIDEGATE_GIT_BRANCH", rich_help_panel=GIT, help="The branch that holds the tree."),
]
GitFolder = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        envvar="TIDEGATE_GIT_FOLDER",
        rich_help_panel=GIT,
        help="Where in the repository the tree stands.",
    ),
]
GitReview = Annotated[
    bool,
    typer.Option(
        "--git-review",
        envvar="TIDEGATE_GIT_REVIEW",
        rich_help_panel=GIT,
        help="Give each change a branch, tidegate/..., for review.",
    ),
]
GitOverrides = Annotated[
    Overrides,
    typer.Option(
        envvar="TIDEGATE_GIT_OVERRIDES",
        rich_help_panel=GIT,
        help="What becomes of overrides: they end by themselves, or are committed as long as they hold.",
    ),
]
