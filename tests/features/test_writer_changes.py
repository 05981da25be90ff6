"""Another writer of a version's replicas: none is lost on the way, and only what its writer needs is there."""

from itertools import permutations

import pytest

from istio_templates.facts import ObjectKey
from tests.features.conftest import make_search, recorded
from tests.features.test_handover import is_ours_no_more
from tests.support.documents import model
from tests.support.keda import scaled_object_crd
from tests.support.waiting import until

WRITERS = ("hpa", "keda", "tidegate")
DEPLOYMENT = ObjectKey("Deployment", "search", "ranker-v1")
SIX = 6


def scaled(writer: str, **more) -> dict:
    autoscale = {"min": 2, "max": 40, "writer": writer, **more}
    return model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1"}, "autoscale": autoscale}])


async def hpa(fleet):
    return await fleet.get("HorizontalPodAutoscaler", "ranker-v1", "search")


async def scaled_object(fleet):
    return await fleet.get("ScaledObject", "ranker-v1", "search")


async def is_written_by(fleet, writer: str) -> bool:
    """Tell whether an HPA and a ScaledObject are there where a writer needs them, and are not elsewhere."""
    return (await hpa(fleet) is not None, await scaled_object(fleet) is not None) == (
        writer == "hpa",
        writer == "keda",
    )


async def has_hpa(fleet, expected: bool) -> bool:
    return (await hpa(fleet) is not None) == expected


async def makes_six(fleet) -> None:
    """Set the replicas as a writer does, once the document no longer does."""
    await until(lambda: is_ours_no_more(fleet, DEPLOYMENT), what="the number being free")
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ranker-v1", "namespace": "search"}}
    await fleet.apply({**head, "spec": {"replicas": SIX}}, manager="the-writer")


@pytest.mark.parametrize("before, after", [*permutations(WRITERS, 2)], ids=lambda writer: writer)
async def test_a_change_of_the_writer_keeps_every_replica(fleet, before, after):
    await fleet.apply(scaled_object_crd())
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(scaled(before))
        await until(lambda: is_written_by(fleet, before), what="the first writer")
        await makes_six(fleet)
        await fleet.settled()
        async with recorded(fleet, "Deployment") as seen:
            await fleet.apply(scaled(after))
            await until(lambda: is_written_by(fleet, after), what="the second writer")
            await fleet.settled()
    states = [obj for obj in seen if obj["metadata"]["name"] == "ranker-v1"]
    assert {obj["spec"]["replicas"] for obj in states} == {SIX}


async def test_replicas_of_the_document_stay_when_an_hpa_takes_them_over(fleet):
    async with fleet.manager():
        await make_search(fleet)
        async with recorded(fleet, "Deployment") as seen:
            await fleet.apply(scaled("hpa"))
            await until(lambda: has_hpa(fleet, True), what="the HPA")
            await fleet.settled()
    states = [obj for obj in seen if obj["metadata"]["name"] == "ranker-v1"]
    assert {obj["spec"]["replicas"] for obj in states} == {2}


async def test_the_rendered_hpa_follows_its_document_and_is_no_conflict(fleet):
    async with fleet.manager() as manager:
        await make_search(fleet)
        await fleet.apply(scaled("hpa"))
        await until(lambda: has_hpa(fleet, True), what="the HPA")
        assert (await hpa(fleet))["spec"]["maxReplicas"] == 40
        await fleet.apply(scaled("hpa", max=50))

        async def follows() -> bool:
            return (await hpa(fleet))["spec"]["maxReplicas"] == 50

        await until(follows, what="the new bound")
        await fleet.settled()
        assert (await fleet.condition("Model", "ranker", "AutoscalerAgrees", "search"))["status"] == "True"
        assert not manager.loops.main.gatherer.world().scalers
        await fleet.apply(model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1"}}]))
        await until(lambda: has_hpa(fleet, False), what="no HPA")


async def test_an_hpa_of_another_owner_is_not_taken_over(fleet):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-v1"}
    theirs = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "ranker-v1", "namespace": "search"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5},
    }
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(theirs)
        await fleet.apply(scaled("hpa"))

        async def is_reported() -> bool:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return found.get("status") == "False" and "HorizontalPodAutoscaler" in found["message"]

        await until(is_reported, what="the condition that names the HPA")
        assert (await hpa(fleet))["spec"]["maxReplicas"] == 5
