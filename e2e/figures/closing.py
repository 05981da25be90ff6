"""How long does a container that restarts in place stand behind an open gate while the leader is killed?

`restartDelay` has to outlast that. In each round the leader is killed and containers crash beside that, one by one: at
once, while the next manager starts, and when the Lease expires. For each of them: from its crash to the kubelet's
report that another container runs or that none does, from that report to the closed gate, and from the new container's
start (which the kubelet tells in whole seconds, so that up to one is added here) to the closed gate.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from benchmarks.support.report import Figure, at_most, plain
from e2e.scenarios.test_leader import leader, takeover
from e2e.support.observation import stopped
from e2e.support.site import SYSTEM, Site, is_ready, kubectl
from e2e.support.warming import PLAN, crash, gate_of, managers_are_ready, put, serves, spec
from istio_templates.documents.fields import seconds
from istio_templates.documents.warmup import Warmup
from istio_templates.facts import Manifest
from istio_templates.workloads.warm_gate import running_container
from k8s_manager.kube.resources import RESOURCES
from tests.support.waiting import until
from warmup.plans.success import nearest_rank

TENANT = "closing"
CRASHES = (0.0, 1.0, 2.0, 4.0, 8.0, 14.0)
"""Seconds from the leader's end to the crash of each replica's container."""
DELAY = float(seconds(Warmup().restart_delay))
"""Seconds: the default of `restartDelay`."""


@dataclass(slots=True)
class Restart:
    """One container's restart, in seconds of the wall clock: when it crashed, when the kubelet reported that, when its
    gate was closed, and when the next container was started."""

    crashed: float
    before: str | None
    reported: float | None = None
    closed: float | None = None
    started: float | None = None
    opened_cold: bool = False

    @property
    def after_start(self) -> float:
        """Seconds from the next container's start to the closed gate, at most; 0 where the gate was closed first."""
        return max(0.0, (self.closed or 0.0) - (self.started or 0.0))

    def see(self, pod: Manifest) -> None:
        """Note what one state of the pod shows, when it comes."""
        now, container = time.time(), running_container(pod)
        if container != self.before and self.reported is None:
            self.reported = now
        if container not in (None, self.before) and self.started is None:
            self.started = datetime.fromisoformat(_running(pod)["startedAt"]).timestamp()
        if self.closed is None and gate_of(pod) != "True":
            self.closed = now
        if self.reported and self.closed is None and is_ready(pod) and container != self.before:
            self.opened_cold = True


@dataclass(slots=True)
class Restarts:
    """The restarts of a round, by the names of their pods, as a watch brings them."""

    site: Site
    by_pod: dict[str, Restart] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow the tenant's pods until cancelled."""
        _, since = await self.site.kube.list(RESOURCES["Pod"], namespace=TENANT)
        while True:
            async for event, pod in self.site.kube.watch(RESOURCES["Pod"], since):
                since = pod["metadata"]["resourceVersion"]
                restart = self.by_pod.get(pod["metadata"]["name"])
                if event == "MODIFIED" and pod["metadata"]["namespace"] == TENANT and restart:
                    restart.see(pod)

    def are_known(self) -> bool:
        """Tell whether every gate is closed and every next container has been started."""
        return all(restart.closed and restart.started for restart in self.by_pod.values())


def _running(pod: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]["running"]
    return found


async def run(site: Site, rounds: int) -> list[Figure]:
    """Measure so many rounds."""
    await site.make_gateway("shared")
    await site.make_tenant(TENANT)
    found: list[Restart] = []
    for number in range(rounds):
        found += await _round(site, number)
    await site.rest.call("DELETE", f"/v1/tenants/{TENANT}?cascade=true")
    return shown(found)


def shown(found: Sequence[Restart]) -> list[Figure]:
    """Return what is said of the restarts."""
    what = f"{len(found)} containers that restart while the leader is killed"
    spans = {
        "from the crash to the kubelet's report": [(one.reported or 0) - one.crashed for one in found],
        "from that report to the closed gate": [(one.closed or 0) - (one.reported or 0) for one in found],
        "from the next container's start to the closed gate": [one.after_start for one in found],
    }
    cold = sum(one.opened_cold for one in found)
    return [
        *(plain(f"{what}: {said}", _spread(values)) for said, values in spans.items()),
        at_most(f"{what}: the last of these, the longest", max(one.after_start for one in found), DELAY, " s"),
        at_most(f"{what}: ready behind a gate that was still open", cold, 0),
    ]


def _spread(values: Sequence[float]) -> str:
    middle, late, most = (nearest_rank(values, rank) for rank in (0.5, 0.99, 1.0))
    return f"median {middle:.2f} s, p99 {late:.2f} s, most {most:.2f} s"


async def _round(site: Site, number: int) -> list[Restart]:
    """Kill the leader, crash a container of each of new replicas, and wait until all is as before."""
    count = len(CRASHES)
    await put(site, TENANT, spec(TENANT, count, warmup={"plan": PLAN}))
    pods = await serves(site, TENANT, count)
    await until(lambda: managers_are_ready(site), "two ready managers")
    restarts = Restarts(site)
    watching = asyncio.create_task(restarts.run())
    before = await leader(site)
    name, killed = before.rpartition("-")[0], time.monotonic()
    kubectl("-n", SYSTEM, "delete", "pod", name, "--force", "--grace-period=0")
    for after, pod in zip(CRASHES, pods, strict=True):
        await asyncio.sleep(max(0.0, killed + after - time.monotonic()))
        restarts.by_pod[pod["metadata"]["name"]] = Restart(time.time(), running_container(pod))
        await crash(pod)
    await until(restarts.are_known, "the gate of every restarted container being closed")
    await takeover(site, before)
    await stopped(watching)
    await site.rest.ok("DELETE", f"/v1/tenants/{TENANT}/models/ranker")

    async def gone() -> bool:
        return not await site.all("Pod", TENANT)

    await until(gone, "the replicas being gone")
    found = list(restarts.by_pod.values())
    for one in found:
        print(
            f"  round {number}: reported {(one.reported or 0) - one.crashed:.2f} s, closed "
            f"{(one.closed or 0) - (one.reported or 0):.2f} s later, {one.after_start:.2f} s after the start",
            flush=True,
        )
    return found
