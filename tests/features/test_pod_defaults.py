"""Service links of pods: off where a rollout happens anyway, in the cluster, in plans and in rendered trees."""

import yaml

from istio_templates.facts import ObjectKey
from k8s_manager.drift.digest import stamped
from k8s_manager.offline.offline_world import manifests
from tests.features.conftest import is_programmed, make_search
from tests.features.test_cli import tidegate
from tests.features.test_plan import planned
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

RANKER = ObjectKey("Deployment", "search", "ranker-v1")
POOL = ObjectKey("Deployment", "inference-gw", "shared")
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace"}


def image(name: str, replicas: int = 2) -> dict:
    return model(versions=[{"name": "v1", "workload": {"replicas": replicas, "image": name}}])


def pod(obj: dict) -> dict:
    return obj["spec"]["template"]["spec"]


async def links(fleet, key: ObjectKey):
    obj = await fleet.get(key.kind, key.name, key.namespace)
    return pod(obj).get("enableServiceLinks", "absent") if obj else None


def before(*documents) -> list[dict]:
    """Return the Deployments of these documents as a release before this one wrote them."""
    found = []
    for obj in manifests(documents):
        if obj["kind"] == "Deployment":
            pod(obj).pop("enableServiceLinks")
            found.append(stamped(obj))
    return found


async def test_models_and_managed_gateways_that_are_new_have_none(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(
            {**NAMESPACE, "metadata": {"name": "inference-gw", "labels": {"tidegate.dev/gateway": "shared"}}},
            gateway(managed={"replicas": 2}),
        )
        for key in (RANKER, POOL):
            await until(lambda key=key: has(fleet, key, False), what=f"{key} without service links")


async def has(fleet, key: ObjectKey, said: object) -> bool:
    return await links(fleet, key) is said


async def test_what_runs_with_them_is_not_replaced_until_its_template_changes(fleet):
    documents = (gateway(), tenant(), image("example.com/ranker:1"))
    namespace = {**NAMESPACE, "metadata": {"name": "search", "labels": {"tidegate.dev/tenant": "search"}}}
    await fleet.apply(namespace, *before(*documents), manager="tidegate")
    await fleet.apply(*documents)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")
        await fleet.settled()
        assert await links(fleet, RANKER) == "absent"
        path = "/v1/tenants/search/models/ranker"
        scaled = await planned(rest, path, {"spec": image("example.com/ranker:1", 3)["spec"]})
        assert "enableServiceLinks" not in str(scaled["changes"])
        await fleet.apply(image("example.com/ranker:1", 3))
        await until(lambda: scaled_to(fleet, 3), what="three replicas")
        assert await links(fleet, RANKER) == "absent"
        rolled = await planned(rest, path, {"spec": image("example.com/ranker:2", 3)["spec"]})
        assert "enableServiceLinks" in str(rolled["changes"])
        await fleet.apply(image("example.com/ranker:2", 3))
        await until(lambda: has(fleet, RANKER, False), what="no service links, with the new image")


async def scaled_to(fleet, count: int) -> bool:
    obj = await fleet.get(RANKER.kind, RANKER.name, RANKER.namespace)
    return obj["spec"]["replicas"] == count


async def test_a_tree_that_holds_a_deployment_with_them_keeps_it_until_its_template_changes(tmp_path):
    documents, tree = tmp_path / "documents.yaml", tmp_path / "tree"
    words = ("render", "-f", str(documents), "-d", str(tree))
    file = tree / "tenants/search/ranker/deployment_search_ranker-v1.yaml"

    async def rendered(*found: dict) -> dict:
        documents.write_text(yaml.safe_dump_all([gateway(), tenant(), *found]))
        assert (await tidegate(*words))[0] == 0
        return yaml.safe_load(file.read_text())

    first = await rendered(image("example.com/ranker:1"))
    assert pod(first)["enableServiceLinks"] is False
    file.write_text(file.read_text().replace("      enableServiceLinks: false\n", ""))
    assert "enableServiceLinks" not in file.read_text()
    assert (await tidegate(*words, "--check"))[0] == 0
    assert "enableServiceLinks" not in pod(await rendered(image("example.com/ranker:1", 5)))
    assert pod(await rendered(image("example.com/ranker:2", 5)))["enableServiceLinks"] is False
