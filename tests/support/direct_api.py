"""The embedded Kubernetes API without a network, for a manager in simulated time; calls can be made to fail."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import yaml

from istio_templates.documents.crd import crds
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.schema import istio_crds
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.manager import Manager, assemble, until
from k8s_manager.release.external.webhook_call import WebhookTransport
from k8s_manager.release.registry.mlflow_server import RegistryServer
from k8s_manager.release.release_source import ReleaseSource
from k8s_manager.runtime.settings import Settings
from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.http import Api, _event, _line, _place, _selected
from k8s_manager.standalone.apiserver.registrar import Registrar, resource_of
from k8s_manager.standalone.apiserver.registry import Kind
from k8s_manager.standalone.apiserver.store import ObjectStore
from tests.support.simulated import SimulatedClock

SERVER = "http://api.test"
SETTINGS = Settings(quiet=0.02, longest=0.1, history_quiet=0.05, audit="off", lease=None)


@dataclass
class Fault:
    """What happens to calls of a verb at paths that match, `times` times: `status` is answered (with `headers` and
    `body`), or the call takes `seconds` and then goes on, or `error` is raised, before it is carried out or after."""

    verb: str
    path: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "injected"}'
    seconds: float = 0.0
    error: Exception | None = None
    after: bool = False
    met: int = 0

    def meets(self, verb: str, path: str) -> bool:
        """Tell whether a call is met; it counts then."""
        if self.met >= self.times or verb != self.verb or not re.search(self.path, path):
            return False
        self.met += 1
        return True


class Answer:
    """An answer as the client reads it."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self._body, self.headers = status, body, headers
        self.content: Any = None

    async def read(self) -> bytes:
        return self._body


class Steady(Registrar):
    """A registrar whose UIDs come from names, so that two runs end in the same objects."""

    def _new(self, kind: Kind, namespace: str, obj: Manifest) -> Manifest:
        made = super()._new(kind, namespace, obj)
        metadata = made["metadata"]
        place = f"{kind.kind} {metadata.get('namespace', '')}/{metadata['name']}"
        metadata["uid"] = str(uuid.uuid5(uuid.NAMESPACE_URL, place))
        return made


class DirectSession:
    """What a client's session does, against a registrar in this process."""

    def __init__(self, registrar: Registrar | None = None) -> None:
        self.registrar = registrar or Steady(ObjectStore(None))
        self.api = Api(self.registrar, None)
        self.faults: list[Fault] = []
        self.calls: list[tuple[float, str, str]] = []

    async def close(self) -> None:
        """End nothing: there is no connection."""

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: bytes | None = None,
        headers: Any = None,
        timeout: Any = None,
    ) -> AsyncIterator[Answer]:
        """Answer a call."""
        path = url.removeprefix(SERVER)
        self.calls.append((asyncio.get_running_loop().time(), method, path))
        fault = next((one for one in self.faults if one.meets(method, path)), None)
        if fault and not fault.after:
            await self._fail(fault)
            if fault.status:
                yield Answer(fault.status, fault.body, fault.headers)
                return
        found = await self.api._serve(_request(method, path, params, data, headers or {}))  # type: ignore[arg-type]
        if fault and fault.after:
            await self._fail(fault)
        yield Answer(found.status, found.body, dict(found.headers))  # type: ignore[attr-defined]

    async def _fail(self, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)
        if fault.error:
            raise fault.error

    @asynccontextmanager
    async def get(self, url: str, params: Any, timeout: Any) -> AsyncIterator[Answer]:
        """Answer a watch."""
        path = url.removeprefix(SERVER)
        self.calls.append((asyncio.get_running_loop().time(), "WATCH", path))
        fault = next((one for one in self.faults if one.meets("WATCH", path)), None)
        if fault:
            await self._fail(fault)
            broken = Answer(fault.status, fault.body, fault.headers)
            broken.content = _of_one(fault.body)
            yield broken
            return
        answer = Answer(200, b"", {})
        answer.content = self._lines(path, params)
        yield answer

    async def _lines(self, path: str, params: Any) -> AsyncIterator[bytes]:
        group_version, namespace, plural, _, _ = _place(path)
        kind, selected = self.registrar.kind(group_version, plural), _selected(_request("GET", path, params, None, {}))
        loop = asyncio.get_running_loop()
        end = loop.time() + float(params["timeoutSeconds"])
        changes = self.registrar.store.watch(
            resource_of(kind), int(params["resourceVersion"]), 15.0, lambda: loop.time() < end
        )
        try:
            async for change in changes:
                if event := _event(change, kind, namespace, selected, True):
                    yield _line(*event)
        except ApiError as error:
            yield _line("ERROR", error.status())
        finally:
            await changes.aclose()


async def _of_one(line: bytes) -> AsyncIterator[bytes]:
    yield line + b"\n"


def _request(method: str, path: str, params: Any, data: bytes | None, headers: Any) -> Any:
    async def read() -> bytes:
        return data or b""

    content_type = headers.get("Content-Type", "application/json")
    return SimpleNamespace(
        method=method, path=path, query=dict(params or {}), headers=headers, content_type=content_type, read=read
    )


class Cluster:
    """A cluster in simulated time, and the hands of a person in it."""

    def __init__(self) -> None:
        self.session = DirectSession()
        # A session of its own: it meets no faults, and what it calls is not counted.
        self.client = KubeClient(SERVER, DirectSession(self.session.registrar))  # type: ignore[arg-type]
        self.manager: Manager | None = None
        self._made: tuple[
            Settings, SignalSource | None, ReleaseSource | None, WebhookTransport | None, RegistryServer | None
        ]
        self._made = (SETTINGS, None, None, None, None)
        self._stop, self._running = asyncio.Event(), asyncio.Future[None]()

    async def start(
        self,
        settings: Settings,
        signals: SignalSource | None = None,
        outcomes: ReleaseSource | None = None,
        webhooks: WebhookTransport | None = None,
        registry: RegistryServer | None = None,
    ) -> None:
        """Run a manager that knows what the cluster shows, and no more."""
        self._made, self._stop = (settings, signals, outcomes, webhooks, registry), asyncio.Event()
        self.manager = manager = assemble(  # type: ignore[arg-type]
            KubeClient(SERVER, self.session),
            SimulatedClock(),
            settings,
            signals=signals,
            outcomes=outcomes,
            webhooks=webhooks,
            registry=registry,
        )
        self._running = asyncio.ensure_future(until(self._stop, *manager.parts()))
        synced = asyncio.create_task(manager.store.synced.wait())
        await asyncio.wait({self._running, synced}, return_when="FIRST_COMPLETED")

    def assert_runs(self) -> None:
        """Fail where the manager has ended by itself."""
        assert not self._running.done(), "the manager has ended"

    async def stop(self) -> None:
        """End the manager."""
        self._stop.set()
        await self._running

    async def restart(self) -> None:
        """Let another manager take the place of this one."""
        await self.stop()
        await self.resume()

    async def resume(self) -> None:
        """Let another manager take the place of one that was stopped."""
        await self.start(*self._made)

    async def apply(self, *documents: str | Manifest) -> None:
        """Apply documents as a person does, past all faults."""
        for document in documents:
            for obj in yaml.safe_load_all(document) if isinstance(document, str) else [document]:
                await self.client.apply(obj, force=True, manager="kubectl")

    async def pod(self, name: str, namespace: str, labels: dict[str, str]) -> None:
        """Make a pod that is ready, without an address."""
        key = ObjectKey("Pod", namespace, name)
        await self.client.create(
            {"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {}}
        )
        await self.client.merge(key, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "status")

    def find(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object; None where there is none."""
        return self._of_kind(kind).get(f"{kind} {namespace}/{name}")

    def state(self) -> dict[str, Manifest]:
        """Return every object that there is, by kind and name."""
        kinds = (kind for kind, resource in RESOURCES.items() if kind not in ("Event", "Lease")
                 and not resource.group_version.startswith(("authentication", "authorization")))  # fmt: skip
        return {place: obj for kind in kinds for place, obj in self._of_kind(kind).items()}

    def _of_kind(self, kind: str) -> dict[str, Manifest]:
        resource = RESOURCES[kind]
        try:
            at = self.session.registrar.kind(resource.group_version, resource.plural)
        except ApiError:
            return {}
        found = self.session.registrar.store.every(resource_of(at))
        return {f"{kind} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}": obj for obj in found}

    def writes(self) -> Counter[tuple[str, str]]:
        """Return the writes so far, by verb and path."""
        verbs = ("POST", "PUT", "PATCH", "DELETE")
        return Counter((verb, path) for _, verb, path in self.session.calls if verb in verbs)


@asynccontextmanager
async def managed(
    settings: Settings = SETTINGS,
    prepare: Callable[[Cluster], Any] | None = None,
    signals: SignalSource | None = None,
    outcomes: ReleaseSource | None = None,
    webhooks: WebhookTransport | None = None,
    registry: RegistryServer | None = None,
) -> AsyncIterator[Cluster]:
    """Run a cluster and a manager in it, in the simulated loop."""
    cluster = Cluster()
    await cluster.apply(*crds(), *istio_crds())
    if prepare:
        await prepare(cluster)
    await cluster.start(settings, signals, outcomes, webhooks, registry)
    try:
        yield cluster
        cluster.assert_runs()
    finally:
        await cluster.stop()


def reset() -> Exception:
    """Return the error of a connection that was closed."""
    return aiohttp.ServerDisconnectedError()


def dumped(obj: Any) -> bytes:
    """Return an object as one text, however its keys are ordered."""
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
