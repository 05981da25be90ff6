"""External metrics of whole managers: both answer alike by what stands in the status, and go on without a leader."""

import asyncio
import base64
import dataclasses
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import trustme

from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service import API_SERVICE
from k8s_manager.runtime.clock import SystemClock
from tests.features.conftest import make_search
from tests.features.test_writer_changes import has_hpa, scaled
from tests.support.api_server_proof import CONTROLLER, ReviewingClient, client_context, configuration
from tests.support.demand import SetDemand
from tests.support.fleet import SETTINGS
from tests.support.standalone import free_port
from tests.support.waiting import until

RANKER = ObjectKey("Model", "search", "ranker")
PATH = "/apis/external.metrics.k8s.io/v1beta1/namespaces/search/tidegate_replicas"
SELECTOR = "tidegate.dev/model=ranker,tidegate.dev/version=v1"
HOST = "tidegate.tidegate-system.svc"


@asynccontextmanager
async def serving(fleet, name: str, signals: SetDemand):
    """Run a manager with its external metrics; yield its port."""
    port, stop = free_port(), asyncio.Event()
    settings = dataclasses.replace(
        SETTINGS,
        identity=name,
        lease=("tidegate-system", "tidegate"),
        lease_seconds=3.0,
        autoscale_every=0.3,
        external_metrics_listen=("127.0.0.1", port),
    )
    async with fleet.manager(settings, connect=ReviewingClient, signals=signals) as manager:
        running = asyncio.create_task(manager.metrics.run(stop))
        try:
            yield port
        finally:
            stop.set()
            await running


async def test_both_managers_answer_alike_and_go_on_when_the_leader_has_gone(fleet, tmp_path):
    authority = trustme.CA()
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
    await fleet.apply(configuration(authority))

    async def answer(port: int):
        live = await fleet.get(*API_SERVICE[:1], API_SERVICE.name)
        if live is None:
            return None
        trusted = base64.b64decode(live["spec"]["caBundle"]).decode()
        connector = aiohttp.TCPConnector(ssl=client_context(trusted, authority, tmp_path))
        try:
            async with (
                aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector) as session,
                session.get(
                    PATH,
                    params={"labelSelector": SELECTOR},
                    headers={"X-Remote-User": CONTROLLER},
                    server_hostname=HOST,
                ) as found,
            ):
                assert found.status == 200, await found.text()
                return await found.json()
        except aiohttp.ClientConnectionError:
            return None

    async def says(port: int, *values: str) -> bool:
        found = await answer(port)
        return found is not None and [item["value"] for item in found["items"]] == list(values)

    demand = SetDemand(48.0, SystemClock())
    async with AsyncExitStack() as leader:
        first = await leader.enter_async_context(serving(fleet, "first", demand))
        await make_search(fleet)
        async with serving(fleet, "second", demand) as second:
            await fleet.apply(scaled("hpa"))
            await until(lambda: has_hpa(fleet, True), what="the HPA")
            for port in (first, second):
                await until(lambda port=port: says(port, "3"), what="the decided number")
            assert await answer(first) == await answer(second)
            await leader.aclose()
            demand.demand = 80.0
            await until(lambda: says(second, "5"), what="the number from the manager that is left")
