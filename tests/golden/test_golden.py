"""Every feature of the renderers is a pair of files: documents in, objects out. `make golden` rewrites the pairs."""

import copy
from collections.abc import Iterator
from functools import reduce
from typing import Any

import kubernetes_validate
import pytest
import yaml

from istio_templates import schema
from istio_templates.facts import Manifest
from istio_templates.yaml_text import yaml_text
from k8s_manager.drift.compare import is_in_line
from k8s_manager.drift.digest import stamped
from tests.golden.case import CASES, FOLDER, rendered, shown

ISTIO = ("Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Telemetry")


def golden(case: str) -> list[Manifest]:
    return list(yaml.load_all((FOLDER / f"{case}.out.yaml").read_text(), Loader=yaml.CSafeLoader))


def test_there_are_enough_cases():
    assert len(CASES) >= 25


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_is_what_was_reviewed(case: str, update_golden: bool):
    text = yaml_text(shown(case))
    file = FOLDER / f"{case}.out.yaml"
    if update_golden:
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs; if that is meant: make golden, and review the difference"


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same_bytes(case: str):
    assert yaml_text(rendered(case)) == yaml_text(rendered(case))


@pytest.mark.parametrize("version", schema.VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_istio_takes_every_object_and_knows_every_field(case: str, version: str):
    objects = [obj for obj in rendered(case) if obj["kind"] in ISTIO]
    assert objects
    assert [
        (obj["metadata"]["name"], schema.problems(obj, version)) for obj in objects if schema.problems(obj, version)
    ] == []


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object_and_knows_every_field(case: str):
    # KEDA's ScaledObject is not Kubernetes': tests/features/test_keda_writer.py puts it before an API server.
    objects = [obj for obj in rendered(case) if obj["kind"] not in (*ISTIO, "InferenceGateway", "ScaledObject")]
    for obj in objects:
        kubernetes_validate.validate(obj, "1.34", strict=True)


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_any_one_leaf_is_drift(case: str):
    """Whatever leaf somebody changes in the cluster, the loop sees it and sets it back."""
    for obj in map(stamped, shown(case)):
        missed = [path for path, changed in mutations(obj) if is_in_line(obj, changed)]
        assert missed == [], f"{obj['kind']} {obj['metadata']['name']}"


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_any_one_rendered_leaf_breaks_its_golden_file(case: str):
    objects = golden(case)
    reviewed = [yaml_text([obj]) for obj in objects]
    for obj, text in zip(objects, reviewed, strict=True):
        assert all(yaml_text([changed]) != text for _, changed in sampled(mutations(obj))), obj["metadata"]["name"]


def mutations(obj: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Yield, for each leaf, its path and a copy of the object in which that leaf alone is different."""
    for path in leaf_paths({part: obj[part] for part in obj if part not in ("apiVersion", "kind")}):
        yield ".".join(map(str, path)), replaced(obj, path, other(at(obj, path)))


def at(obj: Manifest, path: tuple[str | int, ...]) -> Any:
    """Return what stands at a path."""
    return reduce(lambda node, step: node[step], path, obj)


def replaced(obj: Manifest, path: tuple[str | int, ...], value: Any) -> Manifest:
    """Return a copy with something else at a path."""
    changed = copy.deepcopy(obj)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def sampled(found: Iterator[tuple[str, Manifest]]) -> Iterator[tuple[str, Manifest]]:
    return (pair for number, pair in enumerate(found) if number % 7 == 0)


def leaf_paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaf_paths(inner, (*path, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaf_paths(inner, (*path, number))
    else:
        yield path


def other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else "x"
