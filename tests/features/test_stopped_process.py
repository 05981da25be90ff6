"""A leading manager's process is stopped (SIGSTOP) for longer than its lease, and goes on (SIGCONT)."""

import signal

import pytest

from k8s_manager.kube.config import connect
from tests.features.conftest import recorded
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import Hands
from tests.support.standalone import free_port, manager_process, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
LEASE = ("--lease", "default/tidegate", "--lease-seconds", "6")


def ranker(number):
    route = {"host": "search.models.example.com", "path": "/v2/models/ranker", "port": 8080, "timeout": f"{number}s"}
    versions = [{"name": "v1", "workload": {"replicas": 0, "image": "example.com/ranker:1"}}]
    return model(routes=[route], versions=versions)


async def holder(hands):
    found = await hands.get("Lease", "tidegate", "default")
    return (found or {}).get("spec", {}).get("holderIdentity")


async def timeout(hands):
    found = await hands.get("VirtualService", "ranker", "search")
    return found["spec"]["http"][0].get("timeout") if found else None


async def is_at(hands, number):
    return await timeout(hands) == f"{number}s"


async def is_another(hands, before):
    found = await holder(hands)
    return found and found != before and found


async def test_a_leader_that_was_stopped_sets_no_route_back(tmp_path):
    async with standalone(tmp_path, "--without-manager"), await connect(tmp_path / "kubeconfig") as client:
        hands = Hands(client)
        async with manager_process(tmp_path, *LEASE) as first:
            leader = await until(lambda: holder(hands), what="a leader")
            await hands.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
            await hands.apply(gateway(), tenant())
            await until(lambda: hands.get("Namespace", "search"), what="the tenant's namespace")
            await hands.apply(ranker(1))
            await until(lambda: is_at(hands, 1), what="the first route")
            async with (
                manager_process(tmp_path, *LEASE, listen=f"127.0.0.1:{free_port()}") as second,
                recorded(hands, "VirtualService") as seen,
            ):
                for number, stopped in zip((2, 4, 6), (first, second, first), strict=True):
                    stopped.send_signal(signal.SIGSTOP)
                    await hands.apply(ranker(number))
                    leader = await until(lambda leader=leader: is_another(hands, leader), what="another leader")
                    await until(lambda number=number: is_at(hands, number), what="the newer route")
                    stopped.send_signal(signal.SIGCONT)
                    await hands.apply(ranker(number + 1))
                    await until(lambda number=number: is_at(hands, number + 1), what="the newest route")
                    assert await holder(hands) == leader
    order = [obj["spec"]["http"][0]["timeout"] for obj in seen if obj["metadata"]["name"] == "ranker"]
    assert list(dict.fromkeys(order)) == ["1s", "2s", "3s", "4s", "5s", "6s", "7s"] and order == sorted(order)
