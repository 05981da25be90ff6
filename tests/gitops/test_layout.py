"""Where each object of a tree stands, and that its bytes follow from the documents alone."""

import random

import pytest
import yaml

from istio_templates.documents import Document, parse
from istio_templates.errors import Invalid
from istio_templates.facts import ObjectKey
from k8s_manager.gitops.layout import HEADER, KUSTOMIZATION, Layout, Tree
from k8s_manager.offline.incremental_render import Rendering
from tests.golden.case import CASES, FOLDER, rendered
from tests.support.documents import gateway, model, tenant


def documents(*raw: dict) -> dict[ObjectKey, Document]:
    parsed = map(parse, raw)
    return {d.key: d for d in parsed}


def tree_of(found: dict[ObjectKey, Document], rendering: Rendering | None = None, layout: Layout | None = None) -> Tree:
    result = (rendering or Rendering()).of(found, dict.fromkeys(found, "test"))
    assert result.findings == ()
    return (layout or Layout()).tree(result.objects)


def fleet() -> list[dict]:
    names = [f"team-{n}" for n in range(6)]
    models = [model(which, name) for name in names for which in ("ranker", "scorer")]
    return [gateway(), gateway("other", "other-gw"), *map(tenant, names), *models]


def test_every_gateway_and_tenant_has_its_folder_and_every_object_its_file():
    tree = tree_of(documents(gateway(), tenant(), model()))
    assert yaml.safe_load(tree[KUSTOMIZATION])["resources"] == ["gateways/shared", "tenants/search"]
    listed = yaml.safe_load(tree["tenants/search/kustomization.yaml"])["resources"]
    assert listed[0] == "namespace_search.yaml" and listed[-1] == "ranker/virtualservice_search_ranker.yaml"
    assert {f"tenants/search/{path}" for path in listed} == {
        path for path in tree if path.startswith("tenants/") and not path.endswith(KUSTOMIZATION)
    }
    assert all(text.startswith(HEADER) and len(list(yaml.safe_load_all(text))) == 1 for text in tree.values())


def test_the_autoscaler_of_a_version_comes_after_its_deployment_and_goes_with_its_writer():
    (version,) = model()["spec"]["versions"]
    scaled = {**version, "workload": {"image": version["workload"]["image"]}}
    path = "ranker/horizontalpodautoscaler_search_ranker-v1.yaml"
    for writer, expected in (("hpa", True), ("keda", False), ("tidegate", False)):
        versions = [{**scaled, "autoscale": {"max": 9, "writer": writer}}]
        tree = tree_of(documents(gateway(), tenant(), model(versions=versions)))
        listed = yaml.safe_load(tree["tenants/search/kustomization.yaml"])["resources"]
        assert (path in listed) == expected
        assert "replicas" not in yaml.safe_load(tree["tenants/search/ranker/deployment_search_ranker-v1.yaml"])["spec"]
        assert ("ranker/scaledobject_search_ranker-v1.yaml" in listed) == (writer == "keda")
        if expected:
            assert listed.index(path) > listed.index("ranker/deployment_search_ranker-v1.yaml")


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_a_tree_are_exactly_what_is_rendered(case: str):
    objects = rendered(case)
    tree = Layout().tree(
        {ObjectKey(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
    )
    kept = [yaml.safe_load(text) for path, text in tree.items() if not path.endswith(KUSTOMIZATION)]
    assert len(kept) == len(objects) and all(obj in kept for obj in objects), FOLDER / case


def test_the_order_of_documents_does_not_matter():
    raw = fleet()
    first = tree_of(documents(*raw))
    for seed in range(5):
        random.Random(seed).shuffle(raw)
        again = tree_of(documents(*raw))
        assert list(again.items()) == list(first.items())


def test_a_second_tree_takes_over_what_has_not_changed():
    rendering, layout = Rendering(), Layout()
    found = documents(*fleet())
    first = tree_of(found, rendering, layout)
    found |= documents(model("ranker", "team-3", rateLimit={"perReplicaQps": 5}, paused="for a test"))
    second = tree_of(found, rendering, layout)
    assert second == tree_of(found)
    assert [path for path in second if second[path] is not first[path] and second[path] != first[path]] == [
        "tenants/team-3/ranker/virtualservice_team-3_ranker.yaml"
    ]


def test_a_gateway_of_a_tenants_own_and_all_that_stands_on_it_are_in_the_tree():
    tree = tree_of(documents(tenant(gateway={"dedicated": {"replicas": 2}}), model()))
    assert "gateways/search/deployment_search-gateway_search.yaml" in tree
    assert "tenants/search/ranker/virtualservice_search_ranker.yaml" in tree
    assert "tenants/search/inferencegateway_search.yaml" in tree


def test_a_name_that_would_leave_the_folder_is_no_path():
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "labels": {"tidegate.dev/tenant": "../up"}}}
    for name in ("..", "a/b", "a_b", "", ".hidden"):
        labels = {"tidegate.dev/tenant": "fine", "tidegate.dev/model": name or "/"}
        with pytest.raises(Invalid, match="no name of Kubernetes"):
            Layout().tree({ObjectKey("Service", "", "x"): {**bad, "metadata": {"name": "x", "labels": labels}}})
    with pytest.raises(Invalid, match="no name of Kubernetes"):
        Layout().tree({ObjectKey("Service", "", "x"): bad})


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/b", "a\\b", "/abs", "a\0b", ".git", "A", "-rf"])
def test_documents_with_such_names_are_refused_long_before(name: str):
    for raw in (
        tenant(name),
        {**model(), "metadata": {"name": name, "namespace": "search"}},
        tenant("t", namespace=name),
    ):
        with pytest.raises(Invalid):
            parse(raw)
