"""Risk of a write: what its changes do to connections, routes, pods and limits. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.preview.effects import Effect, Grade
from k8s_manager.preview.preview import ObjectChange, Preview

LISTENERS = ("Gateway", "EnvoyFilter", "Telemetry")
"""Kinds whose change makes a gateway pod drain connections. Slots are not among them: they are written elsewhere."""
ROUTES = ("VirtualService", "DestinationRule", "Service")
PODS = ("Deployment",)
GRADES: tuple[Grade, ...] = ("low", "medium", "high")
Risk = tuple[Grade, str]
"""How bad a consequence is, and what it is."""


def risks(preview: Preview, changes: Sequence[ObjectChange], effects: Sequence[Effect]) -> Iterator[Risk]:
    """Yield every consequence of a write; `effects` are those on what callers may send."""
    for change in changes:
        yield from _object_risks(change)
    own = {str(stored.key) for change in preview.documents if (stored := change.proposed or change.live)}
    for effect in effects:
        if effect.is_reason:
            is_own = len(own) == 1 and effect.subject in own
            yield effect.grade, effect.message if is_own else f"{effect.subject}: {effect.message}"
    for name in preview.no_longer_accepted:
        yield "high", f"{name} is no longer accepted"


def highest(grades: Iterable[Grade]) -> Grade:
    """Return the highest grade; low where there is none."""
    return max(grades, key=GRADES.index, default="low")


def _object_risks(change: ObjectChange) -> Iterator[Risk]:
    kind, subject = change.key.kind, f"{change.operation} {change.key}"
    if not change.alters:
        yield "low", f"{subject}: its function does not change"
    elif _is_of_routes(change.after or change.before or {}):
        yield "medium", f"{subject}: callers are assigned to versions differently"
    elif kind in LISTENERS and (change.operation != "create" or kind == "Telemetry"):
        yield "high", f"{subject}: a listener changes, and its connections are drained"
    elif kind in LISTENERS:
        yield "medium", f"{subject}: a listener is added"
    elif change.operation == "delete" and kind in (*ROUTES, *PODS, "Namespace"):
        yield "high", f"{subject}: it no longer serves requests"
    elif change.before and change.after and kind in ROUTES:
        yield "medium", f"{subject}: requests are routed differently"
    elif change.before and change.after and kind in PODS and _template(change.before) != _template(change.after):
        yield "medium", f"{subject}: replicas are replaced"


def _is_of_routes(obj: Manifest) -> bool:
    """Tell whether an object patches routes only, which drains no connection."""
    kinds = {patch.get("applyTo") for patch in (obj.get("spec") or {}).get("configPatches") or []}
    return kinds == {"HTTP_ROUTE"}


def _template(obj: Manifest) -> Any:
    return (obj.get("spec") or {}).get("template")
