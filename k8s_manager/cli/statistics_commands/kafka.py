"""`tidegate collect kafka` and `tidegate collect remote-write`: lines and samples by way of Kafka."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from k8s_manager.cli.server_commands.free_port import require_free
from k8s_manager.cli.server_commands.serve import address
from k8s_manager.cli.server_commands.serve_options import Traces
from k8s_manager.cli.statistics_commands.time_options import span_of

Brokers = Annotated[str, typer.Argument(metavar="BROKERS", help="The brokers to begin with: HOST:PORT,HOST:PORT.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--kafka-config",
        metavar="FILE",
        help="librdkafka's settings of the connection, NAME=VALUE a line: security.protocol, sasl.*, ssl.*, ...",
    ),
]
LATEST = 900
"""Seconds: rows of windows that are older are no longer changed anywhere."""


def add_to(app: typer.Typer) -> None:
    """Add the commands. Their names have two words: `collect` itself takes files."""
    app.command("collect kafka")(kafka)
    app.command("collect remote-write")(remote_write)


def kafka(
    brokers: Brokers,
    topic: Annotated[str, typer.Option(metavar="NAME", help="Where the lines are, one in each message.")],
    rows_topic: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where rows are written, as JSON under their key; absent: only metrics."),
    ] = None,
    group: Annotated[
        str, typer.Option(metavar="NAME", help="The consumer group; its members share the partitions.")
    ] = "tidegate-collector",
    late: Annotated[
        str, typer.Option(metavar="TIME", help="How late a line may come behind others of its partition; at most 15m.")
    ] = "5m",
    kafka_config: Config = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where /metrics and /readyz are served.")
    ] = "127.0.0.1:8710",
    traces: Traces = None,
) -> None:
    """Read access-log lines from a topic until SIGTERM, and write what became of the requests to another one.

    A message holds a line as the gateway wrote it, or as a shipper wraps it: a JSON string, or an object with the line
    in log, message, body, msg or line. Rows are those of ten seconds, at every level; one that is written again under
    the same key, with a higher revision, replaces the one before: make the topic of rows a compacted one.

    Offsets are committed when the rows are acknowledged, and only up to windows that are complete. So a collector may
    be killed at any moment: the next one reads the windows that were open again, and no request is lost or counted
    twice. Lines that come later than --late allows are counted as too_late in /metrics and are in no row.

    Needs the optional packages `kafka` of tidegate.

    tidegate collect kafka kafka-0:9092 --topic gateway-logs --rows-topic request-rows
    """  # fmt: skip
    from k8s_manager.collector.kafka.cluster import cluster_of
    from k8s_manager.collector.kafka.process import run
    from k8s_manager.collector.sinks.kafka_sink import KafkaSink

    span, where, cluster = _late(late), address(listen), cluster_of(brokers, kafka_config)
    require_free(*where)
    sinks = [KafkaSink(cluster, rows_topic)] if rows_topic else []
    uvloop.run(run(cluster, topic, group, sinks, span, where, traces))


def remote_write(
    brokers: Brokers,
    topic: Annotated[
        str,
        typer.Option(metavar="NAME", help="Where samples go; {name} stands for the metric, {tenant} for the tenant."),
    ] = "metrics",
    tenant_label: Annotated[
        str, typer.Option(metavar="LABEL", help="The label with the tenant, by which samples are keyed.")
    ] = "tenant",
    kafka_config: Config = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where /api/v1/write and /metrics are served.")
    ] = "127.0.0.1:8720",
    traces: Traces = None,
) -> None:
    """Take what Prometheus sends by remote write until SIGTERM, and write each sample to Kafka.

    In Prometheus: `remote_write: [{url: "http://HOST:PORT/api/v1/write"}]` (version 1.0). A sample becomes the JSON of
    Telefonica's prometheus-kafka-adapter: timestamp, value (as text), name, labels. A request is answered when Kafka
    has acknowledged its samples; while Kafka is away the answer is 503, and Prometheus sends it again. Markers of
    series that have ended and native histograms are left out and counted in /metrics.

    Needs the optional packages `kafka` of tidegate.

    tidegate collect remote-write kafka-0:9092 --topic metrics-{tenant}
    """  # fmt: skip
    from k8s_manager.collector.kafka.cluster import cluster_of
    from k8s_manager.collector.kafka.remote_write_endpoint import run
    from k8s_manager.collector.kafka.sample_topics import SampleTopics

    where, topics = address(listen), SampleTopics(topic, tenant_label)
    require_free(*where)
    uvloop.run(run(cluster_of(brokers, kafka_config), topics, where, traces))


def _late(text: str) -> int:
    span = span_of("--late", text, "60s or 5m")
    if not 0 <= span <= LATEST:
        raise typer.BadParameter(f"--late {text} is not between 0s and 15m")
    return int(span)
