"""The embedded API keeps the contract; and what only it does."""

import aiohttp
import pytest

from k8s_manager.kube.errors import Expired
from k8s_manager.kube.resources import RESOURCES
from tests.contract.kubernetes import *  # noqa: F403
from tests.support.documents import tenant
from tests.support.fleet import running_fleet


@pytest.fixture
async def fleet():
    async with running_fleet() as running:
        await running.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        yield running


async def test_the_state_is_in_a_file_and_survives_a_restart(tmp_path):
    async with running_fleet(tmp_path / "state.db") as fleet:
        await fleet.apply(tenant("t"))
        before, version = await fleet.client.list(RESOURCES["Tenant"])
    async with running_fleet(tmp_path / "state.db") as again:
        after, later = await again.client.list(RESOURCES["Tenant"])
        assert after == before
        assert int(later) >= int(version)
        with pytest.raises(Expired):
            async for _ in again.client.watch(RESOURCES["Tenant"], str(int(version) - 1)):
                pass


async def test_a_call_without_the_token_is_refused():
    async with running_fleet() as fleet:
        fleet.api._token = "secret"
        async with aiohttp.ClientSession() as session, session.get(f"{fleet.server}/api/v1/pods") as answer:
            assert answer.status == 401
        fleet.api._token = None
