"""`tidegate serve` and `tidegate standalone`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from k8s_manager.access.issuer import Issuer
from k8s_manager.gitops.address import Address
from k8s_manager.settings import GATEWAY_OVERLAP, Git, Settings, Tls


class ReplicaSource(StrEnum):
    """Where replica counts come from."""

    WATCH = "watch"
    PROMETHEUS = "prometheus"
    BOTH = "both"


class Overrides(StrEnum):
    """What becomes of overrides where manifests go to Git."""

    EXPIRE = "expire"
    COMMIT = "commit"


Listen = Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where the REST API listens.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(standalone)


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8700")
    return host or "127.0.0.1", int(port)


def _pair(text: str | None) -> tuple[str, str] | None:
    """Return namespace and name of `NAMESPACE/NAME`."""
    if text is None:
        return None
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise typer.BadParameter(f"{text!r} is not NAMESPACE/NAME, such as tidegate-system/tidegate")
    return namespace, name


def _git(url: str | None, branch: str, folder: str, review: bool, overrides: Overrides) -> Git | None:
    """Return where manifests go; None where that is the cluster. Raises `Invalid`."""
    if not url:
        return None
    address = Address(url, branch, folder)
    address.require("--git-url", "--git-branch", "--git-folder")
    return Git(address, review, overrides.value)


def serve(
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="The cluster; absent: the pod's own account.")
    ] = None,
    listen: Listen = "127.0.0.1:8700",
    token_file: Annotated[Path | None, typer.Option(help="A file with the bearer token of the REST API.")] = None,
    token_secret: Annotated[
        str | None,
        typer.Option(metavar="NAMESPACE/NAME", help="A Secret with that token (key token); made where it is missing."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="TIDEGATE_TLS_CERT", help="Serve HTTPS with this certificate, or the one that replaces it."
        ),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(envvar="TIDEGATE_TLS_KEY", help="Its key.")] = None,
    tokens_file: Annotated[
        Path | None,
        typer.Option(envvar="TIDEGATE_TOKENS_FILE", help="A file with people's tokens, hashed; see `tidegate token`."),
    ] = None,
    oidc_issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="TIDEGATE_OIDC_ISSUER", help="Take the tokens of this OpenID Connect issuer."
        ),
    ] = None,
    oidc_audience: Annotated[
        str, typer.Option(envvar="TIDEGATE_OIDC_AUDIENCE", help="Whom those tokens must be meant for.")
    ] = "tidegate",
    oidc_algorithms: Annotated[
        str, typer.Option(envvar="TIDEGATE_OIDC_ALGORITHMS", help="How they may be signed.")
    ] = "RS256,ES256",
    oidc_user_claim: Annotated[
        str, typer.Option(envvar="TIDEGATE_OIDC_USER_CLAIM", help="The claim with the user's name.")
    ] = "sub",
    oidc_groups_claim: Annotated[
        str, typer.Option(envvar="TIDEGATE_OIDC_GROUPS_CLAIM", help="The claim with the groups.")
    ] = "groups",
    oidc_keys: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="TIDEGATE_OIDC_KEYS", help="Where its keys are; absent: as it says itself."),
    ] = None,
    oidc_ca_file: Annotated[
        Path | None, typer.Option(envvar="TIDEGATE_OIDC_CA_FILE", help="The authorities for the issuer's certificate.")
    ] = None,
    token_review: Annotated[
        str | None,
        typer.Option(
            metavar="AUDIENCE",
            envvar="TIDEGATE_TOKEN_REVIEW",
            help="Take Kubernetes tokens that are for this audience.",
        ),
    ] = None,
    audit: Annotated[
        str,
        typer.Option(envvar="TIDEGATE_AUDIT", help="Where the audit trail goes: - (standard output), a file, or off."),
    ] = "-",
    calls_per_second: Annotated[float, typer.Option(min=1, help="How often one caller may call the REST API.")] = 200.0,
    lease: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="The Lease by which several managers agree on one that leads; without it this is the only manager.",
        ),
    ] = None,
    lease_seconds: Annotated[
        float, typer.Option(min=3, max=120, help="How long the others wait for a leader that is silent.")
    ] = 15.0,
    gateway_overlap: Annotated[
        float,
        typer.Option(
            min=0,
            envvar="TIDEGATE_GATEWAY_OVERLAP",
            help="Seconds for which a tenant that moves is served by its old gateway too.",
        ),
    ] = GATEWAY_OVERLAP,
    replica_source: Annotated[
        ReplicaSource,
        typer.Option(help="Where replica counts come from; both: the pods count, a condition says where they differ."),
    ] = ReplicaSource.WATCH,
    prometheus_url: Annotated[
        str | None, typer.Option(envvar="TIDEGATE_PROMETHEUS_URL", help="The Prometheus that has kube-state-metrics.")
    ] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Writes to Kubernetes under way at once.")] = 32,
    git_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="TIDEGATE_GIT_URL",
            help="Commit manifests to this repository (https, ssh) instead of writing them into the cluster; slots and "
            "routes stay the manager's.",
        ),
    ] = None,
    git_branch: Annotated[
        str, typer.Option(envvar="TIDEGATE_GIT_BRANCH", help="The branch that holds the tree.")
    ] = "main",
    git_folder: Annotated[
        str, typer.Option(metavar="DIR", envvar="TIDEGATE_GIT_FOLDER", help="Where in the repository the tree stands.")
    ] = "",
    git_review: Annotated[
        bool,
        typer.Option(
            "--git-review", envvar="TIDEGATE_GIT_REVIEW", help="Give each change a branch, tidegate/..., for review."
        ),
    ] = False,
    git_overrides: Annotated[
        Overrides,
        typer.Option(
            envvar="TIDEGATE_GIT_OVERRIDES",
            help="What becomes of overrides: they end by themselves, or are committed as long as they hold.",
        ),
    ] = Overrides.EXPIRE,
) -> None:
    """Run the manager against a cluster, until SIGTERM.

    With --git-url, user and token for https are in TIDEGATE_GIT_USER and TIDEGATE_GIT_TOKEN, authorities besides the
    public ones in the file TIDEGATE_GIT_CA_FILE, and the ssh program with its options in GIT_SSH_COMMAND.
    """
    from k8s_manager.manager import run

    if replica_source is not ReplicaSource.WATCH and prometheus_url is None:
        raise typer.BadParameter(f"--replica-source {replica_source.value} needs --prometheus-url")
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    settings = Settings(
        kubeconfig=kubeconfig,
        listen=address(listen),
        token_file=token_file,
        token_secret=_pair(token_secret),
        tls=Tls(tls_cert, tls_key) if tls_cert and tls_key else None,
        tokens_file=tokens_file,
        oidc=None
        if oidc_issuer is None
        else Issuer(
            oidc_issuer,
            oidc_audience,
            tuple(name.strip() for name in oidc_algorithms.split(",")),
            oidc_user_claim,
            oidc_groups_claim,
            oidc_keys,
        ),
        oidc_ca_file=oidc_ca_file,
        token_review=token_review,
        audit=audit,
        calls_per_second=calls_per_second,
        lease=_pair(lease),
        lease_seconds=lease_seconds,
        gateway_overlap=gateway_overlap,
        in_flight=in_flight,
        replica_source=replica_source.value,
        prometheus_url=None if replica_source is ReplicaSource.WATCH else prometheus_url,
        git=_git(git_url, git_branch, git_folder, git_review, git_overrides),
    )
    uvloop.run(run(settings))


def standalone(
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept; started again, it goes on.")
    ] = Path(".standalone"),
    listen: Listen = "127.0.0.1:8700",
    demo: Annotated[
        bool, typer.Option("--demo", help="Make a gateway, a tenant and a trained model, and say what to try.")
    ] = False,
    without_manager: Annotated[
        bool,
        typer.Option("--without-manager", help="Run the manager yourself: tidegate serve --kubeconfig DIR/kubeconfig"),
    ] = False,
) -> None:
    """Run everything on this machine: a Kubernetes API, pods as processes, real Envoys, the manager.

    For trying Tidegate out, for development and for tests; NEVER for production: one machine, no isolation, container
    images are not used (a container's command runs as a local process). Needs Linux and tidegate[standalone].
    Stays in the foreground; stop it with Ctrl-C. Writes DIR/token (REST API) and DIR/kubeconfig (kubectl).
    """
    try:
        from k8s_manager.standalone import greeting, supervisor
    except ImportError as error:
        typer.echo(f"tidegate: {error.name} is missing; install tidegate[standalone]", err=True)
        raise typer.Exit(1) from None
    place = supervisor.Place(state.absolute(), address(listen))
    uvloop.run(supervisor.run(place, not without_manager, greeting.Greeting(place, demo, not without_manager)))
