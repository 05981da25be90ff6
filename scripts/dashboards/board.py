"""A dashboard: rows of panels, three beside each other, and the variables that its reader selects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.dashboards.panel import SOURCE, Object, Panel

WIDTH, HEIGHT = 8, 8
"""Of a panel, in the 24 columns of Grafana's grid."""
COLUMNS = 24 // WIDTH
SCHEMA_VERSION = 39


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable whose values are those of a label."""

    name: str
    label: str
    series: str

    def drawn(self) -> Object:
        """Return the variable as Grafana reads it."""
        query = f"label_values({self.series}, {self.name})"
        return {
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": self.name},
            "refresh": 2,
            "sort": 1,
        }


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; its UID and its file are made of its name."""

    name: str
    title: str
    rows: dict[str, tuple[Panel, ...]]
    choices: tuple[Choice, ...] = ()

    @property
    def uid(self) -> str:
        """The UID, which stays when the dashboard changes."""
        return f"tidegate-{self.name}"

    def text(self) -> str:
        """Return the file that Grafana imports: the same bytes for the same dashboard."""
        return json.dumps(self.drawn(), indent=1) + "\n"

    def drawn(self) -> Object:
        """Return the dashboard as Grafana reads it."""
        source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
        others = {"type": "dashboards", "title": "Tidegate", "tags": ["tidegate"], "asDropdown": True, "keepTime": True}
        return {
            "title": self.title,
            "uid": self.uid,
            "tags": ["tidegate"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "links": [others],
            "templating": {"list": [source, *(choice.drawn() for choice in self.choices)]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Object]:
        top, number = 0, 0
        for title, panels in self.rows.items():
            number += 1
            yield _row(title, number, top)
            top += 1
            for index, panel in enumerate(panels):
                number += 1
                line, column = divmod(index, COLUMNS)
                yield panel.drawn(number, _place(WIDTH, HEIGHT, column * WIDTH, top + line * HEIGHT))
            top += -(-len(panels) // COLUMNS) * HEIGHT


def _row(title: str, number: int, top: int) -> Object:
    place = _place(24, 1, 0, top)
    return {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}


def _place(width: int, height: int, left: int, top: int) -> Object:
    return {"w": width, "h": height, "x": left, "y": top}
