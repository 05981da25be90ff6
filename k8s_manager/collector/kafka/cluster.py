"""A Kafka cluster: its brokers, how to log in, and the client library, which not everybody has installed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from collectors.broker_list import require_brokers
from istio_templates.errors import Invalid, Problem, Stalled, Transient

CONNECTION = (
    "sasl.",
    "security.",
    "ssl.",
    "broker.",
    "socket.",
    "reconnect.",
    "client.",
    "metadata.",
    "group.instance.id",
)
"""Beginnings of the settings that a file may set; the others are what the commands stand for."""
LOG_LEVEL = 2
"""What librdkafka logs by itself: critical messages. What fails comes as an error, once, and not once a second."""


class KafkaAbsent(Stalled):
    """A package that Kafka needs is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"Kafka needs the package {package}, which is not installed; pip install tidegate[kafka]")


class KafkaUnavailable(Transient):
    """A Kafka cluster does not take what is written, or does not answer."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(f"{subject} does not answer as it should ({why}); it is tried again, check the brokers")
        self.why = why


def library(name: str = "confluent_kafka") -> Any:
    """Return a module of the optional packages; raises `KafkaAbsent`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise KafkaAbsent(name.replace("_", "-")) from error


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Brokers (HOST:PORT,...) and librdkafka's settings for the connection, which may be secret."""

    brokers: str
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def client(self, **own: object) -> dict[str, Any]:
        """Return the configuration of a client; underscores in names of its own settings stand for dots."""
        named = {name.replace("_", "."): value for name, value in own.items()}
        return {"client.id": "tidegate", **self.settings, "bootstrap.servers": self.brokers, **named}


def cluster_of(brokers: str, file: Path | None = None) -> KafkaCluster:
    """Return a cluster with the settings in a file of NAME=VALUE lines; raises `Invalid`."""
    require_brokers(brokers)
    if file is None:
        return KafkaCluster(brokers)
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(str(file), [Problem("", f"cannot be read ({error}); give a file of NAME=VALUE lines")]) from error
    pairs = [line.strip().partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    settings = {name.strip(): value.strip() for name, _, value in pairs}
    allowed = ", ".join(f"{name}*" if name.endswith(".") else name for name in CONNECTION)
    odd = [name for name in settings if not name.startswith(CONNECTION)]
    if odd:
        raise Invalid(str(file), [Problem(name, f"is no setting of the connection; use {allowed}") for name in odd])
    return KafkaCluster(brokers, settings)
