"""The dashboard of the manager: limits and how fast they follow, gateway pods, shadow, and the manager itself."""

from scripts.dashboards.board import Board
from scripts.dashboards.panel import Panel, Query


def _quantile(share: str, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))"


def _quantiles(metric: str) -> tuple[Query, Query]:
    return Query("median", _quantile("0.5", metric)), Query("slowest tenth", _quantile("0.9", metric))


ROWS: dict[str, tuple[Panel, ...]] = {
    "Limits": (
        Panel(
            "Limits",
            "What each model, or version with a limit of its own, may take.",
            "reqps",
            (
                Query(
                    "{{namespace}}/{{model}} {{version}}",
                    "max by (namespace, model, version) (tidegate_ratelimit_target_rps)",
                ),
            ),
        ),
        Panel(
            "Ready replicas",
            "What the limits follow.",
            "short",
            (Query("{{namespace}}/{{model}}", "max by (namespace, model) (tidegate_ratelimit_replicas_observed)"),),
        ),
        Panel(
            "Overridden",
            "Models whose limit somebody has overridden for a time.",
            "short",
            (Query("models", "max(tidegate_override_active)"),),
        ),
    ),
    "Autoscaling": (
        Panel(
            "Ratio",
            "How many times the warm replicas of a version would be just enough; above 1 more are needed.",
            "short",
            (
                Query(
                    "{{namespace}}/{{model}} {{version}}",
                    "max by (namespace, model, version) (tidegate_autoscale_ratio)",
                ),
            ),
        ),
        Panel(
            "Held",
            "Versions of which a signal is missing, and those that max or a quota keeps from growing.",
            "short",
            (
                Query(
                    "a signal is missing",
                    "sum(max by (namespace, model, version) (tidegate_autoscale_signals_missing) > bool 0)",
                ),
                Query("at max or quota", "sum(max by (namespace, model, version) (tidegate_autoscale_limited))"),
            ),
        ),
        Panel(
            "Changes",
            "Numbers of replicas that were written.",
            "short",
            (
                Query(
                    "{{direction}}",
                    "sum by (direction) (increase(tidegate_autoscale_rescales_total[$__rate_interval]))",
                ),
            ),
        ),
    ),
    "Releases": (
        Panel(
            "Weights",
            "Share of the requests of each version while it is released.",
            "percentunit",
            (
                Query(
                    "{{namespace}}/{{model}} {{version}}",
                    "max by (namespace, model, version) (tidegate_release_weight) / 100",
                ),
            ),
        ),
        Panel(
            "Held",
            "Releases that wait for something, and versions that failed theirs.",
            "short",
            (
                Query("{{reason}}", "sum by (reason) (max by (namespace, model, reason) (tidegate_release_waiting))"),
                Query("failed", "sum(max by (namespace, model, version) (tidegate_release_blocked))"),
            ),
        ),
        Panel(
            "Ended",
            "Releases that were promoted or aborted.",
            "short",
            (Query("{{outcome}}", "sum by (outcome) (increase(tidegate_releases_total[$__rate_interval]))"),),
        ),
        Panel(
            "External checks",
            "What webhooks and Jobs said of releases; error: a receiver that does not answer as it should.",
            "short",
            (
                Query(
                    "{{source}} {{result}}",
                    "sum by (source, result) (increase(tidegate_release_external_checks_total[$__rate_interval]))",
                ),
            ),
        ),
    ),
    "Registered models in MLflow": (
        Panel(
            "Read",
            "Looks at registered models; not written: their versions could not be registered here.",
            "short",
            (Query("{{result}}", "sum by (result) (increase(tidegate_registry_reads_total[$__rate_interval]))"),),
        ),
        Panel(
            "Since the last answer",
            "How long ago MLflow was read, while models name a registered model.",
            "s",
            (
                Query(
                    "last answer",
                    "(time() - max(tidegate_registry_last_read_timestamp_seconds)) "
                    "* scalar(max(tidegate_registry_models) > bool 0)",
                ),
            ),
        ),
    ),
    "Gateway pods": (
        Panel(
            "Requests",
            "Uneven load shows here: every pod has the same share of each limit.",
            "reqps",
            (
                Query(
                    "{{gateway}} {{pod}}",
                    "max by (gateway, pod) (rate(tidegate_gateway_pod_requests_total[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Refused",
            "429, and RESOURCE_EXHAUSTED of gRPC.",
            "reqps",
            (
                Query(
                    "{{gateway}} {{pod}}",
                    "max by (gateway, pod) (rate(tidegate_gateway_pod_refused_total[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Proof",
            "How far the pods run what was written.",
            "short",
            (Query("{{state}}", "max by (state) (tidegate_gateway_pods)"),),
        ),
    ),
    "Shadow": (
        Panel(
            "Would be refused",
            "Share of the requests of models in shadow or ramp that are beyond their limit.",
            "percentunit",
            (
                Query(
                    "{{namespace}}/{{virtual_service}}",
                    "max by (namespace, virtual_service) (rate(tidegate_shadow_beyond_limit_total[$__rate_interval]))"
                    " / max by (namespace, virtual_service) (rate(tidegate_shadow_requests_total[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Slot writes",
            "Each fills every bucket in its slot up.",
            "wps",
            (Query("{{result}}", "sum by (result) (rate(tidegate_ratelimit_updates_total[$__rate_interval]))"),),
        ),
        Panel(
            "Prometheus as a source",
            "Times that it was asked for replica counts.",
            "ops",
            (Query("{{result}}", "sum by (result) (rate(tidegate_replica_source_reads_total[$__rate_interval]))"),),
        ),
    ),
    "Speed": (
        Panel(
            "From due to written",
            "What the manager adds to the debounce.",
            "s",
            _quantiles("tidegate_ratelimit_reaction_seconds"),
        ),
        Panel(
            "From written to in effect",
            "Until every gateway pod runs it: istiod's and Envoy's part.",
            "s",
            _quantiles("tidegate_ratelimit_effect_seconds"),
        ),
        Panel("Passes", "Length of a pass of the main loop.", "s", _quantiles("tidegate_reconcile_time_seconds")),
    ),
    "Manager": (
        Panel("Leads", "1 on the manager that leads.", "short", (Query("{{instance}}", "tidegate_leader"),)),
        Panel(
            "Calls to Kubernetes",
            "By verb and answer.",
            "reqps",
            (Query("{{verb}} {{code}}", "sum by (verb, code) (rate(tidegate_k8s_requests_total[$__rate_interval]))"),),
        ),
        Panel(
            "REST calls",
            "By method and answer.",
            "reqps",
            (
                Query(
                    "{{method}} {{code}}", "sum by (method, code) (rate(tidegate_api_requests_total[$__rate_interval]))"
                ),
            ),
        ),
    ),
}

MANAGER = Board("manager", "Tidegate: manager", ROWS)
