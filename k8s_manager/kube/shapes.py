"""The shapes of objects as the manager reads them. Pure.

Others write many of them, and one odd value must not fail a pass: it is left out where the object comes in, so that no
reader has to ask again what it may find. Documents are another matter: what is odd in their spec is rejected by name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.kube.resources import DOCUMENTS

EACH = "*"
"""The key of a shape for all keys of a mapping; a key that ends with `!` has to be there."""
Shape = Any
Check = Callable[[Any], bool]
_ABSENT = object()
_TEXTS: Shape = [str]
_PAIRS: Shape = {EACH: str}
_METADATA: Shape = {
    "labels": _PAIRS,
    "annotations": _PAIRS,
    "finalizers": _TEXTS,
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "generation": int,
    "ownerReferences": [{"uid!": str, "kind": str, "name": str, "controller": bool}],
}
_CONDITIONS: Shape = [
    {"type!": str, "status!": str, "reason": str, "message": str, "lastTransitionTime": str, "observedGeneration": int}
]
_MATCH: Shape = {"exact": str, "prefix": str, "regex": str}
_DESTINATION: Shape = {"host": str, "subset": str, "port": {"number": int}}
_HTTP: Shape = {
    "name": str,
    "match": [{"uri": _MATCH, "authority": _MATCH, "headers": {EACH: _MATCH}}],
    "route": [{"destination!": _DESTINATION, "weight": int}],
    "mirror": _DESTINATION,
    "mirrors": [{"destination": _DESTINATION}],
    "delegate": {"name": str, "namespace": str},
}
_PARENT: Shape = {"group": str, "kind": str, "namespace": str, "name!": str}
_BACKEND: Shape = {"group": str, "kind": str, "namespace": str, "name!": str, "weight": int}
_SOURCE: Shape = {"metric": {"name": str}, "target": {}}
_STATE: Shape = {
    "waiting": {"reason": str, "message": str},
    "running": {},
    "terminated": {"reason": str, "message": str, "exitCode": int},
}
_CONTAINER_STATUS: Shape = {
    "name": str,
    "ready": bool,
    "containerID": str,
    "restartCount": int,
    "state": _STATE,
    "lastState": _STATE,
}
_COUNTS = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "observedGeneration")
_DEPLOYMENT_STATUS: Shape = {**dict.fromkeys(_COUNTS, int), "conditions": _CONDITIONS}
_BUCKET: Shape = {"rate!": float, "tokens!": int, "interval!": str, "burst!": int}
_OVERRIDE: Shape = {"name!": str, "author!": str, "reason!": str, "expires!": str, "sets!": str}
_LIMIT: Shape = {
    "total": float,
    "perGateway": _BUCKET,
    "mode": str,
    "gateways!": int,
    "capacity!": float,
    "reason!": str,
    "override": _OVERRIDE,
    "cap": str,
    "overruled": [_OVERRIDE],
    "inputs!": [{"version!": str, "ready!": int, "perReplicaQps!": float, "share!": float, "older": [{}]}],
    "refillBound": str,
    "enforcedPercent": int,
    "awaitsVerdict": bool,
    "observed": {},
    "versions": [{"version!": str, "total": float, "perGateway": _BUCKET}],
    "since": str,
}
_SCALING: Shape = {
    **dict.fromkeys(("version", "writer", "at"), str),
    **dict.fromkeys(("min", "max", "replicas", "current", "warm"), int),
    **dict.fromkeys(("ratio", "need", "needAhead"), float),
    "holds": _TEXTS,
    "signals": [{}],
    "tooHigh": {"load!": float, "latency!": float, "target!": float, "of!": str},
}
_STATUSES: Mapping[str, Shape] = {
    "InferenceGateway": {"pods": {"total!": int, "ready!": int}, "addresses": _TEXTS},
    "Tenant": {"namespace": str, "gateway": str, "authentication": str, "moving": {"from!": _TEXTS, "until!": str}},
    "Model": {
        "url": str,
        "versions": [{"name!": str, "desired": int, "ready!": int}],
        "limit": _LIMIT,
        "warmup": {"mode!": str, "plan!": str, "counts!": {EACH: int}, "notOpen!": [{}]},
        "autoscale": [_SCALING],
        "draining": [{"version!": str, "until!": str}],
        "selection": {**dict.fromkeys(("strategy", "from", "to", "reason", "message", "notBefore", "expires"), str)},
        "registry": {"name!": str, "readUpTo!": int, "leftOut": [{"version!": str, "why!": str}]},
    },
    "LimitOverride": {"models": int, "inForce": int},
    "ModelVersion": {"version": str, "candidate": bool, "weight": int},
    "Caller": {"models": int, "revoked": int},
}
_DATED: Shape = {
    **dict.fromkeys(("type!", "status!", "reason!", "message!", "lastTransitionTime!"), str),
    "observedGeneration": int,
}
"""A condition of a document, as its CRD has it."""
_COMMON: Shape = {"observedGeneration": int, "conditions": [_DATED]}
_LARGEST = 2**53
"""No number of Kubernetes is larger, and none beyond can be told exactly in JSON."""
SHAPES: Mapping[str, Shape] = {
    **{kind: {"status": {**_COMMON, **_STATUSES.get(kind, {})}} for kind in DOCUMENTS},
    "Pod": {
        "spec": {
            "containers": [{"name!": str, "image": str}],
            "readinessGates": [{"conditionType": str}],
            "nodeName": str,
        },
        "status": {
            "podIP": str,
            "phase": str,
            "reason": str,
            "conditions": _CONDITIONS,
            "initContainerStatuses": [_CONTAINER_STATUS],
            "containerStatuses": [_CONTAINER_STATUS],
        },
    },
    "VirtualService": {"spec": {"hosts": _TEXTS, "gateways": _TEXTS, "exportTo": _TEXTS, "http": [_HTTP]}},
    "DestinationRule": {"spec": {"host": str, "exportTo": _TEXTS, "subsets": [{"name!": str, "labels": _PAIRS}]}},
    "Gateway": {"spec": {"selector": _PAIRS, "servers": [{"hosts": _TEXTS}]}},
    "EnvoyFilter": {"spec": {"configPatches": [{"applyTo": str, "patch": {"value": {}}}]}},
    "KubernetesGateway": {"spec": {"addresses": [{"type": str, "value!": str}]}},
    "HTTPRoute": {
        "spec": {"parentRefs": [_PARENT], "rules": [{"name": str, "backendRefs": [_BACKEND]}]},
        "status": {"parents": [{"parentRef!": _PARENT, "controllerName": str, "conditions": _CONDITIONS}]},
    },
    "GRPCRoute": {"spec": {"rules": [{"name": str}]}},
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"kind": str, "name": str},
            "maxReplicas": int,
            "metrics": [{"type": str, "pods": _SOURCE, "object": _SOURCE, "external": _SOURCE}],
        },
        "status": {"conditions": _CONDITIONS},
    },
    "ScaledObject": {"status": {"conditions": _CONDITIONS}},
    "Service": {"spec": {"selector": _PAIRS, "ports": [{}]}},
    "Deployment": {"spec": {"replicas": int}, "status": _DEPLOYMENT_STATUS},
    "ConfigMap": {"data": _PAIRS, "binaryData": _PAIRS},
    "Secret": {"data": _PAIRS},
}


def fit(obj: Manifest) -> tuple[Manifest, list[str]]:
    """Return an object without what has another shape than the manager reads, and where that stood.

    It is the same object where nothing is odd.
    """
    odd: list[str] = []
    kind = obj["kind"]
    return (obj if _CHECKS.get(kind, _CHECK)(obj) else _fitting(obj, _shape_of(kind), "", odd)), odd


def _shape_of(kind: str) -> Shape:
    return {"metadata": _METADATA, **SHAPES.get(kind, {})}


def _check_of(shape: Shape) -> Check:
    """Return a function that tells whether a value has a shape, null being odd: the fast way, as nearly all have."""
    if isinstance(shape, list):
        return _check_of_list(_check_of(shape[0]))
    if not isinstance(shape, dict):
        return lambda value: _is_scalar(value, shape)
    if EACH in shape:
        each = _check_of(shape[EACH])
        return lambda value: isinstance(value, dict) and all(item is not None and each(item) for item in value.values())
    return _check_of_fields([(name, is_needed, _check_of(inner)) for name, is_needed, inner in _fields(shape)])


def _check_of_list(item_check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(item_check(item) for item in value)


def _check_of_fields(fields: list[tuple[str, bool, Check]]) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for name, is_needed, has_shape in fields:
            found = value.get(name)
            if (is_needed or name in value) if found is None else not has_shape(found):
                return False
        return True

    return check


def _fitting(value: Any, shape: Shape, place: str, odd: list[str]) -> Any:
    """Return a value as far as it has a shape; `_ABSENT` where it has not."""
    if isinstance(shape, dict):
        return _mapping(value, shape, place, odd)
    if isinstance(shape, list):
        return _list(value, shape[0], place, odd)
    return value if _is_scalar(value, shape) else _leave_out(place, odd)


def _is_scalar(value: Any, shape: type) -> bool:
    """Tell whether a value is of a type; what is true or false is no number."""
    if shape in (int, float):
        numbers = (int, float) if shape is float else int
        return isinstance(value, numbers) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
    return isinstance(value, shape)


def _mapping(value: Any, shape: Shape, place: str, odd: list[str]) -> Any:
    if not isinstance(value, dict):
        return _leave_out(place, odd)
    changed: dict[str, Any] = {}
    inner = [(name, False, shape[EACH]) for name in value] if EACH in shape else _fields(shape)
    for name, is_needed, expected in inner:
        found = value.get(name)
        fitting = _ABSENT if found is None else _fitting(found, expected, f"{place}.{name}".lstrip("."), odd)
        if fitting is _ABSENT and is_needed:
            return _leave_out(place, odd)
        if fitting is not found and name in value:
            changed[name] = fitting
    if not changed:
        return value
    kept = {**value, **changed}
    return {name: item for name, item in kept.items() if item is not _ABSENT}


def _fields(shape: Shape) -> list[tuple[str, bool, Shape]]:
    return [(name.removesuffix("!"), name.endswith("!"), inner) for name, inner in shape.items()]


def _list(value: Any, shape: Shape, place: str, odd: list[str]) -> Any:
    if not isinstance(value, list):
        return _leave_out(place, odd)
    found = [_fitting(item, shape, f"{place}[{number}]", odd) for number, item in enumerate(value)]
    if all(new is old for new, old in zip(found, value, strict=True)):
        return value
    return [item for item in found if item is not _ABSENT]


def _leave_out(place: str, odd: list[str]) -> object:
    odd.append(place)
    return _ABSENT


_CHECK = _check_of(_shape_of(""))
_CHECKS = {kind: _check_of(_shape_of(kind)) for kind in SHAPES}


def mapping_of(value: object) -> Manifest:
    """Return a mapping as it is, and an empty one for anything else: for what has no shape here."""
    return value if isinstance(value, dict) else {}


def mappings_of(value: object) -> list[Manifest]:
    """Return the mappings in a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
