"""Report of a preview for people and programs: diffs, what is touched, limits, risk and fingerprint. Pure."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import jsonpatch

from istio_templates.documents import ModelSpec
from istio_templates.facts import Manifest
from istio_templates.gateway import hosts_of
from istio_templates.yaml_text import yaml_text
from k8s_manager.preview.preview import DocumentChange, ObjectChange, Preview, fingerprint
from k8s_manager.preview.risk import LISTENERS, PODS, ROUTES, highest, limit_risks, risks
from k8s_manager.preview.shift_check import limit


@dataclass(frozen=True, slots=True)
class WarmReplicas:
    """The warm replicas of each version of a document, as it is and as it is proposed."""

    before: Mapping[str, int]
    after: Mapping[str, int]


def report(preview: Preview, changes: Sequence[ObjectChange], warm: Sequence[WarmReplicas]) -> Manifest:
    """Return a preview as JSON: what changes, what it touches, how risky that is and why, and the fingerprint.

    `changes` are those of the preview, compared with live objects as far as these could be read; `warm` are the warm
    replicas of each of its documents.
    """
    limits, overrides = dict(_limits(preview, warm)), preview.override_effects
    found = list(risks(preview, changes, limits))
    for name, shift in overrides.limits.items():
        found += limit_risks(shift["before"], shift["after"], f"{name}: ")
    found += [("low", note) for note in overrides.notes]
    limits |= overrides.limits
    is_one = len(preview.documents) == 1
    return {
        "dryRun": True,
        "changes": [_change(change) for change in changes],
        "touches": _touches(changes),
        "limit": next(iter(limits.values()), None) if is_one else None,
        "limits": limits,
        "risk": highest(grade for grade, _ in found),
        "reasons": [reason for _, reason in found],
        "fingerprint": fingerprint(preview),
    }


def _change(change: ObjectChange) -> Manifest:
    return {
        "operation": change.operation,
        "object": str(change.key),
        "diff": _diff(change.before, change.after, str(change.key)),
        "patch": jsonpatch.make_patch(change.before or {}, change.after or {}).patch,
    }


def _diff(old: Manifest | None, new: Manifest | None, name: str) -> str:
    texts = [yaml_text([obj]).splitlines(True) if obj else [] for obj in (old, new)]
    return "".join(difflib.unified_diff(texts[0], texts[1], f"live/{name}", f"proposed/{name}"))


def _touches(changes: Sequence[ObjectChange]) -> Manifest:
    altered = [change.key.kind for change in changes if change.alters]
    return {
        "hosts": sorted({host for change in changes for host in _hosts(change)}),
        "listeners": not set(LISTENERS).isdisjoint(altered),
        "routes": not set(ROUTES).isdisjoint(altered),
        "pods": not set(PODS).isdisjoint(altered),
    }


def _hosts(change: ObjectChange) -> Iterator[str]:
    for obj in (change.before, change.after):
        if change.key.kind == "VirtualService":
            yield from ((obj or {}).get("spec") or {}).get("hosts", ())
        if change.key.kind == "Gateway":
            yield from hosts_of(obj or {})


def _limits(preview: Preview, warm: Sequence[WarmReplicas]) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Yield the models that have a limit before or after the write, with both limits for the replicas warm now."""
    for change, counts in zip(preview.documents, warm, strict=True):
        stored = change.proposed or change.live
        if stored and (found := _limit(change, counts)):
            yield str(stored.key), found


def _limit(change: DocumentChange, warm: WarmReplicas) -> dict[str, float | None] | None:
    found = []
    for stored, counts in ((change.live, warm.before), (change.proposed, warm.after)):
        spec = stored.document.spec if stored and stored.document else None
        found.append(float(limit(spec, counts)) if isinstance(spec, ModelSpec) and spec.rate_limit else None)
    return None if found == [None, None] else dict(zip(("before", "after"), found, strict=True))
