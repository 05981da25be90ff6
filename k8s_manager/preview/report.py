"""Report of a preview for people and programs: diffs, what is touched, limits, risk and fingerprint. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import jsonpatch

from istio_templates.facts import Manifest
from istio_templates.gateway import hosts_of
from istio_templates.text.json_values import is_large
from istio_templates.yaml_text import yaml_text
from k8s_manager.preview.effects import effects, outlook_line, subject_of
from k8s_manager.preview.forecast import ForecastShift
from k8s_manager.preview.override_notes import cap_notes
from k8s_manager.preview.preview import ObjectChange, Preview, fingerprint
from k8s_manager.preview.risk import LISTENERS, PODS, ROUTES, highest, risks
from k8s_manager.runtime.work.text_diff import unified

MOST_COMPARED = 200_000
"""About the bytes of an object whose parts are compared with each other."""


def report(preview: Preview, changes: Sequence[ObjectChange], shifts: tuple[ForecastShift, ...]) -> Manifest:
    """Return a preview as JSON: what changes, what it touches, how risky that is and why, and the fingerprint.

    `changes` are those of the preview, compared with live objects as far as these could be read; `shifts` the
    limits before and after, with the replicas that are warm now.
    """
    written = [stored for change in preview.documents if (stored := change.proposed or change.live)]
    names = [str(stored.key) for stored in written]
    limits = {subject: outlook_line(shift) for subject, shift in _shown(shifts, names)}
    now, then = preview.states or (None, None)
    told = list(effects(shifts, now.plan, then.plan)) if now and then else []
    set_now = [then.plan.overrides[stored.key].name for stored in written if then and stored.key in then.plan.overrides]
    notes = [*preview.notes, *cap_notes(shifts, set_now)]
    found = [*risks(preview, changes, told), *(("low", note) for note in notes)]
    return {
        "dryRun": True,
        "changes": [_change(change) for change in changes],
        "touches": _touches(changes),
        "limit": limits.get(names[0]) if len(names) == 1 else None,
        "limits": limits,
        "effects": [{"subject": e.subject, "grade": e.grade, "message": e.message} for e in told],
        "risk": highest(grade for grade, _ in found),
        "reasons": [reason for _, reason in found],
        "fingerprint": fingerprint(preview),
    }


def _change(change: ObjectChange) -> Manifest:
    return {
        "operation": change.operation,
        "object": str(change.key),
        "diff": _diff(change.before, change.after, str(change.key)),
        "patch": _patch(change.before or {}, change.after or {}),
    }


def _patch(before: Manifest, after: Manifest) -> list[Manifest]:
    """Return a JSON patch; of objects that are too large to compare part by part, one that replaces the whole."""
    if is_large(before, MOST_COMPARED) or is_large(after, MOST_COMPARED):
        return [{"op": "replace", "path": "", "value": after}]
    return list(jsonpatch.make_patch(before, after).patch)


def _diff(old: Manifest | None, new: Manifest | None, name: str) -> str:
    before, after = (yaml_text([obj]) if obj else "" for obj in (old, new))
    return unified(before, after, f"live/{name}", f"proposed/{name}")


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


def _shown(shifts: Iterable[ForecastShift], written: Collection[str]) -> Iterator[tuple[str, ForecastShift]]:
    """Yield the limits that are another, and those of `written` documents."""
    for shift in shifts:
        subject = subject_of(shift.namespace, shift.model, shift.version)
        is_limit = (shift.before.total, shift.after.total) != (None, None)
        if is_limit and (shift.before != shift.after or subject in written):
            yield subject, shift
