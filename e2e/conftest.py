"""What every scenario stands on: a cluster with Istio, Tidegate installed as a user would, a gateway of two pods."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e.cluster.place import PROJECT
from e2e.support.golden import in_namespaces
from e2e.support.install import install, settled
from e2e.support.site import SYSTEM, Site, bounded, kubectl
from e2e.support.site import site as connected
from tests.support.waiting import until

LONGEST = (
    "test_autoscale.py",
    "test_autoscale_peer.py",
    "test_external_metrics.py",
    "test_warmup.py",
    "test_rare.py",
    "test_parity.py",
    "test_main_job.py",
    "test_git.py",
    "test_dedicated.py",
)

pytest.register_assert_rewrite("tests.contract.kubernetes")


def pytest_configure(config: pytest.Config) -> None:
    if "E2E_KUBECONFIG" not in os.environ:
        raise pytest.UsageError("run the scenarios with: make e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that clusters side by side end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def installed() -> Iterator[None]:
    """Install Tidegate from the manifests that are shipped."""
    install()
    yield
    if "E2E_OWN" not in os.environ:
        # The manager has to be there while documents go: it takes away what was made for them.
        kubectl("delete", "inferencegateways", "--all", bounded())
        kubectl("delete", "-k", str(PROJECT / "manifests"), bounded())


@pytest.fixture(scope="module")
def without_manager(installed: None) -> Iterator[None]:
    """Everything but the manager: it would answer to documents and take away what carries its label."""
    kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=0")
    kubectl("-n", SYSTEM, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=tidegate", bounded())
    yield
    kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=2")
    settled()


@pytest.fixture(scope="session")
def golden_namespaces() -> Iterator[None]:
    """Have every namespace in which a golden case has objects."""
    with in_namespaces():
        yield


@pytest.fixture
async def site(installed: None) -> AsyncIterator[Site]:
    """Give a scenario the cluster, and leave no tenant behind."""
    async with connected() as found:
        yield found
        for tenant in await found.all("Tenant"):
            await found.rest.call("DELETE", f"/v1/tenants/{tenant['metadata']['name']}?cascade=true")

        async def empty() -> bool:
            return not await found.all("Tenant")

        await until(empty, "the tenants being gone")


@pytest.fixture
async def gateways(site: Site) -> list[str]:
    """Return the addresses of two ready gateway pods of the gateway `shared`."""
    return await site.make_gateway("shared")


@pytest.fixture
def tenant() -> str:
    """Return a name that no other scenario uses: a namespace of the same name may still be going away."""
    return f"team-{secrets.token_hex(3)}"
