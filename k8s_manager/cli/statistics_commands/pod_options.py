"""The options of a collector that follows the pods of a cluster."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from k8s_manager.cli.server_commands.serve_options import Traces

_pods = partial(typer.Option, rich_help_panel="Following gateway pods")

Pods = Annotated[
    bool, _pods("--pods", help="Follow the logs of a cluster's gateway pods until SIGTERM, instead of reading files.")
]
Kubeconfig = Annotated[Path | None, _pods(help="The cluster; absent: the pod's own service account.")]
Listen = Annotated[str, _pods(metavar="HOST:PORT", help="Where Prometheus reads /metrics, and managers rows.")]
Share = Annotated[
    str | None,
    _pods(metavar="NAMESPACE", help="Share the pods with the other collectors that have Leases in this namespace."),
]
TokenFile = Annotated[Path | None, _pods(help="A file with the bearer token with which managers read rows.")]
TokenReview = Annotated[
    str | None, _pods(metavar="AUDIENCE", help="Take Kubernetes tokens for this audience from those who read rows.")
]
Reader = Annotated[
    list[str] | None,
    _pods(metavar="USER", help="With --token-review: a user who may read rows; may be repeated."),
]
Sink = Annotated[
    list[str] | None,
    _pods(
        metavar="ADDRESS",
        help="Keep rows here too: parquet:/FOLDER, kafka://HOST:PORT/TOPIC, http://SEARCH-STORE:9200; may be repeated.",
    ),
]
SinkCredentials = Annotated[
    list[str] | None,
    _pods(
        metavar="ADDRESS=FILE",
        help="For the --sink with this address: USER:PASSWORD or an API key of the search store, settings of Kafka; "
        "may be repeated. FILE alone where one sink takes credentials.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """Which pods are followed, and who may read what was counted."""

    pods: Pods = False
    kubeconfig: Kubeconfig = None
    listen: Listen = "127.0.0.1:8710"
    share: Share = None
    token_file: TokenFile = None
    token_review: TokenReview = None
    reader: Reader = None
    sink: Sink = None
    sink_credentials: SinkCredentials = None
    traces: Traces = None

    def given(self) -> list[str]:
        """Return the options that are not as they are by default, but for --pods."""
        odd = [one.name for one in fields(self) if getattr(self, one.name) != one.default and one.name != "pods"]
        return [f"--{name.replace('_', '-')}" for name in odd]
