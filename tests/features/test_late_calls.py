"""One call that hangs delays nobody else: neither limits nor documents, wherever in the manager it hangs."""

import asyncio

import pytest

from istio_templates.envoy_filter import limits_of
from istio_templates.facts import ObjectKey
from istio_templates.names import identity
from tests.support.direct_api import Cluster, Fault, managed
from tests.support.documents import NAMESPACE, gateway, labels, model, tenant
from tests.support.simulated import simulate

HUNG = 8.0
OFTEN = 1_000
PLACES = {
    "a slot": ("PATCH", r"tidegate-shared-slot-(?!{slot}$)\d+$"),
    "a Deployment": ("PATCH", r"namespaces/bad/deployments/"),
    "a Service": ("PATCH", r"namespaces/bad/services/"),
    "a route": ("PATCH", r"namespaces/bad/virtualservices/"),
    "a deletion": ("DELETE", r"namespaces/bad/"),
    "a read of an object": ("GET", r"namespaces/bad/.*/.*"),
    "a status": ("PATCH", r"namespaces/bad/models/.*/status$"),
    "a finalizer": ("PATCH", r"namespaces/bad/models/[^/]*$"),
    "a revision": ("POST", r"namespaces/bad/controllerrevisions$"),
    "an event": ("POST", r"namespaces/bad/events$"),
}


async def until(condition, limit: float = 60.0) -> float:
    """Return how many seconds pass until something holds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < limit, "it never came"
        await asyncio.sleep(0.01)
    return loop.time() - began


def slot_of(cluster: Cluster, name: str) -> str:
    """Return the number of the slot that holds a limit of tenant good."""
    for place, obj in cluster.state().items():
        if "tidegate-shared-slot-" in place and any(key == identity("good", name) for key, _ in limits_of(obj)):
            return place[-2:]
    raise AssertionError("there is no such limit")


def limit(cluster: Cluster, name: str) -> float:
    found = (
        dict(limits_of(obj)).get(identity("good", name))
        for place, obj in cluster.state().items()
        if "tidegate-shared-slot-" in place
    )
    return next((float(bucket.rate) for bucket in found if bucket), 0.0)


def is_programmed(cluster: Cluster, name: str) -> bool:
    found = cluster.find("Model", name, "good") or {}
    conditions = (found.get("status") or {}).get("conditions") or []
    return any((c["type"], c["status"]) == ("Programmed", "True") for c in conditions)


def measured(place: tuple[str, str] | None) -> dict[str, float]:
    """Return how long the changes of tenant good take while calls for tenant bad hang at a place."""

    async def main():
        async with managed() as cluster:
            await cluster.apply(NAMESPACE, gateway(), tenant("good"), tenant("bad"))
            await cluster.pod("gw", "inference-gw", {"istio": "shared"})
            await asyncio.sleep(3)
            for name in ("good", "bad"):
                await cluster.apply(model(namespace=name), *[model(f"m{i}", name) for i in range(4)])
                await cluster.pod("one", name, labels())
            await asyncio.sleep(10)
            if place:
                path = place[1].replace("{slot}", slot_of(cluster, "ranker"))
                fault = Fault(place[0], path, times=OFTEN, seconds=HUNG)
                cluster.session.faults = [fault]
            changed = [model(f"m{i}", "bad", rateLimit={"perReplicaQps": 9}, drain="1s") for i in range(3)]
            for obj in changed:
                obj["spec"]["routes"][0]["timeout"] = "3s"
                obj["spec"]["versions"][0]["workload"]["image"] = "example.com/ranker:3"
            await cluster.apply(*changed, model("added", "bad"))
            await cluster.client.delete(ObjectKey("Model", "bad", "m3"))
            for i in range(3):
                await cluster.pod(f"more-{i}", "bad", labels(f"m{i}"))
            await asyncio.sleep(1.5)
            out = {}
            for number in range(2, 5):
                before = limit(cluster, "ranker")
                await cluster.pod(f"more-{number}", "good", labels())
                out[f"limit {number}"] = await until(lambda before=before: limit(cluster, "ranker") > before)
                await cluster.apply(model(f"new-{number}", "good"))
                out[f"document {number}"] = await until(lambda n=number: is_programmed(cluster, f"new-{n}"))
            if place:
                out["met"] = fault.met
            return out

    return simulate(main())


@pytest.fixture(scope="module")
def quiet():
    return measured(None)


@pytest.mark.parametrize("place", PLACES)
def test_a_call_that_hangs_delays_no_other_tenant(place, quiet):
    found = measured(PLACES[place])
    met = found.pop("met")
    assert met
    for name, seconds in found.items():
        if place == "a slot" and name.startswith("document"):
            continue  # the limit of a new model may belong into a slot that hangs
        patience = 0.7 if name.startswith("limit") else 3.0
        assert seconds <= quiet[name] + patience, (name, quiet)
