"""Writer `keda`: what is rendered for KEDA, the number that it asks for, and a cluster without it."""

import pytest

from istio_templates.facts import ObjectKey
from tests.features.conftest import is_programmed, make_search
from tests.features.test_writer_changes import scaled, scaled_object
from tests.support.documents import NAMESPACE
from tests.support.fleet import running_fleet
from tests.support.keda import hpa_of, scaled_object_crd
from tests.support.waiting import until

NUMBER = "/v1/tenants/search/models/ranker/versions/v1/replicas"
THEIRS = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "theirs", "namespace": "search"},
    "spec": {"scaleTargetRef": {"name": "ranker-v1"}, "triggers": [{"type": "cron", "metadata": {"timezone": "UTC"}}]},
}


@pytest.fixture
async def keda(fleet):
    """A fleet whose cluster has KEDA's kind."""
    await fleet.apply(scaled_object_crd())
    return fleet


async def scaling_reason(fleet) -> str:
    return (await fleet.condition("Model", "ranker", "ScalingActive", "search")).get("reason", "")


async def makes_scaled_object(fleet):
    await make_search(fleet)
    await fleet.apply(scaled("keda"))
    return await until(lambda: scaled_object(fleet), what="the ScaledObject")


async def test_the_scaled_object_follows_its_document_and_goes_with_its_writer(keda):
    async with keda.manager():
        first = await makes_scaled_object(keda)
        assert (first["spec"]["minReplicaCount"], first["spec"]["maxReplicaCount"]) == (2, 40)
        await keda.apply(scaled("keda", max=50))

        async def follows() -> bool:
            return (await scaled_object(keda))["spec"]["maxReplicaCount"] == 50

        await until(follows, what="the new bound")
        await until(lambda: is_programmed(keda, "ranker", "search"), what="the model being programmed")


async def test_what_keda_adds_to_the_scaled_object_stays(keda):
    async with keda.manager():
        made = await makes_scaled_object(keda)
        added = {"labels": {"scaledobject.keda.sh/name": "ranker-v1"}, "finalizers": ["finalizer.keda.sh"]}
        key = ObjectKey("ScaledObject", "search", "ranker-v1")
        await keda.client.merge(key, {"metadata": added})
        await keda.client.merge(key, {"status": {"lastActiveTime": "2026-11-30T07:00:00Z"}}, "status")
        await keda.settled()
        found = await scaled_object(keda)
        assert found["metadata"]["labels"]["scaledobject.keda.sh/name"] == "ranker-v1"
        assert found["metadata"]["finalizers"] == ["finalizer.keda.sh"] and found["spec"] == made["spec"]
        await keda.client.merge(key, {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("excludes", [True, False], ids=["keda", "old keda"])
async def test_the_hpa_that_keda_makes_is_neither_foreign_nor_removed(keda, excludes):
    async with keda.manager() as manager:
        made = hpa_of(await makes_scaled_object(keda), excludes)
        assert ("tidegate.dev/model" in made["metadata"]["labels"]) != excludes
        await keda.client.create(made)
        await keda.settled()
        name = made["metadata"]["name"]
        assert name == "keda-hpa-ranker-v1" and await keda.get("HorizontalPodAutoscaler", name, "search")
        assert not manager.loops.main.gatherer.world().scalers
        assert await scaling_reason(keda) != "ForeignAutoscaler"


async def test_a_scaled_object_of_another_owner_is_named(keda):
    async with keda.manager():
        await makes_scaled_object(keda)
        await keda.apply(THEIRS)
        await keda.client.create(hpa_of(await keda.get("ScaledObject", "theirs", "search")))

        async def is_named() -> bool:
            found = await keda.condition("Model", "ranker", "ScalingActive", "search")
            return "keda-hpa-theirs of ScaledObject theirs" in found.get("message", "")

        await until(is_named, what="the condition that names the ScaledObject")
        assert await scaling_reason(keda) == "ForeignAutoscaler"


async def test_the_number_is_served_from_the_status_by_any_manager(keda):
    async with keda.manager() as manager, keda.rest(manager) as calls:
        await make_search(keda)
        status, problem = await calls.call("GET", NUMBER)
        assert status == 404 and "has no decided replicas" in problem["detail"]
        await keda.apply(scaled("keda"))

        async def answered():
            status, body = await calls.call("GET", NUMBER)
            return body if status == 200 else None

        found = await until(answered, what="the number")
        assert found == {"model": "search/ranker", "version": "v1", "replicas": 2, "decided": 2, "at": found["at"]}
        assert (await calls.call("GET", NUMBER.replace("v1/replicas", "v9/replicas")))[0] == 404
        async with keda.manager() as other, keda.rest(other) as asked:

            async def alike() -> bool:
                return (await asked.call("GET", NUMBER))[1].get("replicas") == 2

            await until(alike, what="the other manager answering alike")


async def test_a_cluster_without_keda_has_everything_else_is_told_and_recovers():
    async with running_fleet() as fleet, fleet.manager():
        await fleet.apply(NAMESPACE)
        await make_search(fleet)
        await fleet.apply(scaled("keda"))

        async def is_told() -> bool:
            active = await fleet.condition("Model", "ranker", "ScalingActive", "search")
            programmed = await fleet.condition("Model", "ranker", "Programmed", "search")
            said = "the cluster has no kind ScaledObject"
            return (active.get("status"), active.get("reason")) == ("False", "WriterUnavailable") and all(
                said in one["message"] and "install KEDA" in one["message"] for one in (active, programmed)
            )

        await until(is_told, what="the absent kind being told")
        assert await fleet.get("Deployment", "ranker-v1", "search")
        assert await fleet.get("VirtualService", "ranker", "search")
        await fleet.apply(scaled_object_crd())
        await until(lambda: scaled_object(fleet), what="the ScaledObject")

        async def has_recovered() -> bool:
            return await scaling_reason(fleet) != "WriterUnavailable"

        await until(has_recovered, what="the condition without the absent kind")
