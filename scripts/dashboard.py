"""The dashboard for Grafana, as code: rows of panels, each with its queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
WIDTH, HEIGHT = 8, 8  # of a panel, in the 24 columns of Grafana's grid
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its title, what it tells, its unit, and pairs of legend and query."""

    title: str
    tells: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _quantile(share: str, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))"


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    return (("median", _quantile("0.5", metric)), ("slowest tenth", _quantile("0.9", metric)))


ROWS: dict[str, tuple[Panel, ...]] = {
    "Limits": (
        Panel(
            "Limits",
            "What each model, or version with a limit of its own, may take.",
            "reqps",
            (
                (
                    "{{namespace}}/{{model}} {{version}}",
                    "max by (namespace, model, version) (tidegate_ratelimit_target_rps)",
                ),
            ),
        ),
        Panel(
            "Ready replicas",
            "What the limits follow.",
            "short",
            (("{{namespace}}/{{model}}", "max by (namespace, model) (tidegate_ratelimit_replicas_observed)"),),
        ),
        Panel(
            "Overridden",
            "Models whose limit somebody has overridden for a time.",
            "short",
            (("models", "max(tidegate_override_active)"),),
        ),
    ),
    "Gateway pods": (
        Panel(
            "Requests",
            "Uneven load shows here: every pod has the same share of each limit.",
            "reqps",
            (
                (
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
                (
                    "{{gateway}} {{pod}}",
                    "max by (gateway, pod) (rate(tidegate_gateway_pod_refused_total[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Proof",
            "How far the pods run what was written.",
            "short",
            (("{{state}}", "max by (state) (tidegate_gateway_pods)"),),
        ),
    ),
    "Shadow": (
        Panel(
            "Would be refused",
            "Share of the requests of models in shadow or ramp that are beyond their limit.",
            "percentunit",
            (
                (
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
            (("{{result}}", "sum by (result) (rate(tidegate_ratelimit_updates_total[$__rate_interval]))"),),
        ),
        Panel(
            "Prometheus as a source",
            "Times that it was asked for replica counts.",
            "ops",
            (("{{result}}", "sum by (result) (rate(tidegate_replica_source_reads_total[$__rate_interval]))"),),
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
        Panel("Leads", "1 on the manager that leads.", "short", (("{{instance}}", "tidegate_leader"),)),
        Panel(
            "Calls to Kubernetes",
            "By verb and answer.",
            "reqps",
            (("{{verb}} {{code}}", "sum by (verb, code) (rate(tidegate_k8s_requests_total[$__rate_interval]))"),),
        ),
        Panel(
            "REST calls",
            "By method and answer.",
            "reqps",
            (("{{method}} {{code}}", "sum by (method, code) (rate(tidegate_api_requests_total[$__rate_interval]))"),),
        ),
    ),
}


def dashboard() -> Object:
    """Return the dashboard as Grafana imports it."""
    variable = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Tidegate",
        "uid": "tidegate",
        "tags": ["tidegate"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [variable]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[Object]:
    top, number = 0, 0
    for title, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(24, 1, 0, top),
        }
        for column, panel in enumerate(panels):
            number += 1
            yield _drawn(panel, number, _place(WIDTH, HEIGHT, column * WIDTH, top + 1))
        top += HEIGHT + 1


def _place(width: int, height: int, left: int, top: int) -> Object:
    return {"w": width, "h": height, "x": left, "y": top}


def _drawn(panel: Panel, number: int, place: Object) -> Object:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (legend, query) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.tells,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }
