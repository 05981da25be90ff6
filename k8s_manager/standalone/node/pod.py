"""One pod: its containers as processes, their probes, its status, its end."""

import asyncio
import contextlib
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k8s_manager.standalone.mirror import ApiConnection, MirrorRefused
from k8s_manager.standalone.node import process as processes
from k8s_manager.standalone.node.environment import CannotRun, command, environment
from k8s_manager.standalone.node.probes import Count, succeeds

log = logging.getLogger(__name__)
Object = dict[str, Any]
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 60.0
STEADY = 30.0


class Container:
    """One container of a running pod, with its status."""

    def __init__(self, spec: Object, restarts: int) -> None:
        self.spec, self.restarts = spec, restarts
        self.process: asyncio.subprocess.Process | None = None
        self.id = ""
        self.state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self.last: Object = {}
        self.started, self.ready = False, False

    def status(self) -> Object:
        """Return the containerStatus."""
        return {
            "name": self.spec["name"],
            "image": self.spec.get("image", ""),
            "imageID": "",
            "containerID": self.id,
            "restartCount": self.restarts,
            "started": self.started,
            "ready": self.ready,
            "state": self.state,
            "lastState": self.last,
        }


class PodRunner:
    """Runs a pod until it is stopped. The pod object is read again whenever it changes."""

    def __init__(self, api: ApiConnection, pod: Object, address: str, folder: Path) -> None:
        self._api, self.pod, self.address, self._folder = api, pod, address, folder
        before = {status["name"]: status for status in pod.get("status", {}).get("containerStatuses", [])}
        self._containers = [
            Container(spec, before[spec["name"]]["restartCount"] + 1 if spec["name"] in before else 0)
            for spec in pod["spec"]["containers"]
        ]
        self._told: Object = {}
        self._since: dict[str, tuple[str, str]] = {}
        self._changed = asyncio.Event()
        self._stopping = False

    def look(self, pod: Object) -> None:
        """Take note of a changed pod object: a readiness gate may have been set."""
        self.pod = pod
        self._changed.set()

    @property
    def folder(self) -> Path:
        """Where its logs and its usage are."""
        return self._folder

    def processes(self) -> dict[str, int]:
        """Return the first process of each container; of none where one does not run."""
        running = {c.spec["name"]: c.process for c in self._containers}
        if any(process is None or process.returncode is not None for process in running.values()):
            return {}
        return {name: process.pid for name, process in running.items() if process}

    async def run(self) -> None:
        """Run all containers until cancelled."""
        self._folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report())
            for container in self._containers:
                group.create_task(self._keep(container))

    async def end(self) -> None:
        """Let the containers finish, then remove the pod object."""
        grace = float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        self._stopping = True
        started = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.gather(*(self._pre_stop(container) for container in self._containers))
        left = max(2.0, grace - (asyncio.get_running_loop().time() - started))
        await asyncio.gather(*(processes.stop(c.process, left) for c in self._containers if c.process))

    async def _pre_stop(self, container: Container) -> None:
        hook = container.spec.get("lifecycle", {}).get("preStop", {})
        if container.process is None or container.process.returncode is not None:
            return
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            await succeeds(
                {"exec": hook["exec"], "timeoutSeconds": 3600}, container.spec, self.address, self._variables(container)
            )
        elif "httpGet" in hook:
            await succeeds({"httpGet": hook["httpGet"], "timeoutSeconds": 30}, container.spec, self.address, {})

    def _variables(self, container: Container) -> dict[str, str]:
        return environment(self.pod, container.spec, self.address)

    async def _keep(self, container: Container) -> None:
        """Restart a container repeatedly, after growing pauses."""
        pause = FIRST_BACK_OFF
        while not self._stopping:
            began = asyncio.get_running_loop().time()
            try:
                await self._once(container)
            except (CannotRun, OSError) as error:
                reason = "RunContainerError" if isinstance(error, OSError) else "CreateContainerError"
                container.state = {"waiting": {"reason": reason, "message": str(error)}}
                log.warning("pod %s: %s", self.pod["metadata"]["name"], error)
            container.ready = container.started = False
            self._changed.set()
            if self._stopping:
                return
            pause = FIRST_BACK_OFF if asyncio.get_running_loop().time() - began > STEADY else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_BACK_OFF)
            container.restarts += 1

    async def _once(self, container: Container) -> None:
        name = container.spec["name"]
        file = self._folder / f"{name}.log"
        if file.exists():
            file.replace(self._folder / f"{name}.previous.log")
        variables = self._variables(container)
        container.process = await processes.start(command(container.spec, variables), variables, self._folder, file)
        container.id = f"process://{uuid.uuid4()}"
        container.state = {"running": {"startedAt": _now()}}
        self._changed.set()
        beside = [asyncio.create_task(work) for work in (self._probe(container, variables), processes.bounded(file))]
        try:
            code = await container.process.wait()
        finally:
            for task in beside:
                task.cancel()
        self._ended(container, code, file)

    def _ended(self, container: Container, code: int, file: Path) -> None:
        ports = [int(port["containerPort"]) for port in container.spec.get("ports", [])]
        message = processes.tail(file)
        if processes.listens_everywhere(ports) or "ddress already in use" in message:
            message = (
                "its port is taken: a process that listens on all addresses collides with every other one on this "
                f"machine; here each pod has an address of its own: listen on $(POD_IP) (this one: {self.address}). "
                + message
            )
        exit_code = code if code >= 0 else 128 - code  # by a signal, as the kubelet reports it
        reason = "Completed" if code == 0 else "Error"
        ended = {"terminated": {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": _now()}}
        container.last = ended
        waiting = {"reason": "CrashLoopBackOff", "message": message}
        container.state = ended if self._stopping else {"waiting": waiting}
        if not self._stopping:
            log.warning(
                "pod %s: container %s ended with %s: %s",
                self.pod["metadata"]["name"],
                container.spec["name"],
                code,
                message,
            )

    async def _probe(self, container: Container, variables: dict[str, str]) -> None:
        """Startup first, then readiness and liveness side by side."""
        spec = container.spec
        if "startupProbe" in spec and not await self._start_up(container, variables):
            return
        container.started = True
        container.ready = "readinessProbe" not in spec
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in spec:
                group.create_task(self._repeat(container, "readinessProbe", variables))
            if "livenessProbe" in spec:
                group.create_task(self._repeat(container, "livenessProbe", variables))

    async def _start_up(self, container: Container, variables: dict[str, str]) -> bool:
        probe, count = container.spec["startupProbe"], Count()
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        while count.passed is None:
            count.add(await succeeds(probe, container.spec, self.address, variables), probe)
            if count.passed is None:
                await asyncio.sleep(probe.get("periodSeconds", 10))
        if not count.passed and container.process:
            await processes.stop(container.process, 5)
        return bool(count.passed)

    async def _repeat(self, container: Container, which: str, variables: dict[str, str]) -> None:
        probe, count = container.spec[which], Count()
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        while True:
            count.add(await succeeds(probe, container.spec, self.address, variables), probe)
            if which == "readinessProbe" and container.ready != bool(count.passed):
                container.ready = bool(count.passed)
                self._changed.set()
            elif which == "livenessProbe" and count.passed is False and container.process:
                await processes.stop(container.process, 5)
                return
            # Until it is ready a pod is asked more often than it wants: here a start takes less than a period.
            await asyncio.sleep(
                min(0.2, probe.get("periodSeconds", 10)) if not container.ready else probe.get("periodSeconds", 10)
            )

    async def _report(self) -> None:
        """Write the status whenever it differs from the last one."""
        while True:
            status = self._status()
            if status != self._told:
                try:
                    await self._write(status)
                    self._told = status
                except MirrorRefused as error:
                    if error.status == 404:
                        return
                    self._changed.set()
                    await asyncio.sleep(0.2)
            await self._changed.wait()
            self._changed.clear()

    async def _write(self, status: Object) -> None:
        """Write what the kubelet would, and leave others' conditions alone."""
        metadata = self.pod["metadata"]
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        await self._api.call(
            "PATCH", "Pod", metadata["namespace"], metadata["name"], body, sub="status", patch="strategic"
        )

    def _status(self) -> Object:
        ready = all(container.ready for container in self._containers)
        others = {c["type"]: c["status"] for c in self.pod.get("status", {}).get("conditions", [])}
        gates = [gate["conditionType"] for gate in self.pod["spec"].get("readinessGates", [])]
        open_gates = all(others.get(gate) == "True" for gate in gates)
        return {
            "phase": "Running" if any(c.process for c in self._containers) else "Pending",
            "hostIP": "127.0.0.1",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": [
                self._condition("PodScheduled", True),
                self._condition("Initialized", True),
                self._condition("ContainersReady", ready),
                self._condition("Ready", ready and open_gates),
            ],
            "containerStatuses": [container.status() for container in self._containers],
        }

    def _condition(self, kind: str, holds: bool) -> Object:
        status = "True" if holds else "False"
        if self._since.get(kind, ("", ""))[0] != status:
            self._since[kind] = (status, _now())
        return {"type": kind, "status": status, "lastTransitionTime": self._since[kind][1]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
