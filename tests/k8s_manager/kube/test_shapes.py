"""Whatever others write, a pass goes on: what is odd is left out where it comes in."""

import copy
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istio_templates import virtual_service
from istio_templates.gateway import hosts_of
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube import shapes
from k8s_manager.kube.shapes import fit
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.plan import plan_once
from k8s_manager.reconcile import KINDS
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.traffic.resolver import TrafficResolver
from tests.support.documents import gateway, model, tenant
from warmup.pods import gated_pod

OURS = {"app.kubernetes.io/managed-by": "tidegate", "tidegate.dev/tenant": "search", "tidegate.dev/model": "ranker"}
ODD = (None, 7, "x", [], {}, [None], ["x"], [[]], {"a": 1}, [{"a": {}}])
NUMBERS = itertools.count(2)


def obj(kind, name, labels=None, **parts):
    metadata = {"name": name, "namespace": "search", "uid": name, "resourceVersion": "1", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **parts}


HTTP = {
    "match": [{"uri": {"prefix": "/x"}, "headers": {"a": {"exact": "b"}}, "authority": {"regex": "search"}}],
    "route": [{"destination": {"host": "h", "subset": "v1", "port": {"number": 80}}, "weight": 100}],
    "mirror": {"host": "h"},
}
ROUTED = {"hosts": ["search.models.example.com"], "gateways": ["inference-gw/x"], "exportTo": ["*"], "http": [HTTP]}
POD = {
    "spec": {"containers": [{"name": "istio-proxy", "image": "p:1"}], "readinessGates": [{"conditionType": "t/w"}]},
    "status": {
        "podIP": "127.0.0.9",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "model", "ready": True, "containerID": "c", "state": {"running": {}}}],
    },
}
SCALER = {
    "scaleTargetRef": {"kind": "Deployment", "name": "ranker-v1"},
    "maxReplicas": 3,
    "metrics": [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"averageValue": "10"}}}],
}
PATCH = {"applyTo": "EXTENSION_CONFIG", "patch": {"value": {"name": "tidegate.shared.slot.00"}}}
OBJECTS = [
    obj("VirtualService", "ranker", OURS, spec=ROUTED),
    obj("VirtualService", "theirs", spec=ROUTED),
    obj("DestinationRule", "theirs", spec={"host": "h", "subsets": [{"name": "v1", "labels": {"a": "b"}}]}),
    obj("Gateway", "g", OURS, spec={"selector": {"a": "b"}, "servers": [{"port": {"number": 80}, "hosts": ["a/b"]}]}),
    obj("Pod", "pod", {"app": "theirs"}, **POD),
    obj("HorizontalPodAutoscaler", "s", spec=SCALER),
    obj("Deployment", "d", {**OURS, "tidegate.dev/version": "v1"}, spec={"replicas": 1}, status={"readyReplicas": 1}),
    obj("EnvoyFilter", "e", {"tidegate.dev/gateway": "shared"}, spec={"configPatches": [PATCH]}),
    obj("ConfigMap", "c", data={"a": "b"}, binaryData={"a": "YQ=="}),
    obj("Secret", "s", data={"tls.crt": "YQ=="}),
    obj("Service", "s", spec={"selector": {"a": "b"}, "ports": [{"port": 80}]}),
    {"kind": "Namespace", "metadata": {"name": "search", "uid": "n", "resourceVersion": "1", "labels": {"a": "b"}}},
]


def paths(value, at=()):
    """Yield the path of every part of an object but what the API server itself sees to."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if key not in ("name", "namespace", "uid", "resourceVersion", "kind", "metadata") or len(at) > 1:
            yield (*at, key)
        yield from paths(part, (*at, key))


def changed(obj, path, odd):
    out = copy.deepcopy(obj)
    out["metadata"]["resourceVersion"] = str(next(NUMBERS))
    part = out
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = odd
    return out


def filled():
    store = Store(KINDS, SystemClock())
    for number, document in enumerate((gateway(), tenant(), model())):
        metadata = {"uid": f"d-{number}", "resourceVersion": "1", "generation": 1}
        store.put({**document, "metadata": {**document["metadata"], **metadata}})
    for one in copy.deepcopy(OBJECTS):
        store.put(one)
    return store


def read(store, reader):
    """Do with a store what a pass does, as far as it only reads."""
    plan_once(TrafficResolver(1.0).resolve(reader.world(), datetime.now(UTC)))
    for found in store.all("VirtualService"):
        virtual_service.subsets_used(found)
        list(virtual_service.destinations_of(found))
        virtual_service.without(found, [("search.models.example.com", "/x")])
    for found in store.all("Gateway"):
        hosts_of(found)
    for found in store.all("Pod"):
        gated_pod(found)


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_no_odd_value_of_any_object_fails_a_pass(one):
    store = filled()
    reader = WorldReader(store)
    read(store, reader)
    for path in paths(one):
        for odd in ODD:
            store.put(changed(one, path, odd))
            try:
                read(store, reader)
            except Exception as error:
                raise AssertionError(f"{one['kind']}: {path} = {odd}") from error


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_an_object_of_the_right_shape_is_the_same_object(one):
    found, odd = fit(one)
    assert found is one and odd == []


def test_only_what_is_odd_is_left_out():
    target = {"destination": {"host": "h"}, "weight": "50"}
    found, odd = fit(obj("VirtualService", "x", spec={**ROUTED, "hosts": ["a", 3], "http": [{"route": [target, 3]}]}))
    assert found["spec"]["hosts"] == ["a"]
    assert found["spec"]["http"] == [{"route": [{"destination": {"host": "h"}}]}]
    assert odd == ["spec.hosts[1]", "spec.http[0].route[0].weight", "spec.http[0].route[1]"]


def test_what_is_odd_is_told_once_while_it_lasts(caplog):
    store = filled()
    for odd in (3, 3, "x", 3):
        store.put(changed(OBJECTS[1], ("spec", "http"), odd))
    assert caplog.text.count("VirtualService search/theirs: spec.http has another shape") == 1
    store.put(changed(OBJECTS[1], ("spec", "http"), [HTTP]))
    store.put(changed(OBJECTS[1], ("spec", "http"), 3))
    assert caplog.text.count("VirtualService search/theirs: spec.http has another shape") == 2


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=3))
MISFITS = st.one_of(
    SCALARS, st.just([]), st.just({}), st.lists(SCALARS, max_size=2), st.dictionaries(st.text(), SCALARS)
)
OF_TYPE = {str: st.text(max_size=3), int: st.integers(-9, 9), float: st.floats(-9, 9), bool: st.booleans()}


def values_of(shape: Any, chance: st.DrawFn) -> Any:
    """Draw a value that has a shape, but for a part here and there."""
    if chance(st.integers(0, 24)) == 0:
        return chance(MISFITS)
    if isinstance(shape, list):
        return [values_of(shape[0], chance) for _ in range(chance(st.integers(0, 2)))]
    if isinstance(shape, dict) and shapes.EACH in shape:
        return {
            name: values_of(shape[shapes.EACH], chance) for name in chance(st.sets(st.text(max_size=2), max_size=2))
        }
    if isinstance(shape, dict):
        there = [name for name in shape if name.endswith("!") or chance(st.booleans())]
        missing = chance(st.integers(0, 9)) == 0 and chance(st.sampled_from(sorted(shape) or [""]))
        return {name.removesuffix("!"): values_of(shape[name], chance) for name in there if name != missing}
    return chance(OF_TYPE[shape])


@pytest.mark.parametrize("kind", sorted({*shapes.SHAPES, "Namespace"}))
@settings(max_examples=60)
@given(data=st.data())
def test_the_fast_way_to_tell_what_fits_agrees_with_the_slow_one(kind: str, data: st.DataObject):
    shape = shapes._shape_of(kind)
    value = values_of(shape, data.draw)
    fitting = shapes._fitting(value, shape, "", [])
    assert shapes._check_of(shape)(value) == (fitting is value), (value, fitting)
