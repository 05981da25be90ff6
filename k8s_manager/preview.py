"""What a changed document would change: the same plan and render, once without and once with it."""

import dataclasses
import difflib
from typing import Any

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.plan import Planner
from k8s_manager.render import Renderer
from k8s_manager.world import Stored, World

_GROUPS = {
    "InferenceGateway": "gateways",
    "Tenant": "tenants",
    "Model": "models",
    "LimitOverride": "overrides",
    "AccessGrant": "access_grants",
}


def preview(world: World, proposed: Stored) -> list[Manifest]:
    """Return, for each object, what would happen to it and the difference as a text."""
    before = _rendered(world)
    after = _rendered(_with(world, proposed))
    changes = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            operation = "create" if old is None else "delete" if new is None else "update"
            changes.append({"operation": operation, "object": str(key), "diff": difference(old, new, str(key))})
    return changes


def difference(old: Manifest | None, new: Manifest | None, name: str) -> str:
    """Return a unified diff of two manifests."""
    texts = [yaml_text([obj]).splitlines(True) if obj else [] for obj in (old, new)]
    return "".join(difflib.unified_diff(texts[0], texts[1], f"live/{name}", f"proposed/{name}"))


def _rendered(world: World) -> dict[ObjectKey, Manifest]:
    return Renderer().render(Planner().plan(world, {})).objects


def _with(world: World, proposed: Stored) -> World:
    group = _GROUPS[proposed.key.kind]
    kept = tuple(stored for stored in getattr(world, group) if stored.key != proposed.key)
    change: Any = {group: (*kept, proposed)}
    return dataclasses.replace(world, **change)
