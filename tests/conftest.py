"""Options and fixtures that all tests share."""

import pytest

from tests.support.fleet import running_fleet

pytest.register_assert_rewrite("tests.contract.kubernetes")


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
