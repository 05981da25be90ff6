"""Options and fixtures that all tests share."""

import gc

import hypothesis
import pytest

from tests.support import command, leftovers
from tests.support.fleet import running_fleet

pytest.register_assert_rewrite("tests.contract.kubernetes")


# How long an example takes says nothing of the property, and much of what else the machine does.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

_LEFT = pytest.StashKey[dict[int, str]]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker of xdist carries the mark of the run that has started it
        leftovers.begin()


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over the thousands of tests that stay until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves processes; a worker is one itself until it has ended, so only the run as a whole looks."""
    command.end()
    if hasattr(session.config, "workerinput"):
        return
    session.config.stash[_LEFT] = left = leftovers.left()
    if left:
        leftovers.end(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for number, line in config.stash.get(_LEFT, {}).items():
        terminalreporter.write_line(f"left running by the tests, and killed: process {number}: {line}", red=True)


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
