"""Objects of other writers under the names that we use: never taken over without a word, and never deleted."""

import pytest

from istio_templates.facts import ObjectKey
from tests.features.conftest import make_search
from tests.features.test_plan import planned
from tests.support.documents import gateway, labels, model, tenant
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "ranker", "namespace": "search"},
    "spec": {"selector": labels(), "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]},
}


async def gone(fleet, kind: str, name: str, namespace: str = "") -> bool:
    return await fleet.get(kind, name, namespace) is None


def others(kind: str, api: str, spec: dict, **metadata) -> dict:
    """Return an object of another writer in which no field differs from what we would write."""
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "ranker", "namespace": "search", **metadata},
        "spec": spec,
    }


FOREIGN = [
    SERVICE,
    others("DestinationRule", "networking.istio.io/v1", {"host": "else.search.svc.cluster.local"}),
    others("VirtualService", "networking.istio.io/v1", {"hosts": ["else.example.com"]}),
    others("PodDisruptionBudget", "policy/v1", {}, name="ranker-v1"),
    others("Deployment", "apps/v1", {}, name="ranker-v1"),
    {**SERVICE, "metadata": {**SERVICE["metadata"], "labels": {"app.kubernetes.io/managed-by": "tidegate"}}},
    {
        **SERVICE,
        "metadata": {
            **SERVICE["metadata"],
            "labels": {
                "app.kubernetes.io/managed-by": "tidegate",
                "tidegate.dev/tenant": "search",
                "tidegate.dev/model": "other",
            },
        },
    },
]


@pytest.mark.parametrize("theirs", FOREIGN, ids=lambda obj: f"{obj['kind']}-{len(obj['metadata'].get('labels', {}))}")
async def test_what_others_made_is_a_conflict_and_stays_when_the_document_goes(fleet, theirs):
    key = ObjectKey(theirs["kind"], "search", theirs["metadata"]["name"])
    async with fleet.manager():
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.apply(theirs, manager="helm")
        before = await fleet.client.get(key)
        await fleet.apply(model())

        async def told() -> bool:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return found.get("reason") == "FieldConflict" and "was made by helm" in found["message"]

        await until(told, what="the conflict being told")
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: gone(fleet, "Model", "ranker", "search"), what="the model being gone")
        assert (await fleet.client.get(key))["spec"] == before["spec"]


async def test_a_copy_of_our_object_under_another_name_is_given_up(fleet):
    async with fleet.manager():
        await make_search(fleet)
        ours = await fleet.get("Service", "ranker", "search")
        copied = {**SERVICE, "metadata": {**SERVICE["metadata"], "name": "copy", "labels": ours["metadata"]["labels"]}}
        await fleet.apply(copied, manager="kubectl-client-side-apply")

        async def given_up() -> bool:
            left = await fleet.get("Service", "copy", "search")
            return not any(label.startswith("tidegate.dev/") for label in left["metadata"].get("labels") or {})

        await until(given_up, what="the copy losing our labels")
        assert (await fleet.get("Service", "copy", "search"))["spec"]["ports"] == SERVICE["spec"]["ports"]
        assert await fleet.get("Service", "ranker", "search")


async def test_our_object_whose_labels_were_taken_away_gets_them_back(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await until(lambda: fleet.get("Service", "ranker", "search"))
        key = ObjectKey("Service", "search", "ranker")
        ours = (await fleet.client.get(key))["metadata"]["labels"]
        await fleet.client.merge(key, {"metadata": {"labels": dict.fromkeys(ours)}})

        async def marked() -> bool:
            return (await fleet.client.get(key))["metadata"].get("labels") == ours

        await until(marked, what="the labels being back")


async def test_a_plan_tells_that_the_name_is_taken(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"))
        await fleet.apply(SERVICE, manager="helm")
        found = await planned(rest, RANKER, {"spec": model()["spec"]})
        (change,) = [change for change in found["changes"] if change["object"] == "Service search/ranker"]
        assert change["server"].startswith("rejected: Service search/ranker: it exists already and was made by helm")
