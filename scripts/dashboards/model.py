"""The dashboard of one model: demand beside its limit, outcomes, latency, and what its pods use."""

from scripts.dashboards.board import Board, Choice
from scripts.dashboards.panel import Panel, Query, graph, graph_by
from scripts.dashboards.tenant import TENANTS

_MODEL = '{tenant="$tenant",model="$model"}'
_OUTCOMES = f"sum by (outcome) (rate(tidegate_requests_total{_MODEL}[$__rate_interval]))"
_DEMAND = (
    Query("demand", f"model:tidegate_demand:rate5m{_MODEL}"),
    Query("admitted", f"model:tidegate_admitted:rate5m{_MODEL}"),
    Query("limit {{version}}", f"model:tidegate_ratelimit_target_rps:max{_MODEL}"),
)


def _model(title: str, description: str, unit: str, rule: str) -> Panel:
    return graph_by(title, description, unit, "{{model}}", rule + _MODEL)


REQUESTS = (
    Panel("Demand and limit", "What clients ask for, what is admitted, and the limit.", "reqps", _DEMAND),
    graph_by("Outcomes", "As docs/access-log.md explains them.", "reqps", "{{outcome}}", _OUTCOMES),
    graph(
        "Shares",
        "Refused by the limit, of the demand; failed, of what was admitted.",
        "percentunit",
        refused=f"model:tidegate_limited:ratio_rate5m{_MODEL}",
        failed=f"model:tidegate_errors:ratio_rate5m{_MODEL}",
    ),
    graph(
        "Latency",
        "Of what the model answered.",
        "s",
        p50=f"model:tidegate_request_duration_seconds:p50_rate5m{_MODEL}",
        p95=f"model:tidegate_request_duration_seconds:p95_rate5m{_MODEL}",
        p99=f"model:tidegate_request_duration_seconds:p99_rate5m{_MODEL}",
    ),
    graph_by(
        "Bytes", "Of bodies, by direction.", "Bps", "{{direction}}", f"model:tidegate_request_bytes:rate5m{_MODEL}"
    ),
    graph(
        "Replicas",
        "Ready ones, which the limit follows, and those that autoscale asks for.",
        "short",
        **{
            "ready": f"model:tidegate_ratelimit_replicas_observed:max{_MODEL}",
            "asked for": f"model:tidegate_autoscale_replicas:sum{_MODEL}",
        },
    ),
)
RESOURCES = (
    _model("CPU", "Cores that its pods use.", "short", "model:container_cpu_usage_seconds:rate5m"),
    _model("Memory", "Working set of its pods.", "bytes", "model:container_memory_working_set_bytes:sum"),
    _model("GPU", "Utilization of its pods' GPUs.", "percentunit", "model:dcgm_gpu_utilization:avg_ratio"),
    _model("GPU memory", "That its pods use.", "bytes", "model:dcgm_gpu_memory_used_bytes:sum"),
)
_ARMS = f"sum by (arm, outcome) (rate(tidegate_arm_requests_total{_MODEL}[$__rate_interval]))"


def _latency_of_arms(share: float) -> str:
    buckets = f"sum by (arm, le) (rate(tidegate_arm_request_duration_seconds_bucket{_MODEL}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


ARMS = (
    graph_by("Outcomes by arm", "Of requests that a match took.", "reqps", "{{arm}} {{outcome}}", _ARMS),
    graph_by("Median by arm", "Of what the model answered them.", "s", "{{arm}}", _latency_of_arms(0.5)),
    graph_by("p99 by arm", "Of what the model answered them.", "s", "{{arm}}", _latency_of_arms(0.99)),
)
MODEL = Board(
    "model",
    "Tidegate: model",
    {"Requests": REQUESTS, "A/B by match": ARMS, "Resources": RESOURCES},
    (TENANTS, Choice("model", "Model", 'tidegate_requests_total{tenant="$tenant"}')),
)
