"""One graph of a dashboard, and how it is written for Grafana."""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
SOURCE = {"type": "prometheus", "uid": "${source}"}
"""The data source that the reader of a dashboard selects."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of PromQL, and the legend of its series."""

    legend: str
    expression: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its title, what it shows, its unit (as Grafana names it), and its queries."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]

    def drawn(self, number: int, place: Object) -> Object:
        """Return the panel as Grafana reads it."""
        targets = [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(self.queries)
        ]
        return {
            "id": number,
            "type": "timeseries",
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": place,
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
            "targets": targets,
        }


def graph(title: str, description: str, unit: str, **queries: str) -> Panel:
    """Return a panel of queries by their legend, where a legend is a plain word."""
    return Panel(title, description, unit, tuple(Query(legend, text) for legend, text in queries.items()))


def graph_by(title: str, description: str, unit: str, legend: str, expression: str) -> Panel:
    """Return a panel of one query, whose series differ in their labels."""
    return Panel(title, description, unit, (Query(legend, expression),))
