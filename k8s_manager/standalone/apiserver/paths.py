"""Which fields of an object are whose: sets of paths, and their form in managedFields (FieldsV1).

A path is a tuple of steps: `f:NAME` a field, `k:JSON` an item of a keyed list, `v:JSON` an item of a set. Lists
without a key are atomic: they belong to one manager as a whole. Source of the format: Kubernetes'
structured-merge-diff, and the list types in its OpenAPI for the kinds that stand here.
"""

import json
from typing import Any

Path = tuple[str, ...]
Paths = frozenset[Path]

_CONTAINERS = {
    "": ["name"],
    "ports": ["containerPort", "protocol"],
    "env": ["name"],
    "volumeMounts": ["mountPath"],
}
_POD = {
    **{f"{kind}{'.' + inner if inner else ''}": keys
       for kind in ("containers", "initContainers") for inner, keys in _CONTAINERS.items()},
    "volumes": ["name"],
    "readinessGates": None,
}  # fmt: skip
_KEYED: dict[str, dict[str, list[str]]] = {
    "Pod": {f"spec.{path}": keys for path, keys in _POD.items() if keys} | {"status.conditions": ["type"]},
    "Deployment": {f"spec.template.spec.{path}": keys for path, keys in _POD.items() if keys}
    | {"status.conditions": ["type"]},
    "Service": {"spec.ports": ["port", "protocol"]},
}
_SETS = {"metadata.finalizers"}
_DEFAULTS = {"protocol": "TCP"}
# The API server's own fields belong to nobody.
_NOBODYS = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace"), ("f:metadata", "f:uid"),
    ("f:metadata", "f:resourceVersion"), ("f:metadata", "f:generation"), ("f:metadata", "f:creationTimestamp"),
    ("f:metadata", "f:managedFields"), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:generateName"),
    ("f:metadata", "f:deletionGracePeriodSeconds"), ("f:metadata", "f:selfLink"),
}  # fmt: skip


class Shape:
    """How the lists of one kind are merged: `keyed` by dotted path, taken from a table or from a CRD's schema."""

    def __init__(self, keyed: dict[str, list[str]]) -> None:
        self._keyed = keyed

    def keys(self, dotted: str) -> list[str] | None:
        """Return the key fields of the list at a path; None where the list is atomic."""
        return self._keyed.get(dotted)

    def is_set(self, dotted: str) -> bool:
        """Tell whether the list at a path is a set of scalars."""
        return dotted in _SETS


def shape_of(kind: str, schema: dict[str, Any] | None = None) -> Shape:
    """Return the shape of a kind, from its CRD's schema where it has one."""
    return Shape(_KEYED.get(kind, {}) if schema is None else dict(_from_schema(schema, "")))


def _from_schema(schema: dict[str, Any], at: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    if schema.get("x-kubernetes-list-type") == "map":
        found.append((at, schema["x-kubernetes-list-map-keys"]))
    for name, inner in schema.get("properties", {}).items():
        found += _from_schema(inner, f"{at}.{name}" if at else name)
    if isinstance(schema.get("items"), dict):
        found += _from_schema(schema["items"], at)
    return found


def item_key(item: dict[str, Any], keys: list[str]) -> str:
    """Return the step that names an item of a keyed list."""
    return "k:" + json.dumps(
        {key: item.get(key, _DEFAULTS.get(key)) for key in keys}, sort_keys=True, separators=(",", ":")
    )


def leaves(obj: dict[str, Any], shape: Shape) -> dict[Path, Any]:
    """Return every leaf of an object by its path; atomic lists and empty maps are leaves."""
    out: dict[Path, Any] = {}
    _collect(obj, (), "", shape, out)
    return {
        path: value
        for path, value in out.items()
        if path not in _NOBODYS and path[:2] != ("f:metadata", "f:managedFields")
    }


def _collect(value: Any, path: Path, dotted: str, shape: Shape, out: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _collect(inner, (*path, f"f:{name}"), f"{dotted}.{name}" if dotted else name, shape, out)
    elif isinstance(value, list) and (keys := shape.keys(dotted)):
        for item in value:
            step = item_key(item, keys)
            out[(*path, step, ".")] = True
            _collect(item, (*path, step), dotted, shape, out)
    elif isinstance(value, list) and shape.is_set(dotted):
        for item in value:
            out[(*path, f"v:{json.dumps(item)}")] = item
    else:
        out[path] = value


def to_fields(paths: Paths) -> dict[str, Any]:
    """Return paths in the form of FieldsV1."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def from_fields(tree: dict[str, Any], path: Path = ()) -> Paths:
    """Return the paths in a FieldsV1."""
    if not tree:
        return frozenset({path}) if path else frozenset()
    return frozenset().union(*(from_fields(inner, (*path, step)) for step, inner in tree.items()))


def remove(obj: Any, path: Path, shape: Shape, dotted: str = "") -> None:
    """Remove the leaf at a path, and the maps that this leaves empty."""
    step, rest = path[0], path[1:]
    name = step[2:]
    if step.startswith("f:"):
        if not isinstance(obj, dict) or name not in obj:
            return
        if not rest:
            del obj[name]
            return
        at = f"{dotted}.{name}" if dotted else name
        inner = obj[name]
        if rest[0].startswith(("k:", "v:")) and isinstance(inner, list):
            _remove_item(inner, rest, shape, at)
        else:
            remove(inner, rest, shape, at)
        if inner in ({}, []):
            del obj[name]


def _remove_item(items: list[Any], path: Path, shape: Shape, dotted: str) -> None:
    step, rest = path[0], path[1:]
    if step.startswith("v:"):
        value = json.loads(step[2:])
        if value in items:
            items.remove(value)
        return
    keys = shape.keys(dotted) or []
    for item in [item for item in items if item_key(item, keys) == step]:
        if rest == (".",):
            items.remove(item)
        elif rest and rest[0][2:] not in keys:
            remove(item, rest, shape, dotted)


def merge(into: dict[str, Any], new: dict[str, Any], shape: Shape, dotted: str = "") -> None:
    """Lay `new` over `into`: maps and keyed lists are merged, null takes away, everything else is replaced. Of a
    strategic merge patch's directives `$patch` and `$deleteFromPrimitiveList` are followed, and orders are not."""
    if new.get("$patch") == "replace":
        into.clear()
    for name, value in new.items():
        if name.startswith("$"):
            target = into.get(name.partition("/")[2])
            if name.startswith("$deleteFromPrimitiveList/") and isinstance(target, list):
                target[:] = [item for item in target if item not in value]
            continue
        at = f"{dotted}.{name}" if dotted else name
        before = into.get(name)
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(before, dict):
            merge(before, value, shape, at)
        elif isinstance(value, list) and isinstance(before, list) and (keys := shape.keys(at)):
            _merge_items(before, value, keys, shape, at)
        elif isinstance(value, list) and isinstance(before, list) and shape.is_set(at):
            before.extend(item for item in value if item not in before)
        else:
            into[name] = value


def _merge_items(into: list[Any], new: list[Any], keys: list[str], shape: Shape, dotted: str) -> None:
    if any(item.get("$patch") == "replace" for item in new):
        into.clear()
        new = [item for item in new if "$patch" not in item]
    known = {item_key(item, keys): item for item in into}
    for item in new:
        before = known.get(item_key(item, keys))
        if item.get("$patch") == "delete":
            into[:] = [one for one in into if one is not before]
        elif before is None:
            into.append(item)
        else:
            merge(before, item, shape, dotted)
