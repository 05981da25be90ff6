"""Whatever one leaf of whatever object somebody changes: what is written settles it, in one step, by the policy."""

import copy
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest

from istio_templates.facts import Manifest
from k8s_manager.comparing import differences, in_line
from k8s_manager.conceding import NOTE, settle
from k8s_manager.diff import stamped
from tests.golden.case import CASES, shown
from tests.golden.test_golden import leaf_paths, mutations, other, sampled

NEVER_LEFT = (
    "metadata", "spec.hosts", "spec.gateways", "spec.host", "spec.subsets", "spec.selector", "spec.configPatches",
    "spec.template.metadata.labels", "spec.template.spec.readinessGates", "spec.template.spec.initContainers",
)  # fmt: skip


def written(live: Any, obj: Any) -> Any:
    """Return what a server makes of an applied object: maps are merged, containers by name, all else is replaced."""
    if isinstance(live, dict) and isinstance(obj, dict):
        return {**live, **{key: written(live.get(key), value) for key, value in obj.items()}}
    if isinstance(live, list) and isinstance(obj, list) and all(is_named(element) for element in [*live, *obj]):
        there = {element["name"]: element for element in live}
        return [written(there.get(element["name"]), element) for element in obj]
    return obj


def is_named(element: Any) -> bool:
    return isinstance(element, dict) and ("image" in element or "value" in element or element.keys() == {"name"})


def stored(live: Manifest, obj: Manifest) -> Manifest:
    """Return the live object after a write. A note that is no longer applied goes: it was ours."""
    kept = copy.deepcopy(live)
    kept["metadata"].get("annotations", {}).pop(NOTE, None)
    return written(kept, obj)


@pytest.mark.parametrize("case", CASES)
def test_one_write_settles_whatever_was_changed_and_the_next_pass_writes_nothing(case: str):
    for obj in map(stamped, shown(case)):
        for path, changed in sampled(mutations(obj)):
            back = settle("repair", obj, changed, drifted=True)
            assert not back.conceded and in_line(obj, stored(changed, back.obj)), path
            for policy in ("report", "adopt"):
                settled = settle(policy, obj, changed, drifted=True)
                after = stored(changed, settled.obj)
                left = {".".join(found).replace(".[", "[") for found in differences(obj, after)}
                assert left - {NOTE} == settled.conceded.keys(), path
                assert settle(policy, obj, after, drifted=True).is_in_line, path
                assert not any(field.startswith(NEVER_LEFT) for field in settled.conceded), path


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_goes_back_with_the_policy_or_with_what_the_document_says_of_it(case: str):
    for obj in map(stamped, shown(case)):
        for path, value in leaves(obj):
            once, twice = other(value), other(other(value))
            changed = replaced(obj, path, once)
            first = settle("report", obj, changed, drifted=True)
            if not first.conceded or twice == value:
                continue
            after = stored(changed, first.obj)
            assert in_line(obj, stored(after, settle("repair", obj, after, drifted=True).obj)), path
            newer = replaced(obj, path, twice)
            assert in_line(newer, stored(after, settle("report", newer, after, drifted=False).obj)), path
            assert settle("adopt", newer, after, drifted=False).conceded == first.conceded, path
            assert not settle("report", changed, after, drifted=False).conceded, path


def leaves(obj: Manifest) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for path in leaf_paths({"spec": obj["spec"]}) if "spec" in obj else ():
        yield path, reduce(lambda node, step: node[step], path, obj)


def replaced(obj: Manifest, path: tuple[str | int, ...], value: Any) -> Manifest:
    changed = copy.deepcopy(obj)
    reduce(lambda node, step: node[step], path[:-1], changed)[path[-1]] = value
    return changed
