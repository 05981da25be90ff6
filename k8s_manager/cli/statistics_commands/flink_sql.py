"""`tidegate collect flink-sql`: the same counting for Flink, printed."""

from typing import Annotated

import typer

from collectors.access_log.sql.flink_sql import kafka_script
from collectors.broker_list import require_brokers


def add_to(app: typer.Typer) -> None:
    """Add the command. Its name has two words: `collect` itself takes files."""
    app.command("collect flink-sql")(flink_sql)


def flink_sql(
    brokers: Annotated[str, typer.Argument(metavar="BROKERS", help="The brokers of Kafka: HOST:PORT,HOST:PORT.")],
) -> None:
    """Print the counting of access logs as Flink SQL, from a topic of lines to a topic of rows.

    It comes from the same definitions of outcomes, levels and buckets as the collector's own counting, and makes the
    same rows. manifests/flink/ runs it with Flink's operator.

    tidegate collect flink-sql kafka-0:9092 > request-rows.sql
    """
    typer.echo(kafka_script(require_brokers(brokers)), nl=False)
