"""How long it takes from a replica's readiness to the new limit at both gateway pods, and who takes how much of it.

Every change makes a stand-in pod ready or not. The probe tells at each gateway pod which revision of the slot runs; own
watches tell when the API server has told of the pod, and of the slot that the manager wrote. The manager's debounce is
set to its least and, with the pause in which it gathers pod events, taken off.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.support.report import Figure, at_most, median, plain
from collectors.probe import revisions
from e2e.support.site import Site, host_of, path_of
from istio_templates import names
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.settings import Settings
from ratelimiter.slots import slot_of
from tests.support.waiting import until

TENANT, MODEL, GATEWAY = "figures", "measured", "shared"
LEAST = {"down": {"quiet": "1ms", "longest": "1ms"}, "up": {"quiet": "1ms", "longest": "1ms"}}
DEBOUNCE = 0.001
ISTIOD_DEBOUNCE = 0.1  # PILOT_DEBOUNCE_AFTER as it is delivered; the convergence time begins after it
BETWEEN = 1.3  # ticks are a second apart: the next change must not wait for the last one's
LABELS = {"app": MODEL}


@dataclass(slots=True)
class Change:
    """The moments of one change: readiness written, told by the API server, slot told, running at each pod."""

    written: float
    pod_told: float = 0.0
    slot_told: float = 0.0
    running: dict[str, float] = field(default_factory=dict)


async def run(site: Site, models: int, changes: int) -> list[Figure]:
    """Measure `changes` changes of one model among `models`."""
    addresses = await site.make_gateway(GATEWAY)
    await _prepare(site, models)
    pods = await _stand_ins(site)
    await site.until_total(40, TENANT, MODEL)
    before = await _convergence(site)
    floor = await _floor(site)
    async with _observed(site, addresses, pods[1]) as watch:
        seen = [await watch.change(number % 2 == 1) for number in range(changes)]
    after = await _convergence(site)
    for pod in pods:
        await site.kube.delete(pod)
    return _figures(models, seen, floor, (after[0] - before[0]) / max(1.0, after[1] - before[1]))


def _figures(models: int, seen: list[Change], floor: float, convergence: float) -> list[Figure]:
    held = (DEBOUNCE + Settings().limit_quiet) * 1000
    whole = [(max(c.running.values()) - c.written) * 1000 - held for c in seen]
    api = median([(c.pod_told - c.written) * 1000 for c in seen])
    told = median([(c.slot_told - c.pod_told) * 1000 for c in seen])
    beyond = median([(max(c.running.values()) - c.slot_told) * 1000 for c in seen])
    istiod = (ISTIOD_DEBOUNCE + convergence) * 1000
    bound = 250 if models == 1 else 400
    rows = Counter(int(value // 25) * 25 for value in whole)
    return [
        at_most(
            f"readiness written -> both gateway pods, median of {len(seen)}, {models} models",
            median(whole),
            bound,
            " ms",
        ),
        plain("  the API server tells of the pod", f"{api:.1f} ms"),
        plain(f"  pod told -> slot told, {held:.0f} ms of it the chosen pause", f"{told:.1f} ms"),
        plain(
            "  the API server takes a slot and tells of it, Istio's validator asked (bare write)",
            f"{floor * 1000:.1f} ms",
        ),
        at_most("  so our share, without the pause and the bare write", told - held - floor * 1000, 10, " ms"),
        plain("  istiod: its debounce of 100 ms and its convergence time", f"{istiod:.1f} ms"),
        plain("  Envoy, the way there, and the probe's step of 4 ms", f"{beyond - istiod:.1f} ms"),
        *(plain(f"  {low:4d} to {low + 25:4d} ms", f"{rows[low]:3d} {'#' * rows[low]}") for low in sorted(rows)),
    ]


async def _prepare(site: Site, models: int) -> None:
    await site.make_tenant(TENANT, GATEWAY)
    await until(lambda: site.get("Namespace", TENANT), "the tenant's namespace")
    documents = [_model(MODEL), *(_model(f"filler-{number:04d}") for number in range(models - 1))]
    places = asyncio.Semaphore(16)

    async def make(document: Manifest) -> None:
        async with places:
            await site.kube.apply(document, force=True, manager="figures")

    await asyncio.gather(*map(make, documents))

    async def routed() -> bool:
        return len(await site.all("VirtualService", TENANT)) >= models

    await until(routed, f"{models} models being routed")


def _model(name: str) -> Manifest:
    routes = [{"host": host_of(TENANT), "path": path_of(name), "protocol": "http", "port": 8080}]
    spec = {
        "routes": routes,
        "versions": [{"name": "v1", "existing": {"labels": {"app": name}}}],
        "traffic": [{"version": "v1", "weight": 100}],
        "rateLimit": {"perReplicaQps": 20, "debounce": LEAST},
    }
    metadata = {"name": name, "namespace": TENANT}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Model", "metadata": metadata, "spec": spec}


async def _stand_ins(site: Site) -> list[ObjectKey]:
    """Make two pods that no scheduler places and whose readiness we write."""
    keys = [ObjectKey("Pod", TENANT, f"stand-in-{number}") for number in range(2)]
    for number, key in enumerate(keys):
        metadata = {"name": key.name, "namespace": TENANT, "labels": LABELS}
        spec = {"schedulerName": "nobody", "containers": [{"name": "model", "image": "none"}]}
        await site.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await set_ready(site, key, True, f"10.244.255.{number + 1}")
    return keys


async def set_ready(site: Site, key: ObjectKey, ready: bool, address: str = "") -> None:
    """Write a stand-in's readiness."""
    told: Manifest = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    if address:
        told |= {"podIP": address, "podIPs": [{"ip": address}]}
    await site.kube.merge(key, {"status": told}, "status")


class Watch:
    """Notes the moments of the change that is under way."""

    def __init__(self, site: Site, pod: ObjectKey) -> None:
        self._site, self._pod = site, pod
        self._change = Change(0.0)
        self._wanted: bool | None = None
        self.revisions: dict[str, int] = {}
        self._slot = f"tidegate-{GATEWAY}-slot-{slot_of(TENANT, MODEL, restless=True):02d}"

    async def change(self, ready: bool) -> Change:
        """Make one change and return its moments as soon as both gateway pods run it."""
        await asyncio.sleep(BETWEEN)
        self._wanted, self._change = ready, Change(time.monotonic())
        await set_ready(self._site, self._pod, ready)
        found = self._change
        await until(lambda: len(found.running) == len(self.revisions) and found.slot_told, "the change at both pods")
        return found

    async def pods(self) -> None:
        """Note when the API server tells of the pod."""
        _, version = await self._site.kube.list(RESOURCES["Pod"], "app=measured", TENANT)
        while True:
            async for kind, obj in self._site.kube.watch(RESOURCES["Pod"], version, "app=measured"):
                version = obj["metadata"]["resourceVersion"]
                if kind == "MODIFIED" and obj["metadata"]["name"] == self._pod.name and not self._change.pod_told:
                    self._change.pod_told = time.monotonic()

    async def slots(self) -> None:
        """Note when the API server tells of the slot with the new limit."""
        resource, selector = RESOURCES["EnvoyFilter"], f"{names.GATEWAY}={GATEWAY}"
        objects, version = await self._site.kube.list(resource, selector)
        last = next(self._limit(obj) for obj in objects if obj["metadata"]["name"] == self._slot)
        while True:
            async for _, obj in self._site.kube.watch(resource, version, selector):
                version = obj["metadata"]["resourceVersion"]
                if obj["metadata"].get("name") == self._slot and (limit := self._limit(obj)) != last:
                    last, self._change.slot_told = limit, time.monotonic()

    async def probes(self, session: aiohttp.ClientSession, address: str, secret: str) -> None:
        """Note when a gateway pod runs another revision of the slot."""
        headers = {"Host": names.PROBE_HOST, names.PROBE_HEADER: secret}
        number = slot_of(TENANT, MODEL, restless=True)
        while True:
            async with session.get(f"http://{address}:8080/", headers=headers) as answer:
                shown = revisions(answer.headers.getall("x-ratelimit-limit", []))
            revision = shown.get(number, 0)
            if self.revisions.setdefault(address, revision) != revision:
                self.revisions[address] = revision
                self._change.running[address] = time.monotonic()
            await asyncio.sleep(0.004)

    def _limit(self, obj: Manifest) -> Any:
        return dict(limits_of(obj)).get(names.identity(TENANT, MODEL))


@asynccontextmanager
async def _observed(site: Site, addresses: list[str], pod: ObjectKey) -> AsyncIterator[Watch]:
    probe = await site.kube.get(ObjectKey("VirtualService", f"{GATEWAY}-gw", f"tidegate-{GATEWAY}-probe"))
    secret = probe["spec"]["http"][0]["match"][0]["headers"][names.PROBE_HEADER]["exact"]
    watch = Watch(site, pod)
    async with aiohttp.ClientSession() as session:
        parts = [watch.pods(), watch.slots(), *(watch.probes(session, address, secret) for address in addresses)]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await until(lambda: len(watch.revisions) == len(addresses), "the probe answering")
            yield watch
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            failed = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
            assert not failed, failed


async def _floor(site: Site) -> float:
    """Return how long the API server takes to take in a slot and tell of it: nobody decides anything in between."""
    key = ObjectKey(
        "EnvoyFilter", f"{GATEWAY}-gw", f"tidegate-{GATEWAY}-slot-{slot_of(TENANT, MODEL, restless=True):02d}"
    )
    live = await site.kube.get(key)
    metadata = {"name": "floor", "namespace": "default", "labels": {"figures": "floor"}}
    selector = {"workloadSelector": {"labels": {"nobody": "has-this"}}}
    bare = {"apiVersion": live["apiVersion"], "kind": "EnvoyFilter", "metadata": metadata}
    took = []
    for number in range(21):
        spec = {**live["spec"], **selector, "priority": number + 1}
        _, version = await site.kube.list(RESOURCES["EnvoyFilter"], "figures=floor", "default")
        watching = site.kube.watch(RESOURCES["EnvoyFilter"], version, "figures=floor")
        first = asyncio.ensure_future(anext(aiter(watching)))
        await asyncio.sleep(BETWEEN)
        started = time.monotonic()
        await site.kube.apply({**bare, "spec": spec}, force=True, manager="figures")
        await first
        took.append(time.monotonic() - started)
        await watching.aclose()  # type: ignore[attr-defined]
    await site.kube.delete(ObjectKey("EnvoyFilter", "default", "floor"))
    return median(took[1:])


async def _convergence(site: Site) -> tuple[float, float]:
    """Return sum and count of istiod's own measure: from a change to its push being sent."""
    (istiod, *_) = await site.all("Pod", "istio-system", "app=istiod")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{istiod['status']['podIP']}:15014/metrics") as answer,
    ):
        text = await answer.text()
    found = {
        kind: float(re.search(rf"^pilot_proxy_convergence_time_{kind} (\S+)", text, re.M)[1])
        for kind in ("sum", "count")
    }  # type: ignore[index]
    return found["sum"], found["count"]
