"""What the other tests do not import can be imported: a scenario or a benchmark is not run as often as it is broken."""

import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MODULES = [
    ".".join(file.relative_to(PROJECT).with_suffix("").parts)
    for folder in ("e2e", "benchmarks")
    for file in sorted((PROJECT / folder).rglob("*.py"))
    if file.name != "__main__.py"
]


@pytest.mark.parametrize("name", MODULES)
def test_every_scenario_and_benchmark_can_be_imported(name: str):
    assert importlib.import_module(name)
