"""`tidegate serve` and `tidegate standalone`."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from k8s_manager.authz.issuer import Issuer
from k8s_manager.cli.server_commands import serve_options as options
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.settings import GATEWAY_OVERLAP, Git, Settings, Tls


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


def _git(url: str | None, branch: str, folder: str, review: bool, overrides: options.Overrides) -> Git | None:
    """Return where manifests go; None where that is the cluster. Raises `Invalid`."""
    if not url:
        return None
    address = Address(url, branch, folder)
    address.require("--git-url", "--git-branch", "--git-folder")
    return Git(address, review, overrides.value)


def serve(
    kubeconfig: options.Kubeconfig = None,
    listen: options.Listen = "127.0.0.1:8700",
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    audit: options.Audit = "-",
    in_flight: options.InFlight = 32,
    token_file: options.TokenFile = None,
    token_secret: options.TokenSecret = None,
    tokens_file: options.TokensFile = None,
    oidc_issuer: options.OidcIssuer = None,
    oidc_audience: options.OidcAudience = "tidegate",
    oidc_algorithms: options.OidcAlgorithms = "RS256,ES256",
    oidc_user_claim: options.OidcUserClaim = "sub",
    oidc_groups_claim: options.OidcGroupsClaim = "groups",
    oidc_keys: options.OidcKeys = None,
    oidc_ca_file: options.OidcCaFile = None,
    token_review: options.TokenReview = None,
    calls_per_second: options.CallsPerSecond = 200.0,
    lease: options.Lease = None,
    lease_seconds: options.LeaseSeconds = 15.0,
    gateway_overlap: options.GatewayOverlap = GATEWAY_OVERLAP,
    replica_source: options.Source = options.ReplicaSource.WATCH,
    prometheus_url: options.PrometheusUrl = None,
    git_url: options.GitUrl = None,
    git_branch: options.GitBranch = "main",
    git_folder: options.GitFolder = "",
    git_review: options.GitReview = False,
    git_overrides: options.GitOverrides = options.Overrides.EXPIRE,
) -> None:
    """Run the manager against a cluster, until SIGTERM.

    With --git-url, user and token for https are in TIDEGATE_GIT_USER and TIDEGATE_GIT_TOKEN, authorities besides the
    public ones in the file TIDEGATE_GIT_CA_FILE, and the ssh program with its options in GIT_SSH_COMMAND.
    """
    from k8s_manager.manager import run

    by_watch = replica_source is options.ReplicaSource.WATCH
    if not by_watch and prometheus_url is None:
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
        oidc=Issuer(
            oidc_issuer,
            oidc_audience,
            tuple(name.strip() for name in oidc_algorithms.split(",")),
            oidc_user_claim,
            oidc_groups_claim,
            oidc_keys,
        )
        if oidc_issuer is not None
        else None,
        oidc_ca_file=oidc_ca_file,
        token_review=token_review,
        audit=audit,
        calls_per_second=calls_per_second,
        lease=_pair(lease),
        lease_seconds=lease_seconds,
        gateway_overlap=gateway_overlap,
        in_flight=in_flight,
        replica_source=replica_source.value,
        prometheus_url=None if by_watch else prometheus_url,
        git=_git(git_url, git_branch, git_folder, git_review, git_overrides),
    )
    uvloop.run(run(settings))


def standalone(
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept; started again, it goes on.")
    ] = Path(".standalone"),
    listen: options.Listen = "127.0.0.1:8700",
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
    place = supervisor.StateFolder(state.absolute(), address(listen))
    uvloop.run(supervisor.run(place, not without_manager, greeting.Greeting(place, demo, not without_manager)))
