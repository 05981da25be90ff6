"""What a changed document would change: the same plan and render, once without and once with it. Pure.

A preview has a fingerprint of all that it was computed on and says. Who writes with that fingerprint is refused once
any of it has changed.
"""

import dataclasses
import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson

from istio_templates.documents import ModelSpec
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.carrying import limit
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
LISTENERS = ("Gateway", "EnvoyFilter")
"""What makes a gateway pod drain connections when it changes. Slots are not among them: they are written elsewhere."""
ROUTES = ("VirtualService", "DestinationRule", "Service")
PODS = ("Deployment",)


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is and as it would be; None where there is none."""

    key: ObjectKey
    before: Manifest | None
    after: Manifest | None

    @property
    def operation(self) -> str:
        """What would happen to it."""
        return "create" if self.before is None else "delete" if self.after is None else "update"

    def told(self) -> Manifest:
        """Return it for people and programs."""
        return {
            "operation": self.operation,
            "object": str(self.key),
            "diff": difference(self.before, self.after, str(self.key)),
            "patch": jsonpatch.make_patch(self.before or {}, self.after or {}).patch,
        }


def preview(world: World, proposed: Stored) -> list[Change]:
    """Return what would happen to each object that would not stay as it is."""
    before = _rendered(world)
    after = _rendered(_with(world, proposed))
    pairs = ((key, before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys()))
    return [Change(*pair) for pair in pairs if pair[1] != pair[2]]


def told(changes: Sequence[Change], proposed: Stored, live: Stored | None, warm: Mapping[str, int]) -> Manifest:
    """Return a preview: what changes, what it touches, how risky that is and why, and the fingerprint of it all."""
    limits = _limits(proposed, live, warm)
    reasons = list(_reasons(changes, limits))
    return {
        "dryRun": True,
        "changes": [change.told() for change in changes],
        "touches": {
            "hosts": sorted({host for change in changes for host in _hosts(change)}),
            "listeners": any(change.key.kind in LISTENERS for change in changes),
            "routes": any(change.key.kind in ROUTES for change in changes),
            "pods": any(change.key.kind in PODS for change in changes),
        },
        "limit": limits,
        "risk": max((grade for grade, _ in reasons), key=("low", "medium", "high").index, default="low"),
        "reasons": [said for _, said in reasons],
        "fingerprint": fingerprint(changes, proposed, live),
    }


def fingerprint(changes: Sequence[Change], proposed: Stored, live: Stored | None) -> str:
    """Return what is equal only where the document, what it would become and all objects that change are."""
    spec = [s.document.spec.model_dump(mode="json") if s and s.document else None for s in (live, proposed)]
    seen = [live.uid if live else None, *spec, [[str(c.key), c.before, c.after] for c in changes]]
    return hashlib.sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def difference(old: Manifest | None, new: Manifest | None, name: str) -> str:
    """Return a unified diff of two manifests."""
    texts = [yaml_text([obj]).splitlines(True) if obj else [] for obj in (old, new)]
    return "".join(difflib.unified_diff(texts[0], texts[1], f"live/{name}", f"proposed/{name}"))


def _limits(proposed: Stored, live: Stored | None, warm: Mapping[str, int]) -> Manifest | None:
    """Return a model's limit before and after, with the replicas that are warm now; None where it has none."""
    specs = [s.document.spec if s and s.document else None for s in (live, proposed)]
    before, after = (
        float(limit(spec, warm)) if isinstance(spec, ModelSpec) and spec.rate_limit else None for spec in specs
    )
    return None if before is None and after is None else {"before": before, "after": after}


def _reasons(changes: Sequence[Change], limits: Manifest | None) -> Iterator[tuple[str, str]]:
    for change in changes:
        kind, said = change.key.kind, f"{change.operation} {change.key}"
        if kind in LISTENERS and change.operation != "create":
            yield "high", f"{said}: a listener changes, and its connections are drained"
        elif kind in LISTENERS:
            yield "medium", f"{said}: a listener is added"
        elif change.operation == "delete" and kind in (*ROUTES, *PODS, "Namespace"):
            yield "high", f"{said}: what it serves ends"
        elif change.operation == "update" and kind in ROUTES:
            yield "medium", f"{said}: requests take another way"
        elif change.operation == "update" and kind in PODS and _template(change.before) != _template(change.after):
            yield "medium", f"{said}: replicas are replaced"
    before, after = (limits or {}).get("before"), (limits or {}).get("after")
    if before is not None and after is not None and after < before:
        yield "high" if after < before / 2 else "medium", f"the limit falls from {before:g}/s to {after:g}/s"
    if before is not None and after is None:
        yield "high", f"the limit of {before:g}/s is taken away"


def _template(obj: Manifest | None) -> Any:
    return ((obj or {}).get("spec") or {}).get("template")


def _hosts(change: Change) -> Iterator[str]:
    for obj in (change.before, change.after):
        spec = (obj or {}).get("spec") or {}
        if change.key.kind == "VirtualService":
            yield from spec.get("hosts", ())
        if change.key.kind == "Gateway":
            yield from (host.rpartition("/")[2] for server in spec.get("servers", ()) for host in server["hosts"])


def _rendered(world: World) -> dict[ObjectKey, Manifest]:
    return Renderer().render(Planner().plan(world, {})).objects


def _with(world: World, proposed: Stored) -> World:
    group = _GROUPS[proposed.key.kind]
    kept = tuple(stored for stored in getattr(world, group) if stored.key != proposed.key)
    change: Any = {group: (*kept, proposed)}
    return dataclasses.replace(world, **change)
