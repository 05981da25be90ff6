"""A version that a selection has chosen, put into the document that it was chosen for."""

from typing import Any

import pytest

from istio_templates.documents import parse
from istio_templates.documents.versions.chosen_version import ChosenVersion, chosen_in, holding, with_chosen
from istio_templates.errors import Invalid
from tests.support.documents import model

TEMPLATE = {"like": "v1", "images": ["example.com/ranker:*", "example.com/fixed:1"]}
CHOSEN = ChosenVersion("v2", "example.com/ranker:v2", "s3://models/ranker/2", "sha256:ab", "v1")


def document(template: dict[str, Any] = TEMPLATE, **spec: Any) -> dict[str, Any]:
    found = {"rollout": {}, "selection": {"strategy": "dataDriven", "versionTemplate": template}, **spec}
    return model(**{name: value for name, value in found.items() if value is not None})


def expanded(status: dict[str, Any], made: dict[str, Any] | None = None) -> Any:
    return with_chosen(parse(made or document()), status).spec


def test_the_chosen_version_is_run_as_the_one_that_it_is_like():
    env = [{"name": "MODEL_URI", "value": "{uri}"}, {"name": "SEED", "value": "7"}]
    found = expanded({"selected": CHOSEN.record}, document({**TEMPLATE, "env": env}))
    first, second = found.versions
    assert (second.name, second.workload.image) == ("v2", "example.com/ranker:v2")
    assert second.workload.replicas == first.workload.replicas
    assert [(one["name"], one["value"]) for one in second.workload.env] == [
        ("MODEL_URI", "s3://models/ranker/2"),
        ("SEED", "7"),
    ]
    assert [(share.version, share.weight) for share in found.traffic] == [("v1", 0), ("v2", 100)]


def test_an_image_of_a_template_may_be_made_of_what_is_registered():
    found = expanded({"selected": CHOSEN.record}, document({**TEMPLATE, "image": "example.com/ranker:{version}-cpu"}))
    assert found.versions[1].workload.image == "example.com/ranker:v2-cpu"


def test_a_version_that_the_document_lists_is_taken_as_it_stands_there():
    listed = [{"name": name, "workload": {"replicas": 1, "image": f"example.com/own:{name}"}} for name in ("v1", "v2")]
    found = expanded({"selected": CHOSEN.record}, document(versions=listed))
    assert [version.workload.image for version in found.versions] == ["example.com/own:v1", "example.com/own:v2"]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"selected": None},
        {"selected": "v2"},
        {"selected": {"version": "v2"}},
        {"selected": {**CHOSEN.record, "version": 2}},
        {"selected": {**CHOSEN.record, "version": ""}},
        {"selected": {**CHOSEN.record, "instead": "v0"}},
        {"selected": {**CHOSEN.record, "image": "elsewhere.example/miner:1"}},
    ],
)
def test_without_a_choice_for_it_a_document_goes_by_itself(status):
    found = parse(document())
    assert with_chosen(found, status) is found


def test_a_document_without_a_template_goes_by_itself():
    for spec in ({"selection": {"strategy": "dataDriven"}}, {"selection": None}):
        found = parse(document(**spec))
        assert with_chosen(found, {"selected": CHOSEN.record}) is found


def test_a_choice_is_the_same_behind_the_api_server():
    assert chosen_in({"selected": CHOSEN.record}) == CHOSEN
    spec: Any = parse(document()).spec
    assert holding(spec, {"selected": CHOSEN.record}) == CHOSEN


@pytest.mark.parametrize(("image", "holds"), [("example.com/ranker:v3", True), ("example.com/ranker", False),
                                              ("example.com/fixed:1", True), ("example.com/fixed:12", False)])  # fmt: skip
def test_only_images_that_are_named_are_run(image, holds):
    spec: Any = parse(document()).spec
    assert spec.selection.version_template.allows(image) is holds


@pytest.mark.parametrize(
    ("template", "spec", "said"),
    [
        ({"images": ["*"], "like": "v1"}, {}, "images[0]"),
        ({"like": "v1", "images": []}, {}, "at least 1"),
        ({"like": "v9", "images": ["a*"]}, {}, "v9 is none of versions"),
        ({"like": "v1", "images": ["a*"], "image": "{tag}"}, {}, "{tag} is nothing that is registered"),
        ({"like": "v1", "images": ["a*"], "env": [{"name": "X", "value": "{model}"}]}, {}, "take one of {version}"),
        ({**TEMPLATE, "env": [{"name": f"X{n}", "value": ""} for n in range(33)]}, {}, "env"),
        ({"like": "v1", "images": ["a*"], "image": "{uri}" * 9}, {}, "9 places to fill are more than 8"),
        ({**TEMPLATE, "env": [{"name": "X", "value": "{uri}" * 200_000}]}, {}, "places to fill are more than 8"),
        (TEMPLATE, {"rollout": None}, "give rollout, an empty one will do"),
        (TEMPLATE, {"versions": [{"name": "v1", "existing": {"labels": {"a": "b"}}}]}, "has no workload.image"),
    ],
)
def test_what_is_wrong_in_a_template_is_said(template, spec, said):
    with pytest.raises(Invalid) as refused:
        parse(document(template, **spec))
    assert said in str(refused.value)
