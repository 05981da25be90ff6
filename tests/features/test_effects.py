"""What fails comes back by itself: each effect of the manager fails in every way, and no event helps it on."""

import asyncio
import re
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.standalone.apiserver.registrar import resource_of
from tests.support.direct_api import SETTINGS, Cluster, Fault, managed, reset
from tests.support.documents import API, NAMESPACE, gateway, labels, model, tenant
from tests.support.simulated import START, simulate

QUIET = 100.0
"""Seconds after the last event within which everything has to have come in line."""
EFFECTS = {
    "create a namespace": ("PATCH", r"namespaces/added$"),
    "create a workload": ("PATCH", r"deployments/new-v1$"),
    "create a subset": ("PATCH", r"destinationrules/new$"),
    "open a route": ("PATCH", r"virtualservices/new$"),
    "patch a workload": ("PATCH", r"deployments/ranker-v1$"),
    "scale a workload": ("PATCH", r"deployments/scaled-v1/scale$"),
    "patch a route": ("PATCH", r"virtualservices/ranker$"),
    "read what drifted": ("GET", r"virtualservices/ranker$"),
    "delete a route": ("DELETE", r"virtualservices/old$"),
    "delete a workload": ("DELETE", r"deployments/old-v1$"),
    "add a finalizer": ("PATCH", r"models/new$"),
    "remove a finalizer": ("PATCH", r"models/old$"),
    "status of a gateway": ("PATCH", r"inferencegateways/shared/status$"),
    "status of a tenant": ("PATCH", r"tenants/added/status$"),
    "status of a model": ("PATCH", r"models/ranker/status$"),
    "status of an override": ("PATCH", r"limitoverrides/peak/status$"),
    "status of a grant": ("PATCH", r"accessgrants/readers/status$"),
    "an event": ("POST", r"/events$"),
    "a revision": ("POST", r"controllerrevisions$"),
    "a slot": ("PATCH", r"envoyfilters/tidegate-shared-slot"),
    "the lease": ("PUT", r"leases/tidegate$"),
}
FAULTS = {
    "503": {"status": 503},
    "500": {"status": 500},
    "409": {"status": 409},
    "429": {"status": 429, "headers": {"Retry-After": "3"}},
    "time-out": {"seconds": 10.0, "error": TimeoutError()},
    "reset": {"error": reset()},
    "reset after it was done": {"error": reset(), "after": True},
    "a page of a proxy": {"status": 200, "body": b"<html>it works</html>"},
    "torn": {"status": 200, "body": b'{"kind": "Model", "metad'},
    "no object": {"status": 200, "body": b"[]"},
}


async def prepared(cluster: Cluster) -> None:
    """Have what is there before the faults, and let it come in line."""
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}}
    await cluster.apply(own)
    await asyncio.sleep(5)
    await cluster.apply(NAMESPACE, gateway(), tenant())
    await cluster.pod("gw", "inference-gw", {"istio": "shared"})
    await asyncio.sleep(3)
    await cluster.apply(model(), model("old"))
    for name in ("ranker", "old"):
        await cluster.pod(name, "search", labels(name))
    await asyncio.sleep(20)


async def changed(cluster: Cluster) -> None:
    """Make changes that need every effect; the last event is that of a person, not of the cluster."""
    until = (START + timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = {"target": {"tenant": "search", "model": "ranker"}, "perReplicaQps": 77, "author": "ops", "reason": "peak"}
    peak = {"metadata": {"name": "peak", "namespace": "tidegate-system"}, "spec": {**spec, "expires": until}}
    readers = {"metadata": {"name": "readers"}, "spec": {"role": "viewer", "users": ["u"], "tenants": ["search"]}}
    wanted = model(versions=[{"name": "v1", "workload": {"replicas": 3, "image": "example.com/ranker:2"}}])
    wanted["spec"]["routes"][0]["timeout"] = "7s"
    wanted["spec"]["rateLimit"]["perReplicaQps"] = 30
    version = {"workload": {"image": "example.com/ranker:1"}, "autoscale": {"min": 2, "max": 4}}
    await cluster.apply(wanted, model("new"), model("scaled", versions=[{"name": "v1", **version}]), tenant("added"))
    await cluster.apply({"apiVersion": API, "kind": "AccessGrant", **readers})
    await cluster.apply({"apiVersion": API, "kind": "LimitOverride", **peak})
    await cluster.client.delete(ObjectKey("Model", "search", "old"))
    edit = {"spec": {"hosts": ["elsewhere.example.com"]}}
    await cluster.client.merge(ObjectKey("VirtualService", "search", "ranker"), edit)
    await cluster.pod("gw-2", "inference-gw", {"istio": "shared"})


def seen(cluster: Cluster) -> dict[str, object]:
    """Return what has to be the same, whatever has failed: objects, owners, finalizers, conditions and limits."""
    out: dict[str, object] = {}
    for name, obj in cluster.state().items():
        metadata, status = obj["metadata"], obj.get("status") or {}
        conditions = {(c["type"], c["status"], c.get("reason")) for c in status.get("conditions") or []}
        limit = (status.get("limit") or {}).get("total")
        place = metadata.get("labels"), metadata.get("finalizers"), "deletionTimestamp" in metadata
        out[name] = (obj.get("spec"), obj.get("data"), *place, frozenset(conditions), limit)
    return out


def told(cluster: Cluster) -> Counter[tuple[str, str, str]]:
    """Return the events that were written, by object, reason and message."""
    found = cluster.session.registrar.store.every(resource_of(cluster.session.registrar.kind("v1", "events")))
    return Counter((e["involvedObject"]["name"], e["reason"], e["message"]) for e in found)


def outcome(faults: list[Fault]) -> tuple[dict[str, object], Counter[tuple[str, str, str]], float]:
    """Return the end state, the events, and how many calls were made in a second, with some faults during the
    changes."""

    async def main():
        async with managed(SETTINGS_WITH_LEASE) as cluster:
            await prepared(cluster)
            before = len(cluster.session.calls)
            cluster.session.faults = faults
            await changed(cluster)
            seconds = QUIET + sum(fault.seconds * fault.times for fault in faults)
            await asyncio.sleep(seconds)
            return seen(cluster), told(cluster), (len(cluster.session.calls) - before) / seconds

    return simulate(main())


SETTINGS_WITH_LEASE = type(SETTINGS)(
    quiet=0.02, longest=0.1, history_quiet=0.05, audit="off", lease=("tidegate-system", "tidegate")
)


@pytest.fixture(scope="module")
def reference():
    return outcome([])


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_effect_that_fails_is_made_up_for_without_an_event(fault, times, reference):
    faults = [Fault(*effect, times=times, **FAULTS[fault]) for effect in EFFECTS.values()]
    state, events, calls = outcome(faults)
    assert {name for name, one in zip(EFFECTS, faults, strict=True) if not one.met} <= {"read what drifted"}
    for name in reference[0].keys() | state.keys():
        assert state.get(name) == reference[0].get(name), name
    assert events.keys() >= {key for key in reference[1] if key[1] != "Repaired"}
    assert calls <= 5 * reference[2]


@pytest.mark.parametrize("effect", EFFECTS)
def test_each_effect_alone_is_made_up_for(effect, reference):
    fault = Fault(*EFFECTS[effect], times=2, status=503)
    state, _, _ = outcome([fault])
    assert state == reference[0]


async def deleted(cluster: Cluster) -> None:
    """Delete a model whose objects and limit go at once."""
    await cluster.client.delete(ObjectKey("Model", "search", "old"))


async def granted(cluster: Cluster) -> None:
    """Make a document from which nothing is rendered."""
    spec = {"role": "viewer", "users": ["u"], "tenants": ["search"]}
    await cluster.apply({"apiVersion": API, "kind": "AccessGrant", "metadata": {"name": "readers"}, "spec": spec})


async def rejected(cluster: Cluster) -> None:
    """Make a tenant that is not accepted."""
    await cluster.apply(tenant("added", "search.models.example.com"))


async def joined(cluster: Cluster) -> None:
    """Make another gateway pod."""
    await cluster.pod("gw-2", "inference-gw", {"istio": "shared"})


SILENT = {
    "the last finalizer": (deleted, "PATCH", r"models/old$"),
    "the last deletion": (deleted, "DELETE", r"destinationrules/old$"),
    "the status of a grant": (granted, "PATCH", r"accessgrants/readers/status$"),
    "the status of a rejected tenant": (rejected, "PATCH", r"tenants/added/status$"),
    "the status of a gateway": (joined, "PATCH", r"inferencegateways/shared/status$"),
    "the slot of a gateway pod": (joined, "PATCH", r"envoyfilters/tidegate-shared-slot"),
}


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("effect", SILENT)
def test_what_fails_as_the_last_thing_that_happens_is_made_up_for(effect, times):
    change, verb, path = SILENT[effect]

    async def main(faults):
        async with managed() as cluster:
            await prepared(cluster)
            cluster.session.faults = faults
            await change(cluster)
            await asyncio.sleep(QUIET)
            return seen(cluster)

    fault = Fault(verb, path, times=times, status=503)
    assert simulate(main([fault])) == simulate(main([])) and fault.met == times


LASTING, GROWN, SHORTEST_PAUSE = 400.0, 200.0, 2.0
"""Seconds for which an effect fails, after how many of them its pauses have grown, and the shortest from then on."""


SHARED = {"an event", "a revision"}
"""What is created at one path for several objects."""


@pytest.mark.parametrize("effect", sorted(EFFECTS.keys() - SHARED - {"the lease", "read what drifted"}))
def test_what_goes_on_failing_is_tried_at_growing_pauses(effect):
    verb, path = EFFECTS[effect]

    async def main():
        async with managed() as cluster:
            await prepared(cluster)
            cluster.session.faults = [Fault(verb, path, times=10**6, status=503)]
            await changed(cluster)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(LASTING)
            return [(at - began, called) for at, made, called in cluster.session.calls if made == verb and at > began]

    calls = [(at, called) for at, called in simulate(main()) if re.search(path, called)]
    for one in {called for _, called in calls}:
        late = [at for at, called in calls if called == one and at > GROWN]
        pauses = [after - before for before, after in pairwise(late)]
        assert all(pause >= SHORTEST_PAUSE for pause in pauses), (one, pauses)
    assert calls
