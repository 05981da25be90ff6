"""Risk of a write: what its changes do to connections, routes, pods and limits. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from istio_templates.facts import Manifest
from k8s_manager.preview.preview import ObjectChange, Preview

LISTENERS = ("Gateway", "EnvoyFilter")
"""Kinds whose change makes a gateway pod drain connections. Slots are not among them: they are written elsewhere."""
ROUTES = ("VirtualService", "DestinationRule", "Service")
PODS = ("Deployment",)
Grade = Literal["low", "medium", "high"]
GRADES: tuple[Grade, ...] = ("low", "medium", "high")
Risk = tuple[Grade, str]
"""How bad a consequence is, and what it is."""


def risks(
    preview: Preview, changes: Sequence[ObjectChange], limits: Mapping[str, Mapping[str, float | None]]
) -> Iterator[Risk]:
    """Yield every consequence of a write; `limits` are by model the limit before and after."""
    for change in changes:
        yield from _object_risks(change)
    is_one = len(preview.documents) == 1
    for name, limit in limits.items():
        yield from limit_risks(limit["before"], limit["after"], "" if is_one else f"{name}: ")
    for name in preview.no_longer_accepted:
        yield "high", f"{name} is no longer accepted"


def highest(grades: Iterable[Grade]) -> Grade:
    """Return the highest grade; low where there is none."""
    return max(grades, key=GRADES.index, default="low")


def _object_risks(change: ObjectChange) -> Iterator[Risk]:
    kind, subject = change.key.kind, f"{change.operation} {change.key}"
    if not change.alters:
        yield "low", f"{subject}: its function does not change"
    elif kind in LISTENERS and change.operation != "create":
        yield "high", f"{subject}: a listener changes, and its connections are drained"
    elif kind in LISTENERS:
        yield "medium", f"{subject}: a listener is added"
    elif change.operation == "delete" and kind in (*ROUTES, *PODS, "Namespace"):
        yield "high", f"{subject}: it no longer serves requests"
    elif change.before and change.after and kind in ROUTES:
        yield "medium", f"{subject}: requests are routed differently"
    elif change.before and change.after and kind in PODS and _template(change.before) != _template(change.after):
        yield "medium", f"{subject}: replicas are replaced"


def limit_risks(before: float | None, after: float | None, subject: str) -> Iterator[Risk]:
    """Yield what it means that a limit changes."""
    if before is not None and after is not None and after < before:
        yield "high" if after < before / 2 else "medium", f"{subject}the limit falls from {before:g}/s to {after:g}/s"
    if before is not None and after is None:
        yield "high", f"{subject}the limit of {before:g}/s is removed"


def _template(obj: Manifest) -> Any:
    return (obj.get("spec") or {}).get("template")
