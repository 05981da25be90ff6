"""`tidegate collect shipper`: a log shipper's configuration, printed."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from collectors.log_shippers.filebeat import filebeat
from collectors.log_shippers.fluent_bit import fluent_bit
from collectors.log_shippers.otel_collector import otel_collector
from collectors.log_shippers.rsyslog import rsyslog
from collectors.log_shippers.shipment import GATEWAY_NAMESPACE, LogShipment, shipment


class Shipper(StrEnum):
    """Programs that ship logs."""

    FLUENT_BIT = "fluent-bit"
    OTEL_COLLECTOR = "otel-collector"
    RSYSLOG = "rsyslog"
    FILEBEAT = "filebeat"


RENDERERS: dict[Shipper, Callable[[LogShipment], str]] = {
    Shipper.FLUENT_BIT: fluent_bit,
    Shipper.OTEL_COLLECTOR: otel_collector,
    Shipper.RSYSLOG: rsyslog,
    Shipper.FILEBEAT: filebeat,
}


def add_to(app: typer.Typer) -> None:
    """Add the command. Its name has two words: `collect` itself takes files."""
    app.command("collect shipper")(shipper)


def shipper(
    name: Annotated[Shipper, typer.Argument(metavar="SHIPPER", help="fluent-bit, otel-collector, rsyslog, filebeat.")],
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,...", help="Ship to Kafka, over these brokers.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="URL", help="Ship to Elasticsearch or OpenSearch, http://HOST:PORT.")
    ] = None,
    gateway_namespace: Annotated[
        str, typer.Option(metavar="NAME", help="The namespace of the gateway pods.")
    ] = GATEWAY_NAMESPACE,
    model_namespace: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Ship the logs of models in this namespace too; may be given several times."),
    ] = None,
) -> None:
    """Print the configuration by which a program ships the logs of gateways and models from a node.

    Nothing is asked of a cluster, and nothing is installed. What arrives stands in docs/log-shippers.md.

    tidegate collect shipper fluent-bit --kafka kafka-0:9092,kafka-1:9092 --model-namespace search
    """
    typer.echo(RENDERERS[name](shipment(kafka, search, gateway_namespace, model_namespace or ())), nl=False)
