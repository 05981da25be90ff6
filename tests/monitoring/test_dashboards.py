"""Dashboards as Grafana wants them: what its linter looks for, and files that are those of the builder."""

import re
from itertools import combinations
from typing import Any

import pytest

from scripts.dashboards.catalog import BOARDS, files
from tests.monitoring.files import DASHBOARDS, MONITORING, panels

UNITS = {"reqps", "percentunit", "short", "s", "bytes", "Bps", "cps", "ops", "wps"}
SOURCE = {"type": "prometheus", "uid": "${source}"}
each_board = pytest.mark.parametrize("name", DASHBOARDS)
each_panel = pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=f"{name}-{panel['id']}") for name, panel in panels()]
)


def test_the_files_are_those_of_the_builder_byte_for_byte():
    shipped = {file.name: file.read_text() for file in (MONITORING / "dashboards").iterdir()}
    assert shipped == files() == files()


def test_a_dashboard_is_known_by_its_name():
    assert {name: board["uid"] for name, board in DASHBOARDS.items()} == {b.name: f"tidegate-{b.name}" for b in BOARDS}
    assert len({board["title"] for board in DASHBOARDS.values()}) == len(BOARDS)


@each_board
def test_the_reader_selects_the_data_source_first(name: str):
    first, *others = DASHBOARDS[name]["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("source", "datasource", "prometheus")
    assert all(other["datasource"] == SOURCE and other["label"] for other in others)


@each_board
def test_every_variable_that_a_query_names_exists(name: str):
    known = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]} | {"__rate_interval"}
    variables = [v["query"]["query"] for v in DASHBOARDS[name]["templating"]["list"][1:]]
    expressions = [target["expr"] for board, panel in panels() if board == name for target in panel["targets"]]
    used = {variable for text in [*expressions, *variables] for variable in re.findall(r"\$\{?(\w+)", text)}
    assert used <= known and known - used <= {"source", "__rate_interval"}


@each_board
def test_no_id_comes_twice_and_no_panel_lies_on_another(name: str):
    shown = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert [(a["id"], b["id"]) for a, b in combinations(shown, 2) if overlap(a["gridPos"], b["gridPos"])] == []
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in shown)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_panels_that_share_a_column_overlap_only_where_they_share_a_line():
    place = {"x": 8, "y": 1, "w": 8, "h": 8}
    assert overlap(place, {**place, "y": 8})
    assert not overlap(place, {**place, "y": 9}) and not overlap(place, {**place, "x": 16})


@each_panel
def test_a_panel_has_title_description_and_unit(panel: dict[str, Any]):
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@each_panel
def test_a_panel_asks_the_selected_source_and_names_its_series(panel: dict[str, Any]):
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [SOURCE] * (
        len(panel["targets"]) + 1
    )
    references = [target["refId"] for target in panel["targets"]]
    assert references and all(references) and len(set(references)) == len(references)
    assert all(target["legendFormat"] for target in panel["targets"])


@each_panel
def test_a_rate_is_over_the_interval_that_grafana_selects(panel: dict[str, Any]):
    ranges = [found for target in panel["targets"] for found in re.findall(r"\[([^\]]+)\]", target["expr"])]
    assert set(ranges) <= {"$__rate_interval"}
