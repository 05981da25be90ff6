"""A registered version that a selection chooses is released by itself, while the document stays as it is written."""

import asyncio
from typing import Any

from tests.features.test_release import BAD, ROLLOUT, add_replicas, passed, run, status, weights
from tests.support.direct_api import Cluster
from tests.support.documents import model
from tests.support.served_requests import ServedRequests

TEMPLATE = {"like": "v1", "images": ["example.com/ranker:*"]}


def document(template: dict[str, Any] = TEMPLATE, **spec: Any) -> dict[str, Any]:
    versions = [{"name": "v1", "workload": {"replicas": 4, "image": "example.com/ranker:v1"}}]
    selection = {"strategy": "dataDriven", "coolDown": "1m", "versionTemplate": template}
    return model(versions=versions, rollout=ROLLOUT, selection=selection, **spec)


def registered(version: str, day: int, image: str | None = None, **spec: Any) -> dict[str, Any]:
    found = {
        "model": "ranker",
        "image": image or f"example.com/ranker:{version}",
        "dataUntil": f"2025-10-{day:02d}T00:00:00Z",
    }
    metadata = {"name": f"ranker-{version}", "namespace": "search"}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {**found, **spec},
    }


def reasons(cluster: Cluster, name: str) -> tuple[str, str]:
    found = next((one for one in status(cluster)["conditions"] if one["type"] == name), {})
    return found.get("reason", ""), found.get("message", "")


def test_a_newer_version_is_run_released_and_served_and_the_document_stays():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(registered("v1", 1), registered("v2", 20))
        written = document()
        await cluster.apply(written)
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v2", "search") is not None)
        deployment = cluster.find("Deployment", "ranker-v2", "search") or {}
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "example.com/ranker:v2" and weights(cluster) == {"v1": 100}
        await add_replicas(cluster, "v2")
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        await passed(cluster, lambda: reasons(cluster, "Released")[0] == "Complete")
        live = cluster.find("Model", "ranker", "search") or {}
        assert (
            live["spec"]["versions"] == written["spec"]["versions"]
            and live["spec"]["traffic"] == written["spec"]["traffic"]
        )
        assert live["status"]["selected"]["version"] == "v2" and reasons(cluster, "Selected")[0] == "NotBetter"

    run(check, requests)


def test_the_next_one_comes_from_a_version_that_the_document_never_had():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(registered("v1", 1), registered("v2", 20))
        await cluster.apply(document())
        for name, day in (("v2", 20), ("v3", 25)):
            await cluster.apply(registered(name, day))
            await passed(cluster, lambda name=name: cluster.find("Deployment", f"ranker-{name}", "search") is not None)
            await add_replicas(cluster, name)
            await passed(cluster, lambda name=name: weights(cluster) == {name: 100})
        assert {weight for seen in requests.seen for weight in (seen.get("v1", 0),) if "v3" in seen} <= {0}
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v2", "search") is None)

    run(check, requests)


def test_one_that_fails_goes_back_is_not_chosen_again_and_the_next_one_is():
    requests = ServedRequests(behaviour={"v2": BAD})

    async def check(cluster: Cluster) -> None:
        await cluster.apply(registered("v1", 1), registered("v2", 20))
        await cluster.apply(document())
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v2", "search") is not None)
        await add_replicas(cluster, "v2")
        await passed(cluster, lambda: weights(cluster).get("v2", 0) > 0)
        await passed(cluster, lambda: weights(cluster) == {"v1": 100})
        await asyncio.sleep(600)
        assert weights(cluster) == {"v1": 100} and reasons(cluster, "Released")[0] == "VersionBlocked"
        assert reasons(cluster, "Selected")[0] == "NoEligibleVersion"
        await cluster.apply(registered("v3", 25))
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v3", "search") is not None)
        await add_replicas(cluster, "v3")
        await passed(cluster, lambda: weights(cluster) == {"v3": 100})

    run(check, requests)


def test_an_image_that_the_template_does_not_name_is_not_run():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(registered("v1", 1), registered("v2", 20, image="elsewhere.example/miner:1"))
        await cluster.apply(document())
        await asyncio.sleep(300)
        reason, message = reasons(cluster, "Selected")
        assert reason == "ImageNotAllowed" and "elsewhere.example/miner:1 is none of versionTemplate.images" in message
        assert cluster.find("Deployment", "ranker-v2", "search") is None and weights(cluster) == {"v1": 100}

    run(check, requests)


def test_a_document_that_points_elsewhere_goes_by_itself_again():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(registered("v1", 1), registered("v2", 20))
        await cluster.apply(document())
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v2", "search") is not None)
        await add_replicas(cluster, "v2")
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        both = [
            {"name": name, "workload": {"replicas": 4, "image": f"example.com/own:{name}"}} for name in ("v1", "v9")
        ]
        made = document()
        made["spec"] |= {"versions": both, "traffic": [{"version": "v9", "weight": 100}]}
        await cluster.apply(made)
        await add_replicas(cluster, "v9")
        await passed(cluster, lambda: weights(cluster) == {"v9": 100})

    run(check, requests)
