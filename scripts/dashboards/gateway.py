"""The dashboard of one gateway: its requests, how its pods share them, and their Envoys."""

from scripts.dashboards.board import Board, Choice
from scripts.dashboards.panel import graph_by

_OUTCOMES = 'sum by (outcome) (rate(tidegate_gateway_requests_total{gateway="$gateway"}[$__rate_interval]))'
_REQUESTS = 'max by (pod) (rate(tidegate_gateway_pod_requests_total{gateway="$gateway"}[$__rate_interval]))'
_REFUSED = 'max by (pod) (rate(tidegate_gateway_pod_refused_total{gateway="$gateway"}[$__rate_interval]))'


def _envoy(metric: str) -> str:
    return f'sum by (pod) ({metric}{{gateway="$gateway"}})'


REQUESTS = (
    graph_by("Requests", "By outcome, as docs/access-log.md explains them.", "reqps", "{{outcome}}", _OUTCOMES),
    graph_by(
        "No route",
        "Share of the requests that fit no route.",
        "percentunit",
        "{{gateway}}",
        'gateway:tidegate_no_route:ratio_rate5m{gateway="$gateway"}',
    ),
)
PODS = (
    graph_by(
        "Requests", "Uneven load shows here: every pod has the same share of each limit.", "reqps", "{{pod}}", _REQUESTS
    ),
    graph_by("Refused", "429, and RESOURCE_EXHAUSTED of gRPC.", "reqps", "{{pod}}", _REFUSED),
)
ENVOY = (
    graph_by("Live", "1 while the pod's Envoy says that it is live.", "short", "{{pod}}", _envoy("envoy_server_live")),
    graph_by(
        "Connections",
        "Open connections of all listeners.",
        "short",
        "{{pod}}",
        _envoy("envoy_server_total_connections"),
    ),
    graph_by("Memory", "That Envoy has allocated.", "bytes", "{{pod}}", _envoy("envoy_server_memory_allocated")),
    graph_by(
        "Draining listeners",
        "Listeners that a change replaces; their connections end.",
        "short",
        "{{pod}}",
        _envoy("envoy_listener_manager_total_listeners_draining"),
    ),
    graph_by("Clusters", "That the pod knows.", "short", "{{pod}}", _envoy("envoy_cluster_manager_active_clusters")),
)
GATEWAY = Board(
    "gateway",
    "Tidegate: gateway",
    {"Requests": REQUESTS, "Gateway pods": PODS, "Envoy": ENVOY},
    (Choice("gateway", "Gateway", "tidegate_gateway_requests_total"),),
)
