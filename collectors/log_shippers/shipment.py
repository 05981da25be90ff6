"""Which logs are shipped, and where to: what renderers are given, validated so that no value adds configuration."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collectors.broker_list import is_host_port, wrong_brokers
from istio_templates.access_log.line_format import SCHEMA
from istio_templates.errors import Invalid, Problem
from istio_templates.host_port import joined, parted

SUBJECT = "the log shipper"
GATEWAY_LOGS = "tidegate-gateway-logs"
"""Topic, or index, of the access log of gateways."""
MODEL_LOGS = "tidegate-model-logs"
GATEWAY_NAMESPACE = "inference-gw"
PODS = "/var/log/pods"
"""Where a node keeps logs: NAMESPACE_POD_UID/CONTAINER/NUMBER.log, in the format of container runtimes (CRI)."""
STATE = "/var/lib/tidegate-logs"
"""Where a shipper remembers how far it has read; a folder of the node, so that a new shipper pod goes on there."""
MARK = f'"schema":"{SCHEMA}"'
"""What each line of the access log contains, and no other: in a value, quotes are escaped."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_URL = re.compile(r"(https?)://([^/]+)((?:/[A-Za-z0-9._~-]+)*)/?")


@dataclass(frozen=True, slots=True)
class KafkaTarget:
    """Brokers, each as `HOST:PORT`."""

    brokers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """An Elasticsearch or OpenSearch; `path` is empty, or begins with a slash and ends without."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"{self.scheme}://{joined(self.host, self.port)}{self.path}"


@dataclass(frozen=True, slots=True)
class LogShipment:
    """Logs of the gateways in a namespace and of the models in others, and where they are shipped."""

    target: KafkaTarget | SearchTarget
    gateway_namespace: str = GATEWAY_NAMESPACE
    model_namespaces: tuple[str, ...] = ()

    @property
    def gateway_files(self) -> list[str]:
        """Patterns of the files of gateways."""
        return [f"{PODS}/{self.gateway_namespace}_*/istio-proxy/*.log"]

    @property
    def model_files(self) -> list[str]:
        """Patterns of the files of models; they match the mesh's own containers too."""
        return [f"{PODS}/{name}_*/*/*.log" for name in self.model_namespaces]


MESH_FILES = f"{PODS}/*/istio-*/*.log"
"""Files of the mesh's own containers beside models: what Envoy says there is no log of a model."""


def shipment(
    kafka: str | None, search: str | None, gateway_namespace: str, model_namespaces: Sequence[str]
) -> LogShipment:
    """Return a shipment of what an operator gives; raises `Invalid` with every problem."""
    problems: list[Problem] = []
    names = {gateway_namespace: "gateway namespace", **dict.fromkeys(model_namespaces, "model namespace")}
    for name, field in names.items():
        if not _NAME.fullmatch(name):
            problems.append(Problem(field, f"{name[:80]!r} is no name of a namespace; give it as kubectl shows it"))
    target = _target(kafka, search, problems)
    if problems or target is None:
        raise Invalid(SUBJECT, problems)
    return LogShipment(target, gateway_namespace, tuple(dict.fromkeys(model_namespaces)))


def _target(kafka: str | None, search: str | None, problems: list[Problem]) -> KafkaTarget | SearchTarget | None:
    if (kafka is None) == (search is None):
        problems.append(Problem("target", "give --kafka HOST:PORT,... or --search URL"))
        return None
    if kafka is None:
        return _store(search or "", problems)
    problems += wrong_brokers(kafka)
    return KafkaTarget(tuple(kafka.split(",")))


def _store(text: str, problems: list[Problem]) -> SearchTarget | None:
    found = _URL.fullmatch(text)
    scheme, address, path = found.groups() if found else ("", "", "")
    host, port = parted(address)
    if "@" in text:
        problems.append(Problem("search", "holds credentials; leave them out, and add them where the shipper runs"))
        return None
    if not is_host_port(address):
        problems.append(Problem("search", f"{text[:80]!r} is no address; give http://HOST:PORT"))
        return None
    return SearchTarget(scheme, host, int(port), path)
