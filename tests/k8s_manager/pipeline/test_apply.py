"""What fails is left alone for a growing while, and what is skipped for it wakes nobody."""

import asyncio
from datetime import UTC, datetime

import pytest

from istio_templates.errors import Problem
from k8s_manager.drift.digest import stamped
from k8s_manager.drift.repair import OF_OWNER
from k8s_manager.kube.errors import Absent, ForeignObject, Refused, Unavailable
from k8s_manager.kube.resources import DOCUMENTS
from k8s_manager.kube.store import Store
from k8s_manager.offline.offline_world import world_with
from k8s_manager.pipeline.apply import Basis, ClusterTarget
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.effects.lane import Effects
from tests.features.test_drift import Hand

BASIS = Basis(datetime(2026, 1, 1, tzinfo=UTC), world_with([]), Plan())


class Kubernetes:
    """An API server that deletes nothing, and takes writes until it is told not to."""

    takes = True

    async def apply(self, obj, force):
        if not self.takes:
            raise Refused("apply", [])
        return obj

    async def get(self, key):
        if key.kind in DOCUMENTS:
            raise Absent(f"{key}")
        return ours(key.kind, key.name, key.namespace)

    async def delete(self, key, uid, version=None):
        raise Unavailable("not now")


def cluster(server, store: Store, clock: Hand, in_flight: int = 4) -> ClusterTarget:
    return ClusterTarget(server, store, clock, Effects(clock, asyncio.Event()), in_flight)


def ours(kind: str, name: str, namespace: str, **more: str) -> dict:
    labels = {"app.kubernetes.io/managed-by": "tidegate", "tidegate.dev/tenant": "search"}
    labels |= {f"tidegate.dev/{label}": value for label, value in more.items()}
    metadata = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": "1", "labels": labels}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": {}}


async def test_a_delete_that_waits_for_a_write_does_not_run_the_loop_hot():
    clock, server = Hand(), Kubernetes()
    target = cluster(server, Store(("VirtualService", "Gateway"), clock), clock)
    route, gateway = ours("VirtualService", "ranker", "search", model="ranker"), ours("Gateway", "tenant-search", "gw")
    changes = Changes(writes=[Write(route, False)], deletes=[gateway])
    assert [key.kind for key in (await target.apply(changes, BASIS)).failures] == ["Gateway"]
    server.takes, clock.at = False, 5.0
    results = await target.apply(changes, BASIS)  # the Gateway may be in use as long as the route is not written
    assert [key.kind for key in results.failures] == ["VirtualService"]
    assert min(failure.again_at for failure in results.failures.values()) > clock.now()
    server.takes, clock.at = True, 50.0
    assert [key.kind for key in (await target.apply(changes, BASIS)).failures] == ["Gateway"]  # tried again


class Rivals(Kubernetes):
    """An API server on which another writer made the same objects a moment ago."""

    def __init__(self) -> None:
        self.applied: list[dict] = []

    async def apply(self, obj, force):
        assert not (force and "spec" in obj)
        self.applied.append(obj)
        writers = [{"manager": "helm", "operation": "Update"}, {"manager": "tidegate", "operation": "Apply"}]
        return {**obj, "metadata": {**obj["metadata"], "managedFields": writers}}


async def test_what_another_made_a_moment_ago_is_a_conflict_and_left_to_it():
    clock, server = Hand(), Rivals()
    kinds = ("VirtualService", "Service", "DestinationRule", "Gateway")
    target = cluster(server, Store(kinds, clock), clock, 1)
    wanted = [ours(kind, "ranker", "search", model="ranker") for kind in kinds]
    results = await target.apply(Changes(writes=[Write(obj, True) for obj in wanted]), BASIS)
    assert {type(failure.error) for failure in results.failures.values()} == {ForeignObject}
    given_up = [(obj["kind"], obj["metadata"]["labels"]) for obj in server.applied if "spec" not in obj]
    assert given_up == [(server.applied[0]["kind"], {})]  # the first conflict stops its document's other objects
    assert results.written == 0


async def test_what_others_prepared_with_our_labels_is_written_at_no_pace_and_set_back_at_one():
    clock, server = Hand(), Kubernetes()
    store = Store(("Namespace",), clock)
    target = cluster(server, store, clock)
    prepared = [ours("Namespace", f"t{index}", "") for index in range(150)]
    for obj in prepared:
        store.put(obj)
    writes = [Write(stamped(obj), False, True) for obj in prepared]
    results = await target.apply(Changes(writes=writes), BASIS)
    assert (results.written, results.put_off, results.repaired) == (150, {}, {})  # there was nothing to repair
    results = await target.apply(Changes(writes=writes), BASIS)  # another writer has removed all of it
    assert results.written == OF_OWNER.burst
    assert len(results.put_off) == 150 - OF_OWNER.burst
    assert len(results.repaired) == OF_OWNER.burst


class Strict(Kubernetes):
    """An API server that takes no object of some kinds, and notes what it made."""

    def __init__(self, *kinds: str) -> None:
        self.refuses, self.made, self.asked = set(kinds), [], []
        self.error: Exception = Refused("apply", [])

    async def apply(self, obj, force, dry_run=False):
        self.asked.append(obj["kind"])
        if obj["kind"] in self.refuses:
            raise self.error
        if not dry_run:
            self.made.append(obj["kind"])
        return obj

    async def get(self, key):
        raise Absent("not there")


def model_of(name: str, awaited: tuple = (), first: bool = True) -> Changes:
    kinds = [
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "DestinationRule",
        *([] if awaited else ["VirtualService"]),
    ]
    objects = [ours(kind, name, "search", model=name) for kind in kinds]
    return Changes(writes=[Write(obj, first) for obj in objects], awaited=awaited)


def strict(server: Strict) -> tuple[ClusterTarget, Hand]:
    clock = Hand()
    kinds = ("Service", "Deployment", "PodDisruptionBudget", "DestinationRule", "VirtualService")
    return cluster(server, Store(kinds, clock), clock), clock


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "DestinationRule", "VirtualService"])
async def test_no_pod_is_made_for_a_model_of_which_something_later_is_refused(kind):
    server = Strict(kind)
    target, clock = strict(server)
    results = await target.apply(model_of("a"), BASIS)
    assert [key.kind for key in results.failures] == [kind]
    assert "Deployment" not in server.made
    server.refuses.clear()
    clock.at = 50.0
    assert not (await target.apply(model_of("a"), BASIS)).failures
    assert "Deployment" in server.made and kind in server.made


async def test_a_route_that_waits_for_its_limit_is_tried_before_pods_are_made():
    server = Strict("VirtualService")
    target, _ = strict(server)
    route = ours("VirtualService", "a", "search", model="a")
    results = await target.apply(model_of("a", awaited=(route,)), BASIS)
    assert [key.kind for key in results.failures] == ["VirtualService"] and "Deployment" not in server.made
    server.asked.clear()
    await target.apply(model_of("a", awaited=(route,)), BASIS)  # too early: nobody is asked again
    assert "VirtualService" not in server.asked and "Deployment" not in server.made


async def test_of_two_versions_none_is_made_where_one_is_refused():
    server = Strict("Deployment")
    target, _ = strict(server)
    both = [Write(ours("Deployment", f"a-{name}", "search", model="a"), True) for name in ("v1", "v2")]
    await target.apply(Changes(writes=both), BASIS)
    assert server.asked == ["Deployment", "Deployment"] and server.made == []


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("a webhook is away"),
        Refused("apply", [Problem("", "admission webhook x does not support dry run")]),
    ],
)
async def test_pods_do_not_wait_for_an_answer_that_nobody_can_give(error):
    server = Strict("VirtualService")
    server.error = error
    target, _ = strict(server)
    await target.apply(model_of("a"), BASIS)
    assert "Deployment" in server.made


async def test_another_model_goes_its_way_and_what_runs_is_not_tried():
    server = Strict("VirtualService")
    target, _ = strict(server)
    await target.apply(model_of("a", first=False), BASIS)
    assert "Deployment" in server.made and server.asked.count("DestinationRule") == 1
