import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Manifest
from istio_templates.names import key_of
from k8s_manager.kube.resources import RESOURCES
from ratelimiter.slots import slot_of
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until


async def make_search(fleet) -> None:
    """Make the gateway, the tenant `search` and its model `ranker`, and wait until all is written."""
    await fleet.apply(gateway(), tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
    await fleet.apply(model())
    await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")


async def in_slot(fleet, name: str = "ranker", namespace: str = "search") -> dict[str, float]:
    """Return the rate of every limit in the slots in which a model on the shared gateway may be, by identity."""
    found = {}
    for restless in (False, True):
        number = slot_of(namespace, name, restless)
        slot = await fleet.get("EnvoyFilter", f"tidegate-shared-slot-{number:02d}", "inference-gw")
        found |= {identity: float(bucket.rate) for identity, bucket in limits_of(slot or {})}
    return found


async def is_programmed(fleet, name: str, namespace: str) -> bool:
    condition = await fleet.condition("Model", name, "Programmed", namespace)
    return condition.get("status") == "True"


@asynccontextmanager
async def recorded(fleet, *kinds: str) -> AsyncIterator[list[Manifest]]:
    """Note every state of the objects of some kinds, as watches show them: a look now and then misses some. What was
    there at the end of the block has been noted when it is left; inside, a watch may be late."""
    seen: list[Manifest] = []
    started = asyncio.Semaphore(0)

    async def follow(kind: str) -> None:
        found, version = await fleet.client.list(RESOURCES[kind])
        seen.extend(found)
        started.release()
        async for _, obj in fleet.client.watch(RESOURCES[kind], version):
            if obj.get("spec"):  # no bookmark
                seen.append(obj)

    tasks = [asyncio.create_task(follow(kind)) for kind in kinds]
    for _ in kinds:
        await started.acquire()
    try:
        yield seen
        last = [obj for kind in kinds for obj in (await fleet.client.list(RESOURCES[kind]))[0]]
        await until(lambda: all(_is_noted(obj, seen) for obj in last), what="the watches being up to date")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_noted(obj: Manifest, seen: list[Manifest]) -> bool:
    """Tell whether a state of an object, or a later one, is among those seen."""
    version = int(obj["metadata"]["resourceVersion"])
    return any(key_of(one) == key_of(obj) and int(one["metadata"]["resourceVersion"]) >= version for one in seen)
