"""`tidegate serve` and `tidegate standalone`."""

import re
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from istio_templates.facts import KedaFacts
from istio_templates.host_port import parted
from istio_templates.text.web_address import HostPattern, host_pattern
from k8s_manager.authz.issuer import Issuer
from k8s_manager.cli.option_groups import grouped
from k8s_manager.cli.server_commands import serve_options as options
from k8s_manager.cli.server_commands.free_port import require_free
from k8s_manager.cli.server_commands.registry_options import RegistryOptions, mlflow_settings
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.settings import SERVICE, Git, Settings, Tls


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(grouped(serve))
    app.command()(standalone)


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`."""
    host, port = parted(text)
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


def serve(
    server: options.ServerOptions,
    callers: options.CallerOptions,
    managers: options.ManagerOptions,
    limits: options.LimitOptions,
    prometheus: options.PrometheusOptions,
    statistics: options.StatisticsOptions,
    metrics: options.MetricOptions,
    releases: options.ReleaseOptions,
    registries: RegistryOptions,
    git: options.GitOptions,
) -> None:
    """Run the manager against a cluster, until SIGTERM.

    With --git-url, user and token for https are in TIDEGATE_GIT_USER and TIDEGATE_GIT_TOKEN, authorities besides the
    public ones in the file TIDEGATE_GIT_CA_FILE, and the ssh program with its options in GIT_SSH_COMMAND.
    """
    from k8s_manager.manager import run

    _require_prometheus(limits, prometheus)
    settings = Settings(
        kubeconfig=server.kubeconfig,
        listen=address(server.listen),
        token_file=callers.token_file,
        token_secret=_pair(callers.token_secret),
        tls=_tls(server),
        tokens_file=callers.tokens_file,
        oidc=_issuer(callers),
        oidc_ca_file=callers.oidc_ca_file,
        token_review=callers.token_review,
        audit=server.audit,
        console=server.console,
        console_client=callers.console_client,
        console_secret_file=callers.console_secret_file,
        console_url=callers.console_url,
        calls_per_second=callers.calls_per_second,
        prefixed_names=callers.prefixed_names,
        metrics_token_file=callers.metrics_token_file,
        lease=_pair(managers.lease),
        lease_seconds=managers.lease_seconds,
        gateway_overlap=limits.gateway_overlap,
        in_flight=server.in_flight,
        replica_source=limits.replica_source.value,
        prometheus_url=_prometheus_url(prometheus.prometheus_url),
        prometheus_token_file=prometheus.prometheus_token_file,
        prometheus_ca_file=prometheus.prometheus_ca_file,
        collectors_url=_http_url(statistics.collectors_url),
        collectors_token_file=statistics.collectors_token_file,
        webhook_hosts=_webhook_hosts(releases),
        webhook_key_file=releases.webhook_key_file,
        webhook_ca_file=releases.webhook_ca_file,
        mlflow=mlflow_settings(registries),
        traces_url=server.traces,
        external_metrics_listen=address(metrics.external_metrics_listen) if metrics.external_metrics_listen else None,
        external_metrics_service=_pair(metrics.external_metrics_service) or SERVICE,
        keda=_keda(metrics.keda_url, metrics.keda_auth),
        git=_git(git),
    )
    require_free(*settings.listen)
    uvloop.run(run(settings))


def _require_prometheus(limits: options.LimitOptions, prometheus: options.PrometheusOptions) -> None:
    if limits.replica_source is not options.ReplicaSource.WATCH and prometheus.prometheus_url is None:
        raise typer.BadParameter(f"--replica-source {limits.replica_source.value} needs --prometheus")


def _webhook_hosts(releases: options.ReleaseOptions) -> tuple[HostPattern, ...]:
    """Return the hosts that may be called, which takes a key that signs."""
    given = [text.strip() for text in releases.webhook_hosts.split(",") if text.strip()]
    if given and releases.webhook_key_file is None:
        raise typer.BadParameter("--webhook-hosts needs --webhook-key-file: receivers see by it who asks")
    try:
        return tuple(map(host_pattern, given))
    except ValueError as error:
        raise typer.BadParameter(f"--webhook-hosts: {error}") from None


def _http_url(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"http://[^/?#@]+/?", text):
        raise typer.BadParameter(
            f"--collectors {text!r} is not http://HOST:PORT, such as http://tidegate-collector:8710"
        )
    return text


def _prometheus_url(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", text):
        raise typer.BadParameter(f"--prometheus {text!r} is no URL, such as http://prometheus.monitoring:9090")
    return text


def _keda(url: str, auth: str) -> KedaFacts:
    """Return how KEDA asks; an address with characters that a URL has not would be one of another place."""
    if not re.fullmatch(r"https?://[-A-Za-z0-9.:\[\]]+(/[-A-Za-z0-9._~/]*)?", url):
        raise typer.BadParameter(f"--keda-url {url!r} is no URL, such as http://tidegate.tidegate-system.svc")
    kind, _, name = auth.partition("/")
    if kind not in ("ClusterTriggerAuthentication", "TriggerAuthentication") or not re.fullmatch(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name
    ):
        raise typer.BadParameter(f"--keda-auth {auth!r} is no KIND/NAME, such as TriggerAuthentication/tidegate")
    return KedaFacts(url.rstrip("/"), (kind, name))


def _tls(server: options.ServerOptions) -> Tls | None:
    if (server.tls_cert is None) != (server.tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    return Tls(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None


def _issuer(callers: options.CallerOptions) -> Issuer | None:
    if callers.oidc_issuer is None:
        return None
    return Issuer(
        callers.oidc_issuer,
        callers.oidc_audience,
        tuple(name.strip() for name in callers.oidc_algorithms.split(",")),
        callers.oidc_user_claim,
        callers.oidc_groups_claim,
        callers.oidc_keys,
    )


def _git(git: options.GitOptions) -> Git | None:
    """Return where manifests go; None where that is the cluster. Raises `Invalid`."""
    if not git.git_url:
        return None
    address = Address(git.git_url, git.git_branch, git.git_folder)
    address.require("--git-url", "--git-branch", "--git-folder")
    return Git(address, git.git_review, git.git_overrides.value)


def standalone(
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of all state; a standalone started again with it continues.")
    ] = Path(".standalone"),
    listen: options.Listen = "127.0.0.1:8700",
    demo: Annotated[
        bool, typer.Option("--demo", help="Make a gateway, a tenant and a trained model, and say what to try.")
    ] = False,
    without_manager: Annotated[
        bool,
        typer.Option("--without-manager", help="Run the manager yourself: tidegate serve --kubeconfig DIR/kubeconfig"),
    ] = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="Keep rows of requests for 35 days, in DIR/rows; needs tidegate[history]."),
    ] = False,
) -> None:
    """Run everything on this machine: a Kubernetes API, pods as processes, real Envoys, the manager.

    For trying Tidegate out, for development and for tests; NEVER for production: one machine, no isolation, container
    images are not used (a container's command runs as a local process). Needs Linux and tidegate[standalone].
    Stays in the foreground; stop it with Ctrl-C. Writes DIR/token (REST API) and DIR/kubeconfig (kubectl).
    """
    try:
        from k8s_manager.standalone import supervisor, welcome
    except ImportError as error:
        typer.echo(f"tidegate: {error.name} is missing; install tidegate[standalone]", err=True)
        raise typer.Exit(1) from None
    if history:
        from k8s_manager.collector.sinks.parquet_sql import require_duckdb

        require_duckdb()
    place = supervisor.StateFolder(state.absolute(), address(listen), history)
    greets = welcome.Greeting(place, demo, not without_manager)
    uvloop.run(supervisor.run(place, not without_manager, greets, require_free))
