"""Bounds of waiting stand in one place, grow with the load, and whatever a run leaves running is found."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import leftovers
from tests.support.bounds import MOST_LOAD, scaled

PROJECT = Path(__file__).parents[1]
FOLDERS = ("tests", "e2e/scenarios", "e2e/neighbours", "e2e/support")
BOUNDING = {"until": 1, "wait_for": 1, "timeout": 0}
"""Functions that take a bound, and where it stands among their arguments."""


@pytest.mark.parametrize(
    ("patience", "load", "cores", "factor"),
    [(1, 0.1, 2, 1), (1, 8, 2, 4), (1, 8, 16, 1), (5, 8, 2, 20), (1, 10_000, 2, MOST_LOAD)],
)
def test_bounds_grow_with_the_load_of_a_core_and_with_patience(patience, load, cores, factor):
    assert scaled(patience, load, cores) == factor


def test_no_test_and_no_scenario_bounds_a_wait_by_a_number_of_its_own():
    assert [place for folder in FOLDERS for place in _numbers(PROJECT / folder)] == []


def test_a_process_that_has_left_its_parent_and_its_group_is_found():
    script = (
        "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=-3, stderr=-3).pid)"
    )
    number = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    found = leftovers.marked()
    leftovers.end({number: ""})
    assert found[number] == "sleep 600"


def _numbers(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and _is_bounded_by_a_number(node):
                yield f"{file.relative_to(PROJECT)}:{node.lineno}"


def _is_bounded_by_a_number(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = [*call.args[BOUNDING[name] : BOUNDING[name] + 1]] if name in BOUNDING else []
    given += [word.value for word in call.keywords if word.arg in ("seconds", "timeout") and name in BOUNDING]
    return any(isinstance(value, ast.Constant) and isinstance(value.value, int | float) for value in given)
