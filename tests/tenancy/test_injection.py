"""Whatever stands in a document: only objects of the typed set come out, and no text reaches a place of its own."""

import copy
from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from istio_templates import schema
from istio_templates.documents import Document, load, parse
from istio_templates.errors import Invalid, TidegateError
from istio_templates.yaml_text import yaml_text
from k8s_manager.offline.offline_world import planned, world_of
from k8s_manager.pipeline.render import Renderer
from tests.golden.case import CASES, FOLDER
from tests.tenancy.payloads import PAYLOADS

KINDS = {
    "ConfigMap", "Deployment", "DestinationRule", "EnvoyFilter", "Gateway", "HorizontalPodAutoscaler",
    "InferenceGateway", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "RoleBinding", "ScaledObject", "Service",
    "ServiceAccount", "Telemetry", "VirtualService",
}  # fmt: skip
PROXY = ("DestinationRule", "EnvoyFilter", "Gateway", "Telemetry", "VirtualService")
CHOSEN = ("labels", "annotations", "selector", "set", "add", "headers", "matchLabels")
"""Mappings whose keys people choose."""


@cache
def case_of(case: str) -> tuple[dict, ...]:
    """Return the documents of a case."""
    return tuple(load((FOLDER / f"{case}.in.yaml").read_text()))


def leaves(value, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of every text in a document, and of every key that people choose."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    elif isinstance(value, str):
        yield path


def places() -> list[tuple[str, int, tuple]]:
    """Return (case, document, path), each field of each kind of document once."""
    found = {}
    for case in CASES:
        for number, document in enumerate(case_of(case)):
            if document["kind"] != "Observed":
                for path in leaves(document):
                    field = tuple("*" if isinstance(step, int) else step for step in path)
                    found.setdefault((document["kind"], field), (case, number, path))
    return list(found.values())


PLACES = places()


def set_at(value, path: tuple, new) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


@cache
def parsed(case: str, number: int) -> Document:
    """Return one of them as it is read."""
    return parse(copy.deepcopy(case_of(case)[number]))


@cache
def as_it_is(case: str) -> list[dict]:
    """Return what is rendered for a case that nobody has changed."""
    return rendered(case)


def rendered(case: str, changed: int | None = None, instead: Document | None = None) -> list[dict]:
    """Return what is rendered for a case, with one document changed; raises `Invalid` where one is refused."""
    documents = [
        instead if instead and number == changed else parsed(case, number)
        for number, document in enumerate(case_of(case))
        if document["kind"] != "Observed"
    ]
    desired = Renderer().render(planned(world_of(documents)))
    return [*desired.objects.values(), *desired.slots.values()]


def shape(obj: dict) -> set[tuple]:
    """Return the fields of an object, without what stands in them and how many there are of each."""

    def steps(value, path: tuple) -> Iterator[tuple]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from steps(inner, (*path, "?" if path[-1] in CHOSEN else key))
        elif isinstance(value, list):
            for inner in value:
                yield from steps(inner, (*path, "*"))
        yield (*path, type(value).__name__)

    return set(steps(obj["spec"], (obj["kind"],)))


KNOWN: dict[str, set[tuple]] = {}


def known_shapes() -> dict[str, set[tuple]]:
    """Return all fields of the proxy's configuration that any golden case has, by kind."""
    if not KNOWN:
        for case in CASES:
            for obj in as_it_is(case):
                if obj["kind"] in PROXY:
                    KNOWN.setdefault(obj["kind"], set()).update(shape(obj))
    return KNOWN


def check(objects: list[dict]) -> None:
    """Make sure that objects are of the typed set, and nothing else."""
    assert {obj["kind"] for obj in objects} <= KINDS
    assert list(yaml.safe_load_all(yaml_text(objects))) == objects
    for obj in objects:
        assert schema.problems(obj) == []
        if obj["kind"] in PROXY:
            assert shape(obj) <= known_shapes()[obj["kind"]], obj


def attack(case: str, number: int, path: tuple, payload) -> bool:
    """Return whether a document with a payload at a place was accepted; what comes of it is in order."""
    document = copy.deepcopy(case_of(case)[number])
    set_at(document, path, payload)
    try:
        objects = rendered(case, number, parse(document))
    except TidegateError as error:
        assert isinstance(error, Invalid) and error.problems, error
        return False
    check([obj for obj in objects if obj not in as_it_is(case)])
    return True


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(PLACES) * sum(map(len, PAYLOADS.values())) >= 1000
    assert len(PLACES) >= 60


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_text_stays_a_text_where_it_stands(kind: str):
    accepted = [
        (path, payload)
        for case, number, path in PLACES
        for payload in PAYLOADS[kind]
        if attack(case, number, path, payload)
    ]
    # Free texts are few: what a pod template holds, why a model is paused, and the like.
    assert len(accepted) < len(PLACES) * len(PAYLOADS[kind]) / 2


@pytest.mark.parametrize("payload", [{"@type": "x"}, {"typed_config": {}}, ["x"], 7, 1.5, True, None, {}, []], ids=repr)
def test_another_type_is_refused_or_harmless(payload):
    for case, number, path in PLACES:
        attack(case, number, path, payload)


def test_a_field_that_is_not_known_is_refused_wherever_it_stands():
    seen = set()
    for case, number, path in PLACES:
        for length in range(2, len(path)):
            parent = case_of(case)[number]
            for step in path[:length]:
                parent = parent[step]
            field = (case_of(case)[number]["kind"], *("*" if isinstance(s, int) else s for s in path[:length]))
            if (
                not isinstance(parent, dict)
                or field in seen
                or not {"podTemplate", "env", "resources"}.isdisjoint(field)
            ):
                continue
            seen.add(field)
            for key in ("typed_config", "@type", "patch", "__proto__"):
                assert not attack(case, number, (*path[:length], key), {"@type": "lua"}), (field, key)
    assert len(seen) > 20
