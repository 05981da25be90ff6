"""Whatever somebody changes in whatever object: what is written settles it, in one step, by the policy.

The embedded API server's own apply says what becomes of a write, and who holds which field.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from istio_templates.facts import Manifest
from k8s_manager.drift.compare import EXACT, differences
from k8s_manager.drift.digest import stamped
from k8s_manager.drift.field_policy import DriftResolution, resolve
from k8s_manager.standalone.apiserver import apply
from k8s_manager.standalone.apiserver.paths import merge, shape_of
from k8s_manager.standalone.apiserver.registrar import merge_patch
from tests.golden.case import CASES, shown
from tests.golden.test_golden import at, leaf_paths, other, replaced

NEVER_LEFT = (
    "metadata", "spec.hosts", "spec.gateways", "spec.host", "spec.subsets", "spec.selector", "spec.configPatches",
    "spec.template.metadata.labels", "spec.template.spec.readinessGates", "spec.template.spec.initContainers",
    "data",
)  # fmt: skip
NOW = "2026-11-22T03:00:00Z"
Edit = tuple[tuple[str | int, ...], Manifest]


def ours(obj: Manifest) -> Manifest:
    """Return an object as we have written it."""
    return apply.applied(None, copy.deepcopy(obj), "tidegate", True, shape_of(obj["kind"]), "", NOW)


def edited(live: Manifest, edit: Manifest) -> Manifest:
    """Return an object as somebody has edited it."""
    return apply.updated(live, copy.deepcopy(edit), "night", shape_of(live["kind"]), "", NOW)


def written(live: Manifest, settled: DriftResolution) -> Manifest:
    """Return an object as it is after what is written."""
    shape = shape_of(live["kind"])
    if settled.surplus:
        patched, surplus = copy.deepcopy(live), copy.deepcopy(settled.surplus)
        if live["kind"] in EXACT:
            merge_patch(patched, surplus)
        else:
            merge(patched, surplus, shape)
        live = apply.updated(live, patched, "tidegate", shape, "", NOW)
    return apply.applied(live, copy.deepcopy(settled.obj), "tidegate", True, shape, "", NOW)


def differing(wanted: Manifest, live: Manifest) -> set[str]:
    return {".".join(path).replace(".[", "[") for path in differences(wanted, live)}


def edits(obj: Manifest) -> Iterator[Edit]:
    """Yield an object with one leaf changed, with one taken away, and with something added to it."""
    body = {part: obj[part] for part in obj if part not in ("apiVersion", "kind")}
    for number, path in enumerate(leaf_paths(body)):
        if path == ("metadata", "name") or path == ("metadata", "namespace") or number % 5:
            continue
        yield path, replaced(obj, path, other(at(obj, path)))
        if isinstance(path[-1], str):
            without = copy.deepcopy(obj)
            del at(without, path[:-1])[path[-1]]
            yield path, without
    if obj["kind"] == "Deployment":
        added = copy.deepcopy(obj)
        (container, *_) = added["spec"]["template"]["spec"]["containers"]
        container.setdefault("env", []).append({"name": "ADDED", "value": "1"})
        yield ("env",), added
    if obj["kind"] == "DestinationRule":
        added = copy.deepcopy(obj)
        added["spec"]["trafficPolicy"]["portLevelSettings"] = [{"port": {"number": 1}}]
        yield ("portLevelSettings",), added


@pytest.mark.parametrize("case", CASES)
def test_one_write_settles_whatever_was_changed_and_the_next_pass_writes_nothing(case: str):
    for obj in map(stamped, shown(case)):
        for path, edit in edits(obj):
            changed = edited(ours(obj), edit)
            back = resolve("repair", obj, changed, drifted=True)
            after = written(changed, back)
            assert not back.kept and not differing(obj, after), path
            assert resolve("repair", obj, after, drifted=True).is_in_line, path
            for policy in ("report", "adopt"):
                settled = resolve(policy, obj, changed, drifted=True)
                after = written(changed, settled)
                assert differing(obj, after) == settled.kept.keys(), path
                assert resolve(policy, obj, after, drifted=True).is_in_line, path
                assert not any(field.startswith(NEVER_LEFT) for field in settled.kept), path


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_goes_back_with_the_policy_or_with_what_the_document_says_of_it(case: str):
    for obj in map(stamped, shown(case)):
        for path, value in leaves(obj):
            once, twice = other(value), other(other(value))
            changed = edited(ours(obj), replaced(obj, path, once))
            first = resolve("report", obj, changed, drifted=True)
            if not first.kept or twice == value or path[-1] == "name":  # another name is another element
                continue
            after = written(changed, first)
            assert not differing(obj, written(after, resolve("repair", obj, after, drifted=True))), path
            newer = replaced(obj, path, twice)
            assert not differing(newer, written(after, resolve("report", newer, after, drifted=False))), path
            assert resolve("adopt", newer, after, drifted=False).kept == first.kept, path
            same = replaced(obj, path, once)
            assert not resolve("report", same, after, drifted=False).kept, path


def leaves(obj: Manifest) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for path in leaf_paths({"spec": obj["spec"]}) if "spec" in obj else ():
        yield path, at(obj, path)
