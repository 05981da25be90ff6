"""What is shipped for Prometheus and Grafana, read once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "manifests" / "monitoring"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((MONITORING / "dashboards").glob("*.json"))}
SCRAPE: dict[str, Any] = yaml.safe_load((MONITORING / "scrape.yaml").read_text())
TESTS = ("alerts.test.yaml", "request-alerts.test.yaml")


def rules(file: str) -> list[dict[str, Any]]:
    """Return the rules of a file."""
    return [rule for group in yaml.safe_load((MONITORING / file).read_text())["groups"] for rule in group["rules"]]


ALERTS, RECORDS = rules("alerts.yaml"), rules("rules.yaml")


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each panel with the name of its dashboard, rows left out."""
    for name, board in DASHBOARDS.items():
        yield from ((name, panel) for panel in board["panels"] if panel["type"] != "row")


def panel_queries() -> Iterator[tuple[str, str]]:
    """Yield a name and the expression of each query of each panel."""
    for board, panel in panels():
        for target in panel["targets"]:
            yield f"{board}: {panel['title']} {target['refId']}", target["expr"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield a name and the expression of all rules and panels."""
    yield from ((rule["alert"], rule["expr"]) for rule in ALERTS)
    yield from ((rule["record"], rule["expr"]) for rule in RECORDS)
    yield from panel_queries()
