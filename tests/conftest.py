"""Options and fixtures that all tests share."""

import hypothesis
import pytest
from hypothesis import strategies

from tests.support.fleet import running_fleet

pytest.register_assert_rewrite("tests.contract.kubernetes")


@pytest.fixture(scope="session", autouse=True)
def tables_of_unicode() -> None:
    """Have Hypothesis make its tables of Unicode: in a fresh checkout that takes seconds, and whichever test asked for
    a text first would be found too slow."""
    hypothesis.find(strategies.text(), lambda _: True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files; review them like code")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
async def fleet():
    async with running_fleet() as running:
        await running.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
        yield running
