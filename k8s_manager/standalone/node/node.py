"""The node: every pod of the embedded API as local processes, each pod at an address of its own."""

import asyncio
import contextlib
import logging
import shutil
import socket
from pathlib import Path

from k8s_manager.standalone.mirror import ApiConnection, Mirror, MirrorRefused, Object
from k8s_manager.standalone.node.gateway import inject, is_gateway
from k8s_manager.standalone.node.pod import PodRunner

log = logging.getLogger(__name__)
BLOCKS = range(64, 127)
MUTEX_PORT = 15999


class Addresses:
    """Addresses 127.N.x.y for pods. A bound socket keeps block N from other nodes on this machine."""

    def __init__(self, wanted: int | None) -> None:
        self._socket, self.block = _claim([wanted] if wanted is not None else [], list(BLOCKS))
        self._taken: dict[str, str] = {}
        self._next = 2

    def of(self, pod: Object) -> str:
        """Return the address of a pod: the one it has, if that is free, else a new one."""
        uid, had = pod["metadata"]["uid"], pod.get("status", {}).get("podIP", "")
        if uid not in self._taken:
            free = had.startswith(f"127.{self.block}.") and had not in self._taken.values()
            self._taken[uid] = had if free else self._new()
        return self._taken[uid]

    def free(self, pod: Object) -> None:
        """Give an address back."""
        self._taken.pop(pod["metadata"]["uid"], None)

    def _new(self) -> str:
        while True:
            address = f"127.{self.block}.{self._next // 250 % 250}.{self._next % 250 + 1}"
            self._next += 1
            if address not in self._taken.values():
                return address


def _claim(first: list[int], others: list[int]) -> tuple[socket.socket, int]:
    for block in [*first, *others]:
        mutex = socket.socket()
        try:
            mutex.bind((f"127.{block}.0.1", MUTEX_PORT))
        except OSError:
            mutex.close()
        else:
            return mutex, block
    raise OSError("every block of loopback addresses is taken; stop another standalone first")


class Node:
    """Starts and stops pods as their objects come and go."""

    def __init__(
        self, api: ApiConnection, mirror: Mirror, addresses: Addresses, folder: Path, xds: tuple[str, int]
    ) -> None:
        self._api, self._mirror, self._addresses = api, mirror, addresses
        self._folder, self._xds = folder, xds
        self._pods: dict[str, tuple[PodRunner, asyncio.Task[None]]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow the pods until cancelled, then stop them all."""
        try:
            async for _ in self._mirror.settled(0.005):
                self._look()
        finally:
            running = [pod for pod, _ in self._pods.values()]
            await asyncio.gather(*(self._halt(pod) for pod in running), return_exceptions=True)

    def measurable(self) -> list[tuple[Path, dict[str, int]]]:
        """Return the folders of pods that are not ending, with the first process of each container."""
        return [(pod.folder, pod.processes()) for uid, (pod, _) in self._pods.items() if uid not in self._ending]

    def _look(self) -> None:
        seen = {pod["metadata"]["uid"]: pod for pod in self._mirror.all("Pod")}
        for uid, obj in seen.items():
            if "deletionTimestamp" in obj["metadata"]:
                self._end(uid, obj)
            elif uid in self._pods:
                self._pods[uid][0].look(obj)
            else:
                self._start(uid, obj)
        for uid in self._pods.keys() - seen.keys():
            self._end(uid, self._pods[uid][0].pod)

    def _start(self, uid: str, obj: Object) -> None:
        metadata, address = obj["metadata"], self._addresses.of(obj)
        folder = self._folder / f"{metadata['namespace']}_{metadata['name']}"
        if is_gateway(obj):
            folder.mkdir(parents=True, exist_ok=True)
            obj = inject(obj, address, folder, self._xds)
        pod = PodRunner(self._api, obj, address, folder)
        self._pods[uid] = (pod, asyncio.create_task(pod.run()))

    def _end(self, uid: str, obj: Object) -> None:
        if uid in self._ending:
            return
        if uid not in self._pods:
            self._start(uid, obj)
        pod, task = self._pods[uid]
        pod.look(
            obj if not is_gateway(obj) else {**pod.pod, "metadata": obj["metadata"], "status": obj.get("status", {})}
        )
        self._ending[uid] = asyncio.create_task(self._finish(uid, pod, task))

    async def _finish(self, uid: str, pod: PodRunner, task: "asyncio.Task[None]") -> None:
        metadata = pod.pod["metadata"]
        try:
            await pod.end()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._pods[uid]
            self._addresses.free(pod.pod)
        with contextlib.suppress(MirrorRefused):
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            await self._api.call("DELETE", "Pod", metadata["namespace"], metadata["name"], body)
        self._ending.pop(uid, None)
        shutil.rmtree(self._folder / f"{metadata['namespace']}_{metadata['name']}", ignore_errors=True)

    async def _halt(self, pod: PodRunner) -> None:
        pod.pod = {**pod.pod, "metadata": {**pod.pod["metadata"], "deletionGracePeriodSeconds": 0}}
        await pod.end()
