"""`tidegate standalone`: everything that a cluster would be, started and stopped together on one machine.

API server ── translator ── manager ── collector     a process each
node and controllers                                 in this process, with every pod's containers below it
"""

import asyncio
import base64
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import typer

from istio_templates.documents.crd import crds
from istio_templates.errors import Stalled
from istio_templates.host_port import joined
from istio_templates.schema import istio_crds
from istio_templates.yaml_text import yaml_text
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.standalone.certificate import kept_certificate
from k8s_manager.standalone.mirror import ApiConnection, Mirror
from k8s_manager.standalone.node import process as processes
from k8s_manager.standalone.node.controllers import run_controllers
from k8s_manager.standalone.node.node import Addresses, Node
from k8s_manager.standalone.node.usage import UsageSampler

log = logging.getLogger(__name__)
START_SECONDS = 300
STOP_SECONDS = 10
AT_ONCE = 5.0  # seconds: a part that ends by itself so soon cannot work
BACKOFF = Backoff(0.5, 10.0)
NODE_KINDS = ("Pod", "Deployment", "Service", "EndpointSlice")


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A standalone's folder, where its manager listens, and whether its collector keeps rows in files too."""

    folder: Path
    listen: tuple[str, int]
    keeps_history: bool = False

    @property
    def token_file(self) -> Path:
        """The bearer token of the REST API."""
        return self.folder / "token"

    @property
    def kubeconfig(self) -> Path:
        """The configuration for `kubectl` and `tidegate serve`."""
        return self.folder / "kubeconfig"


class Standalone:
    """Starts everything, keeps it running, stops it."""

    def __init__(self, place: StateFolder, with_manager: bool, require_free: Callable[[str, int], None]) -> None:
        self.place, self._with_manager, self._require_free = place, with_manager, require_free
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        self.server = ""
        self._api: ApiConnection | None = None
        self._lock: IO[str] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start everything; raises `Stalled` where this machine cannot."""
        if sys.platform != "linux":
            raise Stalled("standalone needs Linux (127.0.0.0/8 and /proc); elsewhere use a cluster")
        folder = self.place.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        if self._with_manager:
            self._require_free(*self.place.listen)
        (folder / "logs").mkdir(exist_ok=True)
        _kept_secret(self.place.token_file)
        token = _kept_secret(folder / "kube-token")
        _kept_secret(folder / "collector-token")
        port = _port(folder / "kube-port")
        self.server = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "TIDEGATE_KUBE_TOKEN": token}
        secure, files = _port(folder / "kube-tls-port"), (folder / "kube-cert.pem", folder / "kube-key.pem")
        authority = kept_certificate(*files, datetime.now(UTC))
        words = ["127.0.0.1", str(port), str(folder / "state.db"), str(secure), *map(str, files)]
        await self._spawn("apiserver", [*_module("apiserver"), *words], environment)
        self._api = api = ApiConnection(self.server, token, "node")
        await self._answers(api)
        self._write_kubeconfig(f"https://127.0.0.1:{secure}", authority, token)
        for crd in [*crds(), *istio_crds()]:
            await api.call(
                "PATCH", "CustomResourceDefinition", "", crd["metadata"]["name"], crd, patch="apply", force="true"
            )
        xds = ("127.0.0.1", _port(folder / "xds-port"))
        await self._spawn("translator", [*_module("translator"), self.server, xds[0], str(xds[1])], environment)
        await self._start_node(api, xds)
        if self._with_manager:
            await self._spawn("manager", self._manager_command(), dict(os.environ))
        await self._spawn("collector", self._collector_command(), dict(os.environ))

    async def stop(self) -> None:
        """Stop everything, the last started first."""
        self._stopping = True
        children = self._children
        if "manager" in children:
            await processes.stop(children.pop("manager"), STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(processes.stop(child, STOP_SECONDS) for child in children.values()))
        if self._api is not None:
            await self._api.session.close()
        if self._lock is not None:
            self._lock.close()

    async def _start_node(self, api: ApiConnection, xds: tuple[str, int]) -> None:
        folder = self.place.folder
        file = folder / "block"
        addresses = Addresses(int(file.read_text()) if file.exists() else None)
        file.write_text(str(addresses.block))
        mirror = Mirror(api, NODE_KINDS)
        seen = Mirror(api, NODE_KINDS)
        node = Node(api, seen, addresses, folder / "pods", xds)
        usage = UsageSampler(node.measurable)
        for part in (mirror.run(), seen.run(), run_controllers(api, mirror), node.run(), usage.run()):
            task = asyncio.create_task(part)
            task.add_done_callback(self._fell)
            self._tasks.append(task)

    def _fell(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            log.error("a part of the node failed", exc_info=task.exception())
            self.failed.set()

    async def _spawn(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        async def start() -> asyncio.subprocess.Process:
            file = self.place.folder / "logs" / f"{name}.log"
            child = self._children[name] = await processes.start(words, environment, Path.cwd(), file)
            return child

        self._tasks.append(asyncio.create_task(self._guard(name, await start(), start)))

    async def _guard(
        self,
        name: str,
        child: asyncio.subprocess.Process,
        start: Callable[[], Coroutine[Any, Any, asyncio.subprocess.Process]],
    ) -> None:
        """Start a part again when it ends; one that ends by itself at once cannot work, and ends everything."""
        clock, ends = asyncio.get_running_loop(), 0
        while True:
            began = clock.time()
            code = await child.wait()
            if self._stopping:
                return
            words = processes.tail(self.place.folder / "logs" / f"{name}.log")
            lasted = clock.time() - began
            if code >= 0 and lasted < AT_ONCE:
                log.error("%s ended with %s; its last words: %s", name, code, words)
                self.failed.set()
                return
            ends = 1 if lasted > 10 * BACKOFF.longest else ends + 1
            log.error("%s ended with %s; it is started again; its last words: %s", name, code, words)
            await asyncio.sleep(BACKOFF.after(ends))
            if self._stopping:
                return
            child = await start()

    async def _answers(self, api: ApiConnection) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while not self.failed.is_set():
                    with contextlib.suppress(Exception):
                        await api.call("GET", "Namespace", "", "")
                        return
                    await asyncio.sleep(0.05)
        said = processes.tail(self.place.folder / "logs" / "apiserver.log")
        raise Stalled(f"the embedded API did not start: {said}; look into {self.place.folder / 'logs'}")

    def _manager_command(self) -> list[str]:
        host, port = self.place.listen
        options = ["--kubeconfig", str(self.place.kubeconfig), "--listen", joined(host, port)]
        return [
            sys.executable,
            "-m",
            "k8s_manager.cli.main",
            "serve",
            *options,
            "--token-file",
            str(self.place.token_file),
            "--collectors",
            f"http://127.0.0.1:{_port(self.place.folder / 'collector-port')}",
            "--collectors-token-file",
            str(self.place.folder / "collector-token"),
        ]

    def _collector_command(self) -> list[str]:
        port = _port(self.place.folder / "collector-port")
        options = ["--kubeconfig", str(self.place.kubeconfig), "--listen", f"127.0.0.1:{port}"]
        options += ["--token-file", str(self.place.folder / "collector-token")]
        if self.place.keeps_history:
            options += ["--sink", f"parquet:{self.place.folder / 'rows'}"]
        return [sys.executable, "-m", "k8s_manager.cli.main", "collect", "--pods", *options]

    def _write_kubeconfig(self, server: str, authority: bytes, token: str) -> None:
        """Write a kubeconfig; over TLS, as kubectl sends no token without."""
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "standalone", "cluster": cluster}],
            "users": [{"name": "standalone", "user": {"token": token}}],
            "contexts": [{"name": "standalone", "context": {"cluster": "standalone", "user": "standalone"}}],
            "current-context": "standalone",
        }
        _write_private(self.place.kubeconfig, yaml_text([body]))


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"k8s_manager.standalone.{name}"]


def _kept_secret(file: Path) -> str:
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(32) + "\n")
    return file.read_text().strip()


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)


def _locked(folder: Path) -> IO[str]:
    """Return the lock of a folder, which is this process's while it is open; raises `Stalled`."""
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        said = f"another standalone runs on {folder}{f' (process {owner})' if owner else ''}"
        raise Stalled(f"{said}; stop it, or give another folder with --state") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _port(file: Path) -> int:
    """Return the port of the last time if it is free, else a free one, and keep it for the next time."""
    wanted = int(file.read_text()) if file.exists() else 0
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                file.write_text(str(probe.getsockname()[1]))
                return int(probe.getsockname()[1])
    raise Stalled("no free port on 127.0.0.1; stop something that listens there")


async def run(
    place: StateFolder,
    with_manager: bool,
    started: Callable[[Standalone], Coroutine[Any, Any, None]],
    require_free: Callable[[str, int], None],
) -> None:
    """Run in the foreground until SIGTERM or SIGINT, or until a part fails; `require_free` raises where the manager
    cannot listen."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    standalone = Standalone(place, with_manager, require_free)
    waiters = [asyncio.ensure_future(event.wait()) for event in (stop, standalone.failed)]
    greeting: asyncio.Future[None] | None = None
    try:
        await standalone.start()
        greeting = asyncio.ensure_future(started(standalone))
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in (*waiters, greeting):
            if future is not None:
                future.cancel()
        if greeting is not None:  # else nothing had begun, and the error alone is printed
            typer.echo("  stopping the manager, the pods and their Envoys ...")
        await standalone.stop()
        if greeting is not None:
            typer.echo("  stopped")
    if standalone.failed.is_set() and not stop.is_set():
        raise Stalled(f"a part of standalone ended; look into {place.folder / 'logs'}")
