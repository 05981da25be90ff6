"""A manager on the embedded Kubernetes API, both in this process; pods are objects that the test writes."""

import asyncio
import dataclasses
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from istio_templates.documents.crd import crds
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.schema import istio_crds
from k8s_manager.api.authn.authenticators import Authenticator, Authenticators
from k8s_manager.api.authn.own_token import Token
from k8s_manager.api.listener.server import serve
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.resources import OWNED, RESOURCES
from k8s_manager.manager import Manager, application, assemble, served, until
from k8s_manager.release.release_source import ReleaseSource
from k8s_manager.runtime.clock import Clock, SystemClock
from k8s_manager.runtime.settings import Settings
from k8s_manager.standalone.apiserver.http import Api
from k8s_manager.standalone.apiserver.registrar import Registrar
from k8s_manager.standalone.apiserver.store import ObjectStore
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder
from tests.support.answers import AnswerCheck
from tests.support.bounds import slowness
from tests.support.installed import registrar_with_crds
from tests.support.waiting import until as wait_until

TOKEN = "of-the-tests"
SETTINGS = Settings(
    quiet=0.02, longest=0.1, history_quiet=0.05, audit="off", calls_per_second=10_000, strangers_per_second=10_000
)
QUICK = {"down": {"quiet": "20ms", "longest": "100ms"}, "up": {"quiet": "50ms", "longest": "200ms"}}


class Hands:
    """What a person with kubectl does, on any API server."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client

    async def apply(self, *documents: str | Manifest, manager: str = "kubectl") -> None:
        """Apply documents as a person with kubectl would."""
        for document in documents:
            for obj in yaml.safe_load_all(document) if isinstance(document, str) else [document]:
                await self.client.apply(obj, force=True, manager=manager)

    async def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object, or None."""
        try:
            return await self.client.get(ObjectKey(kind, namespace, name))
        except Absent:
            return None


class Fleet(Hands):
    """The API server, its counters, a client for the test, and the managers that run on it."""

    def __init__(self, api: Api, server: str, session: aiohttp.ClientSession) -> None:
        self.api, self.server = api, server
        super().__init__(KubeClient(server, session))
        self.session = session
        self._numbers = itertools.count(1)

    def forgotten_version(self) -> str:
        """Return a version from which no watch can go on any more."""
        version = str(self.api._registrar.store.version - 1)
        self.api._registrar.store.forget_history()
        return version

    def writes(self) -> Counter[str]:
        """Return the writes that the API server has taken so far, by resource."""
        out: Counter[str] = Counter()
        for (verb, resource, _), count in self.api.counts.items():
            if verb in ("POST", "PUT", "PATCH", "DELETE"):
                out[resource] += count
        return out

    @asynccontextmanager
    async def manager(
        self,
        settings: Settings = SETTINGS,
        clock: Clock | None = None,
        connect: Callable[[str, aiohttp.ClientSession], KubeClient] = KubeClient,
        signals: SignalSource | None = None,
        outcomes: ReleaseSource | None = None,
    ) -> AsyncIterator[Manager]:
        """Run a manager, on a clock, a transport and signals of the test's where it gives them."""
        async with aiohttp.ClientSession(read_bufsize=2**22) as session:
            client, now = connect(self.server, session), clock or SystemClock()
            manager = assemble(client, now, settings, signals=signals, outcomes=outcomes)
            stop = asyncio.Event()
            running = asyncio.create_task(until(stop, *manager.parts()))
            try:
                await wait_until(manager.store.synced.is_set, what="the first list of everything")
                yield manager
            finally:
                stop.set()
                await running

    @asynccontextmanager
    async def rest(
        self, manager: Manager, *proofs: Authenticator, spans: SpanRecorder = NO_SPANS, **settings: Any
    ) -> AsyncIterator["Rest"]:
        """Serve a manager's REST API."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        stop = asyncio.Event()
        taken = Authenticators([Token(TOKEN), *proofs])
        given = dataclasses.replace(SETTINGS, **settings)
        app = application(manager, taken, SystemClock(), given, stop, spans)
        wrong: list[str] = []
        answers: Counter[tuple[str, str, int]] = Counter()
        app.add_middleware(AnswerCheck, found=wrong, seen=answers)
        serving = asyncio.create_task(serve(served(app, SystemClock(), given), ("127.0.0.1", port), stop))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            rest = Rest(session, answers, stop)
            await wait_until(rest.up, what="the REST API")
            yield rest
        stop.set()
        await serving
        assert not wrong, "answers that are not as docs/openapi.json describes them: " + "; ".join(wrong[:5])

    async def status(self, kind: str, name: str, namespace: str = "") -> Manifest:
        """Return an object's status."""
        obj = await self.get(kind, name, namespace)
        return (obj or {}).get("status", {})

    async def condition(self, kind: str, name: str, type_: str, namespace: str = "") -> Manifest:
        """Return one condition of a document."""
        status = await self.status(kind, name, namespace)
        return next((c for c in status.get("conditions", []) if c["type"] == type_), {})

    async def events(self, namespace: str, kind: str, severity: str = "") -> list[Manifest]:
        """Return the events about objects of a kind, of one severity if it is named; they follow the conditions."""
        found, _ = await self.client.list(RESOURCES["Event"], namespace=namespace)
        about = [event for event in found if event["involvedObject"]["kind"] == kind]
        return [event for event in about if event["type"] == (severity or event["type"])]

    async def listed(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return the objects of a kind; none of one that the cluster does not know."""
        try:
            return (await self.client.list(RESOURCES[kind], selector))[0]
        except Absent:
            return []

    async def owned(self) -> set[str]:
        """Return the names of everything that carries our label."""
        found = set()
        for kind in OWNED:
            objects = await self.listed(kind, "app.kubernetes.io/managed-by=tidegate")
            found |= {f"{kind} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in objects}
        return found

    async def pod(self, namespace: str, labels: dict[str, str], ready: bool = True) -> ObjectKey:
        """Make a pod that is ready or not."""
        key = ObjectKey("Pod", namespace, f"pod-{next(self._numbers)}")
        await self.client.create(
            {"kind": "Pod", "metadata": {"name": key.name, "namespace": namespace, "labels": labels}, "spec": {}}
        )
        await self.set_ready(key, ready)
        return key

    async def set_ready(self, key: ObjectKey, ready: bool) -> None:
        """Change a pod's readiness."""
        condition = {"type": "Ready", "status": str(ready)}
        await self.client.merge(key, {"status": {"podIP": "127.0.0.9", "conditions": [condition]}}, "status")

    async def settled(self, seconds: float = 0.4) -> Counter[str]:
        """Wait until the API server takes no writes for a while, by the pace of the machine; return the writes so far."""
        before = self.writes()
        while True:
            await asyncio.sleep(seconds * slowness())
            if (now := self.writes()) == before:
                return now
            before = now


class Rest:
    """The REST API as a caller sees it; `stop` begins its end."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        answers: Counter[tuple[str, str, int]] | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._session, self.answers = session, Counter() if answers is None else answers
        self.stop = stop or asyncio.Event()

    async def up(self) -> bool:
        """Tell whether it answers and has read everything."""
        try:
            async with self._session.get("/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and body; a text is sent as it is, anything else as JSON."""
        status, answer, _ = await self.full(method, path, body, headers)
        return status, answer

    async def full(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        """Return status, body and headers."""
        sent: dict[str, Any] = (
            {"data": body} if isinstance(body, str | bytes) else {"json": body} if body is not None else {}
        )
        seen = {"If-Match": "*"} if method == "PUT" and headers is None else {}
        given = {"Authorization": f"Bearer {TOKEN}", **seen, **(headers or {})}
        async with self._session.request(method, path, headers=given, **sent) as answer:
            is_json = "json" in answer.content_type
            return answer.status, await (answer.json() if is_json else answer.text()), answer.headers


@asynccontextmanager
async def running_fleet(file: Path | None = None, port: int = 0, istio: bool = True) -> AsyncIterator[Fleet]:
    """Run an embedded API with all CRDs, or with our own only; one with a file goes on with what is in that."""
    store = ObjectStore(file)
    api = Api(Registrar(store) if file else registrar_with_crds(store, istio=istio), None)
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(read_bufsize=2**22) as session:
        fleet = Fleet(api, server, session)
        for crd in [*crds(), *istio_crds()] if file else ():
            await fleet.client.apply(crd, force=True)
        try:
            yield fleet
        finally:
            await runner.cleanup()
            store.close()
