"""Whatever stands in an object, a pass succeeds, and the other documents get what they get without it.

Every kind that is watched: a normal object of a small world, with a wrong value at each of its paths in turn.
"""

import asyncio
import copy
import itertools
import logging
import os
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.reconcile import KINDS
from tests.support.direct_api import Cluster, managed
from tests.support.documents import API, NAMESPACE, gateway, labels, model, tenant
from tests.support.simulated import simulate

WRONG: tuple[Any, ...] = (
    "x",
    7,
    -1,
    1e300,
    True,
    None,
    [],
    {},
    [None],
    ["x"],
    [{}],
    {"a": 1},
    {"a": {"b": []}},
    "x" * 5000,
)
MISSING = object()
KEPT = ("name", "namespace", "uid", "resourceVersion", "kind", "apiVersion")
"""What makes an object an object: without it nothing is taken in (tests/k8s_manager/kube/test_answers.py)."""
SHARED = {"inference-gw", "calm"}
"""What the other document stands on."""
BYSTANDER = ("Model", "calm", "other")


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of an object that anybody may write."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inner:
        if (len(at) < 2 and key in (*KEPT, "managedFields")) or (at == () and key == "metadata"):
            if key == "metadata":
                yield from paths(part, (key,))
            continue
        yield (*at, key)
        if len(at) < 6:
            yield from paths(part, (*at, key))


def changed(obj: Manifest, path: tuple[Any, ...], wrong: Any) -> Manifest:
    """Return an object with a wrong value at a path."""
    out = copy.deepcopy(obj)
    part = out
    for key in path[:-1]:
        part = part[key]
    if wrong is MISSING:
        del part[path[-1]]
    else:
        part[path[-1]] = copy.deepcopy(wrong)
    return out


async def world(cluster: Cluster) -> None:
    """Make a world in which every kind that is watched has an object."""
    await cluster.apply({**NAMESPACE, "metadata": {"name": "tidegate-system"}}, NAMESPACE)
    managed_gateway = gateway("own", "own-gw", managed={"replicas": 2, "autoscale": {"min": 1, "max": 4}})
    await cluster.apply(gateway(), managed_gateway, tenant("search"), tenant("calm", isolation="strict"))
    await cluster.pod("gw", "inference-gw", {"istio": "shared"})
    await asyncio.sleep(3)
    spec = {"target": {"tenant": "search"}, "perReplicaQps": 7, "author": "anna", "reason": "peak load"}
    for name, namespace in (("ranker", "search"), ("other", "calm")):
        await cluster.apply(model(name, namespace))
        await cluster.pod(name, namespace, labels(name))
    override = {
        "metadata": {"name": "o", "namespace": "tidegate-system"},
        "spec": {**spec, "expires": "2027-01-01T00:00:00Z"},
    }
    await cluster.apply({"apiVersion": API, "kind": "LimitOverride", **override})
    grant = {"metadata": {"name": "g"}, "spec": {"role": "viewer", "users": ["u"], "tenants": ["search"]}}
    await cluster.apply({"apiVersion": API, "kind": "AccessGrant", **grant})
    for obj in foreign():
        await cluster.apply(obj)
    await asyncio.sleep(10)


def foreign() -> Iterator[Manifest]:
    """Yield objects of other owners."""
    at = {"name": "theirs", "namespace": "search"}
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**at, "labels": {"tidegate.dev/warmup": "x"}},
        "data": {"a": "b"},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**at, "namespace": "inference-gw"},
        "data": {"tls.crt": "YQ=="},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": at,
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
    }
    scaled = {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-v1"}, "maxReplicas": 3, "metrics": []}
    yield {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": at, "spec": scaled}
    route = {
        "route": [{"destination": {"host": "theirs", "subset": "v1"}, "weight": 100}],
        "match": [{"uri": {"prefix": "/x"}}],
    }
    served = {"hosts": ["h.example.com"], "gateways": ["inference-gw/x"], "http": [route]}
    istio = "networking.istio.io/v1"
    yield {"apiVersion": istio, "kind": "VirtualService", "metadata": at, "spec": served}
    yield {
        "apiVersion": istio,
        "kind": "DestinationRule",
        "metadata": at,
        "spec": {"host": "theirs", "subsets": [{"name": "v1", "labels": {"a": "b"}}]},
    }
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["h.example.com"]}
    yield {
        "apiVersion": istio,
        "kind": "Gateway",
        "metadata": at,
        "spec": {"selector": {"istio": "shared"}, "servers": [server]},
    }


def samples(cluster: Cluster) -> dict[str, Manifest]:
    """Return objects by a name: of each kind, those of the manager and those of others, as far as they are watched."""
    assert cluster.manager is not None
    found = {}
    for kind in KINDS:
        for obj in cluster.manager.store.all(kind):
            key = key_of(obj)
            if tuple(key) == BYSTANDER or "slot-1" in key.name or "slot-2" in key.name:
                continue
            found[f"{key.kind} {key.namespace}/{key.name}"] = obj
    return found


def bystander(cluster: Cluster) -> tuple[Any, ...]:
    """Return what the document of another owner has come to."""
    assert cluster.manager is not None
    manager, key = cluster.manager, ObjectKey(*BYSTANDER)
    found = manager.store.get(key) or {}
    status = found.get("status", {})
    conditions = {(c["type"], c["status"], c["reason"]) for c in status.get("conditions", [])}
    served = manager.loops.main.plan.models.get((key.namespace, key.name))
    return frozenset(conditions), (status.get("limit") or {}).get("total"), served is not None


class Failures(logging.Handler):
    """Takes what nobody foresaw, and passes that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that tells of a failure inside the manager."""
        if record.levelno >= logging.ERROR or "a pass failed" in record.getMessage():
            where = ""
            if record.exc_info and record.exc_info[2]:
                last = traceback.extract_tb(record.exc_info[2])[-1]
                where = f" {record.exc_info[1]!r} at {last.filename.rpartition('/')[2]}:{last.lineno}"
            self.said.append(record.getMessage()[:200] + where)


async def failures_of(cluster: Cluster, sample: Manifest) -> list[str]:
    """Put wrong values at each path of an object as its watch would; return what fails for that."""
    assert cluster.manager is not None
    store, failed, handler = cluster.manager.store, [], Failures()
    logging.getLogger().addHandler(handler)
    expected, numbers = bystander(cluster), itertools.count(10**9)
    metadata = sample["metadata"]
    is_shared = sample["kind"] == "InferenceGateway" or {metadata.get("namespace"), metadata["name"]} & SHARED
    try:
        for number, path in enumerate(paths(sample)):
            for wrong in chosen(number):
                odd = changed(sample, path, wrong)
                odd["metadata"]["resourceVersion"] = str(next(numbers))
                store.put(odd)
                await asyncio.sleep(0.15)
                what = f"{'.'.join(map(str, path))} = {str(wrong)[:40]}"
                failed += [f"{what}: {said}" for said in handler.said]
                if not is_shared and bystander(cluster) != expected:
                    failed.append(f"{what}: another document is another")
                handler.said.clear()
    finally:
        logging.getLogger().removeHandler(handler)
    return failed


def chosen(number: int) -> tuple[Any, ...]:
    """Return the wrong values for the path of a number: all where all are asked for, else some of them in turn."""
    if os.environ.get("ODD_VALUES") == "all":
        return (*WRONG, MISSING)
    every = (*WRONG, MISSING)
    return tuple(every[(5 * number + index) % len(every)] for index in range(5))


async def failures(only: str) -> list[str]:
    """Return what fails for the objects of a kind."""
    async with managed() as cluster:
        await world(cluster)
        out = []
        for name, sample in samples(cluster).items():
            if sample["kind"] == only:
                out += [f"{name} {said}" for said in await failures_of(cluster, copy.deepcopy(sample))]
                cluster.manager.store.put(again(sample))
                await asyncio.sleep(2)
        return out


def again(sample: Manifest) -> Manifest:
    """Return an object as it was, of a later version than all others."""
    return {**copy.deepcopy(sample), "metadata": {**copy.deepcopy(sample["metadata"]), "resourceVersion": str(10**12)}}


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_value_of_an_object_fails_a_pass_or_changes_another_document(kind):
    assert simulate(failures(kind)) == []
