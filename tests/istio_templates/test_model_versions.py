"""ModelVersions: what is wrong is named, and a version has one document."""

import pytest

from istio_templates.documents import parse
from istio_templates.documents.versions.model_version import document_name, version_of
from istio_templates.errors import Invalid
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import plan_once
from tests.support.documents import API, gateway, tenant

AT = "2026-11-21T03:00:00Z"
AUC = {"dataset": "holdout", "metric": "auc", "value": 0.91, "samples": 5000, "at": AT}


def version(name: str = "ranker-v2", namespace: str = "search", **spec):
    metadata = {"name": name, "namespace": namespace}
    whole = {"model": "ranker", "image": "example.com/ranker:2", **spec}
    return {"apiVersion": API, "kind": "ModelVersion", "metadata": metadata, "spec": whole}


def problems(**spec) -> str:
    with pytest.raises(Invalid) as found:
        parse(version(**spec))
    return "; ".join(map(str, found.value.problems))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"image": None}, "give uri, image or both"),
        ({"uri": "/models/2"}, "spec.uri"),
        ({"digest": "sha256:" + "A" * 64}, "spec.digest"),
        ({"evaluations": [{**AUC, "value": float("inf")}]}, "spec.evaluations[0].value"),
        ({"evaluations": [{**AUC, "samples": -1}]}, "spec.evaluations[0].samples"),
        ({"evaluations": [{**AUC, "at": "2026-11-21"}]}, "is no moment"),
        ({"evaluations": [AUC, {**AUC, "value": 0.5}]}, "number 2 repeats auc on holdout"),
        ({"evaluations": [{**AUC, "metric": f"m{n}"} for n in range(201)]}, "spec.evaluations"),
        ({"blocked": {}}, "spec.blocked.reason"),
        ({"pinned": {"by": "anna"}}, "spec.pinned.at"),
        ({"errors": 2}, "spec.errors"),
        ({"evaluation": []}, "did you mean evaluations?"),
        ({"aliases": ["champion", "champion"]}, "one is listed twice"),
        ({"aliases": ["the champion"]}, "spec.aliases[0]"),
        ({"aliases": [f"a{n}" for n in range(21)]}, "spec.aliases"),
        ({"registry": {"name": "ranker", "version": "three"}}, "spec.registry.version"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(spec, said):
    assert said in problems(**spec)


def test_a_version_has_one_document_by_its_name():
    assert version_of(document_name("ranker", "v2"), "ranker") == "v2"
    for name in ("ranker", "ranker-", "v2", "other-v2"):
        assert version_of(name, "ranker") is None


@pytest.mark.parametrize(
    ("document", "reason", "said"),
    [
        (version(), None, ""),
        (version(name="v2"), "Invalid", "name it ranker-VERSION"),
        (version(namespace="nowhere"), "NotFound", "belongs to no tenant"),
    ],
)
def test_a_version_stands_in_a_tenants_namespace_under_its_models_name(document, reason, said):
    found = plan_once(world_of(map(parse, (gateway(), tenant(), document))), {})
    (result,) = (result for key, result in found.admission.items() if key.kind == "ModelVersion")
    assert (result.accepted, result.reason) == (reason is None, reason)
    assert said in "; ".join(map(str, result.problems))
