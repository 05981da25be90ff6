"""Programs of others are built for their own scenarios and for nothing else."""

import pytest

from e2e.cluster import build, neighbours
from e2e.cluster.place import PROJECT

ALL = sorted(neighbours.IMAGES)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["-x", "e2e/scenarios/test_https.py"], []),
        (["e2e/neighbours"], ALL),
        (["-s", "e2e/neighbours/"], ALL),
        (["e2e/neighbours/test_keda.py", "-k", "writer"], ["test_keda.py"]),
        (["e2e/neighbours/test_keda.py::test_a_change_of_the_writer_drops_no_replica"], ["test_keda.py"]),
    ],
)
def test_what_is_built_follows_the_scenarios_that_are_asked_for(words: list[str], expected: list[str]) -> None:
    assert neighbours.wanted(words) == expected


def test_no_cluster_is_made_of_them() -> None:
    assert build.KEDA_MODULE not in build.MODULES


def test_each_file_of_scenarios_says_what_it_needs() -> None:
    assert sorted(path.name for path in (PROJECT / neighbours.SCENARIOS).glob("test_*.py")) == ALL
