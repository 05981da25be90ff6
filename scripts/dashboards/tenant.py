"""The dashboard of one tenant: its models side by side."""

from scripts.dashboards.board import Board, Choice
from scripts.dashboards.panel import Panel, graph, graph_by

TENANTS = Choice("tenant", "Tenant", "tidegate_requests_total")


def _tenant(rule: str) -> str:
    return f'{rule}{{tenant="$tenant"}}'


def _models(title: str, description: str, unit: str, rule: str) -> Panel:
    return graph_by(title, description, unit, "{{model}}", _tenant(rule))


REQUESTS = (
    graph(
        "Demand",
        "What clients ask for, and what the limits admit.",
        "reqps",
        demand=_tenant("tenant:tidegate_demand:rate5m"),
        admitted=_tenant("tenant:tidegate_admitted:rate5m"),
    ),
    graph(
        "Shares",
        "Refused by limits, of the demand; failed, of what was admitted.",
        "percentunit",
        refused=_tenant("tenant:tidegate_limited:ratio_rate5m"),
        failed=_tenant("tenant:tidegate_errors:ratio_rate5m"),
    ),
    graph(
        "Latency",
        "Of what the models answered.",
        "s",
        p50=_tenant("tenant:tidegate_request_duration_seconds:p50_rate5m"),
        p95=_tenant("tenant:tidegate_request_duration_seconds:p95_rate5m"),
        p99=_tenant("tenant:tidegate_request_duration_seconds:p99_rate5m"),
    ),
)
MODELS = (
    _models("Demand", "Requests that passed the limit, and those refused.", "reqps", "model:tidegate_demand:rate5m"),
    _models("Refused", "Share of the demand.", "percentunit", "model:tidegate_limited:ratio_rate5m"),
    _models("Errors", "Share of the admitted requests.", "percentunit", "model:tidegate_errors:ratio_rate5m"),
    _models("Latency, p95", "Of what it answered.", "s", "model:tidegate_request_duration_seconds:p95_rate5m"),
    graph_by(
        "Bytes",
        "Of bodies, by direction.",
        "Bps",
        "{{model}} {{direction}}",
        _tenant("model:tidegate_request_bytes:rate5m"),
    ),
)
RESOURCES = (
    _models("CPU", "Cores that its pods use.", "short", "model:container_cpu_usage_seconds:rate5m"),
    _models("Memory", "Working set of its pods.", "bytes", "model:container_memory_working_set_bytes:sum"),
    _models("GPU", "Utilization of its pods' GPUs.", "percentunit", "model:dcgm_gpu_utilization:avg_ratio"),
)
TENANT = Board(
    "tenant", "Tidegate: tenant", {"Requests": REQUESTS, "Models": MODELS, "Resources": RESOURCES}, (TENANTS,)
)
