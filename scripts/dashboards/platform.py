"""The dashboard of the whole platform: every tenant, every gateway, and the collector."""

from scripts.dashboards.board import Board
from scripts.dashboards.panel import graph_by

REQUESTS = (
    graph_by(
        "Demand",
        "Requests that passed the limits, and those refused.",
        "reqps",
        "{{tenant}}",
        "tenant:tidegate_demand:rate5m",
    ),
    graph_by(
        "Refused",
        "Share of the demand that limits refuse.",
        "percentunit",
        "{{tenant}}",
        "tenant:tidegate_limited:ratio_rate5m",
    ),
    graph_by(
        "Errors",
        "Share of the admitted requests that fail.",
        "percentunit",
        "{{tenant}}",
        "tenant:tidegate_errors:ratio_rate5m",
    ),
    graph_by(
        "Latency, p95",
        "Of what the models answered.",
        "s",
        "{{tenant}}",
        "tenant:tidegate_request_duration_seconds:p95_rate5m",
    ),
    graph_by(
        "Bytes", "Of bodies, by direction.", "Bps", "{{tenant}} {{direction}}", "tenant:tidegate_request_bytes:rate5m"
    ),
)
GATEWAYS = (
    graph_by(
        "Requests", "All requests at a gateway.", "reqps", "{{gateway}}", "gateway:tidegate_gateway_requests:rate5m"
    ),
    graph_by(
        "No route",
        "Share of the requests that fit no route.",
        "percentunit",
        "{{gateway}}",
        "gateway:tidegate_no_route:ratio_rate5m",
    ),
    graph_by(
        "Live pods",
        "Gateway pods whose Envoy says that it is live.",
        "short",
        "{{gateway}}",
        "sum by (gateway) (envoy_server_live)",
    ),
)
RESOURCES = (
    graph_by(
        "CPU", "Cores that the pods of models use.", "short", "{{tenant}}", "tenant:container_cpu_usage_seconds:rate5m"
    ),
    graph_by(
        "Memory",
        "Working set of the pods of models.",
        "bytes",
        "{{tenant}}",
        "tenant:container_memory_working_set_bytes:sum",
    ),
    graph_by(
        "GPU memory", "That the pods of models use.", "bytes", "{{tenant}}", "tenant:dcgm_gpu_memory_used_bytes:sum"
    ),
)
COLLECTOR = (
    graph_by(
        "Lines",
        "Lines of access logs, by what became of them.",
        "cps",
        "{{result}}",
        "sum by (result) (rate(tidegate_collector_lines_total[$__rate_interval]))",
    ),
    graph_by(
        "Late lines",
        "Lines for rows that were emitted before.",
        "cps",
        "{{instance}}",
        "rate(tidegate_collector_late_lines_total[$__rate_interval])",
    ),
    graph_by(
        "Lag",
        "How far the rows of the slowest gateway pod are behind.",
        "s",
        "{{instance}}",
        "tidegate_collector_lag_seconds",
    ),
    graph_by(
        "Followed pods", "Gateway pods whose log is followed.", "short", "{{instance}}", "tidegate_collector_pods"
    ),
    graph_by(
        "Unread pods",
        "Gateway pods whose log cannot be read.",
        "short",
        "{{instance}}",
        "tidegate_collector_unread_pods",
    ),
    graph_by(
        "Sink failures",
        "Writes that a sink did not take.",
        "cps",
        "{{sink}}",
        "sum by (sink) (rate(tidegate_collector_sink_failures_total[$__rate_interval]))",
    ),
    graph_by(
        "Waiting rows",
        "Rows that wait for a sink.",
        "short",
        "{{sink}}",
        "max by (sink) (tidegate_collector_sink_rows)",
    ),
    graph_by(
        "Refused rows",
        "Rows that a sink has refused for ever.",
        "cps",
        "{{sink}}",
        "sum by (sink) (rate(tidegate_collector_sink_rows_refused_total[$__rate_interval]))",
    ),
    graph_by(
        "Dropped rows",
        "Rows that were dropped, since too many waited for a sink.",
        "cps",
        "{{sink}}",
        "sum by (sink) (rate(tidegate_collector_sink_rows_dropped_total[$__rate_interval]))",
    ),
)
PLATFORM = Board(
    "platform",
    "Tidegate: platform",
    {"Requests": REQUESTS, "Gateways": GATEWAYS, "Resources": RESOURCES, "Collector": COLLECTOR},
)
