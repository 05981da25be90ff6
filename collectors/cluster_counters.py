"""What a gateway pod has counted of the requests to clusters: its Envoy's statistics, from the port for Prometheus.

A pod shows them where its `proxyStatsMatcher` includes them (`names.COUNTED`); managed gateways have that. Envoy counts
the copies of requests that it mirrors like others, and has no access log of them.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp

from collectors import http
from istio_templates import names

_LINE = re.compile(
    r"^envoy_cluster_(?:(?P<rest>\w+?)_)?upstream_rq(?P<what>_completed|_xx|_time_bucket|_retry|)"
    r"\{(?P<labels>[^}]*)\} (?P<value>\d+)$",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class ClusterCounts:
    """What became of the requests to a cluster since the pod began: how many were answered, by the gateway itself too,
    with which class of status, and how many took up to so many milliseconds (infinity: all). Attempts that were tried
    again, `retries` of them, count by themselves."""

    completed: int = 0
    client_errors: int = 0
    server_errors: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)
    retries: int = 0


def parse(text: str) -> dict[str, ClusterCounts]:
    """Return what was counted of each cluster, by its name (or see `_spellings`), from statistics as Prometheus reads
    them."""
    found: dict[str, dict[str, int]] = {}
    latency: dict[str, dict[float, int]] = {}
    for line in _LINE.finditer(text):
        labels = dict(_LABEL.findall(line["labels"]))
        named = (labels.get("cluster_name") or labels.get("envoy_cluster_name", "")).rstrip(";")
        cluster = f"{named}.{line['rest']}" if line["rest"] else named
        if line["what"] == "_time_bucket":
            latency.setdefault(cluster, {})[_edge(labels.get("le", ""))] = int(line["value"])
        else:
            found.setdefault(cluster, {})[_name(line["what"], labels)] = int(line["value"])
    return {cluster: _counts(values, latency.get(cluster, {})) for cluster, values in found.items()}


def increase(before: ClusterCounts, after: ClusterCounts) -> ClusterCounts:
    """Return what was added between two readings of a pod; one that answered more before has begun again since."""
    if after.completed < before.completed:
        return after
    return ClusterCounts(
        after.completed - before.completed,
        max(0, after.client_errors - before.client_errors),
        max(0, after.server_errors - before.server_errors),
        {edge: max(0, count - before.latency.get(edge, 0)) for edge, count in after.latency.items()},
        max(0, after.retries - before.retries),
    )


def summed(one: ClusterCounts, other: ClusterCounts) -> ClusterCounts:
    """Return the counts of both."""
    edges = {*one.latency, *other.latency}
    return ClusterCounts(
        one.completed + other.completed,
        one.client_errors + other.client_errors,
        one.server_errors + other.server_errors,
        {edge: one.latency.get(edge, 0) + other.latency.get(edge, 0) for edge in sorted(edges)},
        one.retries + other.retries,
    )


def latency_classes(latency: Mapping[float, int]) -> Iterator[tuple[float, float, int]]:
    """Yield the milliseconds above which and up to which latencies lie, and how many do."""
    lower, seen = 0.0, 0
    for edge in sorted(latency):
        if latency[edge] > seen:
            yield lower, edge, latency[edge] - seen
            seen = latency[edge]
        lower = edge


async def read(
    session: aiohttp.ClientSession, address: str, port: int, clusters: Collection[str]
) -> Mapping[str, ClusterCounts] | None:
    """Return what a gateway pod has counted of clusters, of those that it shows; None where it does not answer."""
    wanted = "|".join(sorted(re.sub(r"[^\w-]", ".", cluster) for cluster in clusters))
    asked = quote(f"({wanted});?.{names.COUNTED_OF_CLUSTERS}", safe="")
    shown = await http.text(session, address, port, f"/stats/prometheus?filter={asked}")
    if shown is None:
        return None
    found = await asyncio.to_thread(parse, shown)
    known = {spelling: cluster for cluster in clusters for spelling in _spellings(cluster)}
    return {known[spelling]: counts for spelling, counts in found.items() if spelling in known}


def _spellings(cluster: str) -> tuple[str, str]:
    """Return how statistics name a cluster: as a whole under Istio's tags; under Envoy's own, which take its name to
    end at the first dot, with the rest as Prometheus spells it."""
    head, _, rest = cluster.partition(".")
    return cluster, f"{head}.{re.sub(r'[^a-zA-Z0-9]', '_', rest)}"


def _name(what: str, labels: Mapping[str, str]) -> str:
    """Return which counter a line has: Envoy's own names say the class as 5, Istio's as 5xx."""
    if what in ("_completed", "_retry"):
        return what[1:]
    said = labels.get("response_code_class") or labels.get("envoy_response_code_class", "")
    return f"{said[:1]}xx"


def _edge(text: str) -> float:
    return float(text) if text != "+Inf" else float("inf")


def _counts(values: Mapping[str, int], latency: Mapping[float, int]) -> ClusterCounts:
    return ClusterCounts(
        values.get("completed", 0), values.get("4xx", 0), values.get("5xx", 0), latency, values.get("retry", 0)
    )
