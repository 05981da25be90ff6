import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme

from k8s_manager.external_metrics.external_metrics import ExternalMetrics, external_metrics
from k8s_manager.external_metrics.tls_material import material_in
from k8s_manager.kube.fence import Fence, FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.settings import Settings
from tests.support.api_server_proof import CONTROLLER, NAME, ReviewingClient, client_context, configuration
from tests.support.decisions import decided
from tests.support.standalone import free_port
from tests.support.waiting import until

KINDS = ("Model", "Deployment", "HorizontalPodAutoscaler", "ScaledObject")
SERVICE = ("tidegate-system", "tidegate")
HOST = "tidegate.tidegate-system.svc"
VALUES = "/apis/external.metrics.k8s.io/v1beta1/namespaces/search/tidegate_replicas"


class MovedCalendar(SystemClock):
    """The clock of the machine, but that the test moves its calendar."""

    ahead = timedelta()

    def utc(self) -> datetime:
        return super().utc() + self.ahead


@dataclass
class Metrics:
    """External metrics that listen, with what the API server and its callers are here."""

    parts: ExternalMetrics
    client: ReviewingClient
    store: Store
    clock: MovedCalendar
    authority: trustme.CA
    folder: Path
    port: int

    async def trusted(self) -> str:
        """Return the authorities that an API server has from the APIService's Secret."""
        live = await self.client.get(self.parts.listener._place.secret)
        return material_in(live).bundle

    @asynccontextmanager
    async def session(
        self, authority: trustme.CA | None = None, name: str = NAME, trusted: str = ""
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """Open connections as the API server, or as one who only would like to be it."""
        context = client_context(trusted or await self.trusted(), authority, self.folder, name)
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(f"https://127.0.0.1:{self.port}", connector=connector) as session:
            yield session

    async def ask(self, session: aiohttp.ClientSession, path: str = VALUES, user: str = CONTROLLER, **query: str):
        """Return status and body of an answer; the name that the certificate is for is the Service's."""
        headers = {"X-Remote-User": user, "X-Remote-Group": "system:authenticated"} if user else {}
        async with session.get(path, params=query, headers=headers, server_hostname=HOST) as answer:
            return answer.status, await answer.json()

    def decide(self, name: str = "ranker", replicas: int = 5, version: str = "v1", namespace: str = "search", **more):
        """Put a Model with a decision into the store."""
        self.store.put(decided(name, replicas, version, namespace, **more))


@pytest.fixture
async def metrics(fleet, tmp_path) -> AsyncIterator[Metrics]:
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVICE[0]}})
    authority, port, clock, stop = trustme.CA(), free_port(), MovedCalendar(), asyncio.Event()
    await fleet.apply(configuration(authority))
    async with aiohttp.ClientSession() as session:
        client = ReviewingClient(fleet.server, session)
        store = Store(KINDS, clock)
        settings = Settings(external_metrics_listen=("127.0.0.1", port), external_metrics_service=SERVICE)
        parts = external_metrics(client, FencedClient(client, Fence(None)), store, clock, settings)
        assert parts is not None
        await parts.registration.register()
        running = asyncio.create_task(parts.run(stop))
        found = Metrics(parts, client, store, clock, authority, tmp_path, port)
        await until(lambda: parts.listener._acceptor, what="the listener")
        yield found
        stop.set()
        await running
