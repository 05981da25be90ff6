"""Hours of churn: 500 models, ten changes a second. Does a manager's memory stay, and the time of a limit change?

`make e2e-full` churns for an hour, `python -m benchmarks soak` for as long as TIDEGATE_SOAK_SECONDS says.
"""

import asyncio
import contextlib
import os
import random
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.support.report import Figure, at_most, median, plain
from benchmarks.support.rig import Cluster, cluster, places, resident_memory, tenants
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Bucket, ObjectKey
from istio_templates.names import identity, key_of
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.resources import RESOURCES
from tests.support.documents import labels, model, tenant
from tests.support.fleet import QUICK
from tests.support.waiting import until

SECONDS, TENANTS, RATE, SAMPLES = 300.0, 20, 10.0, 20
GROWTH, SLOWER = 1.05, 1.25
MEASURED = ("t0000", "measured")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a manager holds after a while, and how many seconds a limit took from its pod to its slot."""

    memory: float
    tasks: int
    sockets: int
    change: float


async def run(quick: bool) -> list[Figure]:
    """Churn, and compare the last quarter of the samples with the second: the first is there for warming up."""
    seconds = 40.0 if quick else float(os.environ.get("TIDEGATE_SOAK_SECONDS", SECONDS))
    models = 60 if quick else 500
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            await found.create(tenants(TENANTS))
            await found.create(model(name, namespace) for namespace, name in [*places(models, TENANTS), MEASURED])
            await found.pod("inference-gw", "gw-0", {"istio": "shared"})
            pods = [await found.pod(*place, labels(place[1])) for place in places(models, TENANTS)]
            _, toggled = [await found.pod(MEASURED[0], f"measured-{n}", labels(MEASURED[1])) for n in range(2)]
            async with found.manager() as process:
                await found.still(4)
                churn = Churn(found, pods, random.Random(1))
                churning = asyncio.create_task(churn.run())
                for number in range(SAMPLES):
                    await asyncio.sleep(seconds / SAMPLES)
                    samples.append(await _sample(found, process.pid, toggled))
                    print(f"  {number + 1} of {SAMPLES}: {churn.done} changes, {samples[-1]}", flush=True)
                assert not churning.done(), churning.exception()
                churning.cancel()
    return _figures(samples, churn.done, seconds)


def _figures(samples: list[Sample], changes: int, seconds: float) -> list[Figure]:
    quarter = SAMPLES // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    memory = max(s.memory for s in late) / median([s.memory for s in early])
    change = median([s.change for s in late]) / median([s.change for s in early])
    # Work that is under way has tasks and connections of its own: the least of several looks is what stays.
    tasks, sockets = (
        min(getattr(s, name) for s in late) / min(getattr(s, name) for s in early) for name in ("tasks", "sockets")
    )
    return [
        plain("changes", f"{changes} in {seconds:.0f} s, {changes / seconds:.1f}/s"),
        plain("resident memory of the manager", f"{early[0].memory:.0f} MB to {late[-1].memory:.0f} MB"),
        at_most("memory, the most of late samples over the early", memory, GROWTH),
        at_most("tasks late over early", tasks, GROWTH),
        at_most("connections late over early", sockets, GROWTH),
        plain("time of a limit change", f"{median([s.change for s in late]) * 1000:.0f} ms"),
        at_most("time of a limit change late over early", change, SLOWER),
    ]


class Churn:
    """Ten changes a second, by chance: replicas, limits, models that go and come, hosts."""

    def __init__(self, found: Cluster, pods: list[ObjectKey], chance: random.Random) -> None:
        self._found, self._pods, self._chance = found, pods, chance
        self._away: set[ObjectKey] = set()
        self._ways = (self._replica, self._replica, self._replica, self._limit, self._limit, self._model, self._host)
        self.done = 0

    async def run(self) -> None:
        """Change until cancelled."""
        started = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, started + self.done / RATE - time.monotonic()))
            await self._chance.choice(self._ways)()
            self.done += 1

    async def _replica(self) -> None:
        pod = self._chance.choice(self._pods)
        await self._found.set_ready(pod, pod in self._away)
        self._away ^= {pod}

    async def _limit(self) -> None:
        namespace, name = self._place()
        limit = {"perReplicaQps": self._chance.randint(1, 100), "debounce": QUICK}
        await self._found.create([model(name, namespace, rateLimit=limit)])

    async def _model(self) -> None:
        namespace, name = self._place()
        document = model(name, namespace)
        with contextlib.suppress(Absent):
            await self._found.client.delete(key_of(document))
        with contextlib.suppress(Absent):  # the finalizer is still there; the next change of this model makes it
            await self._found.create([document])

    async def _host(self) -> None:
        namespace = f"t{self._chance.randrange(TENANTS):04d}"
        hosts = [{"name": f"{namespace}.models.example.com"}, {"name": f"{namespace}-{self.done % 7}.example.com"}]
        await self._found.create([tenant(namespace, hosts=hosts)])

    def _place(self) -> tuple[str, str]:
        pod = self._chance.choice(self._pods)
        return pod.namespace, pod.name


async def _sample(found: Cluster, pid: int, pod: ObjectKey) -> Sample:
    """Take one of the measured model's pods away and bring it back; return what the manager holds then."""
    spent = []
    for ready in (False, True):
        before, began = await _limit(found), time.monotonic()
        await found.set_ready(pod, ready)
        await until(partial(_is_another, found, before), "another limit of the measured model")
        spent.append(time.monotonic() - began)
    metrics = await found.metrics()
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    sockets = sum(link.startswith("socket:") for link in links)
    return Sample(resident_memory(pid), int(metrics["tidegate_tasks"]), sockets, max(spent))


async def _limit(found: Cluster) -> list[Bucket]:
    """Return the limit of the measured model, wherever it is written."""
    slots, _ = await found.client.list(RESOURCES["EnvoyFilter"])
    return [bucket for slot in slots for key, bucket in limits_of(slot) if key == identity(*MEASURED)]


async def _is_another(found: Cluster, before: list[Bucket]) -> bool:
    return await _limit(found) != before
