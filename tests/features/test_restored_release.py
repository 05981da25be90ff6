"""Releases in a cluster that is restored from documents alone: what failed stays blocked, what was stable serves."""

import asyncio
import json
from typing import Any

from istio_templates.facts import Manifest
from tests.features.test_release import BAD, add_replicas, ask, condition, document, passed, serving, status, weights
from tests.support.direct_api import SETTINGS, Cluster, managed
from tests.support.documents import NAMESPACE, gateway, tenant
from tests.support.served_requests import ServedRequests
from tests.support.simulated import simulate


def kept(cluster: Cluster) -> Manifest:
    """Return the model as a backup has it."""
    found = cluster.find("Model", "ranker", "search") or {}
    metadata = {name: found["metadata"][name] for name in ("name", "namespace", "annotations")}
    return {"apiVersion": found["apiVersion"], "kind": "Model", "metadata": metadata, "spec": found["spec"]}


async def restore(empty: Cluster, backup: Manifest) -> None:
    await empty.apply(NAMESPACE, gateway(), tenant())
    await empty.pod("gw", "inference-gw", {"istio": "shared"})
    await asyncio.sleep(3)
    await empty.apply(backup)
    await asyncio.sleep(5)


def annotation(cluster: Cluster) -> Any:
    found = (cluster.find("Model", "ranker", "search") or {})["metadata"].get("annotations") or {}
    text = found.get("tidegate.dev/released")
    return text and json.loads(text)


def test_what_failed_is_blocked_in_a_restored_cluster_and_the_stable_version_serves():
    requests = ServedRequests(behaviour={"v2": BAD})

    async def main() -> None:
        async with serving(requests) as cluster:
            assert annotation(cluster) is None
            await add_replicas(cluster, "v2")
            await cluster.apply(document("v2"))
            await passed(cluster, lambda: bool(status(cluster)["rollout"]["blocked"]))
            await asyncio.sleep(10)
            backup = kept(cluster)
        async with managed(SETTINGS, outcomes=requests) as empty:
            await restore(empty, backup)
            assert weights(empty) == {"v1": 100}
            await add_replicas(empty, "v1")
            await add_replicas(empty, "v2")
            await asyncio.sleep(600)
            assert weights(empty) == {"v1": 100} and condition(empty)[1] == "VersionBlocked"
            await ask(empty, "retry")
            await passed(empty, lambda: weights(empty) == {"v1": 95, "v2": 5})
            assert annotation(empty)["stable"] == "v1" and annotation(empty)["blocked"] == []

    simulate(main())


def test_a_release_that_was_under_way_begins_again_and_leaves_nothing_behind_it():
    requests = ServedRequests()

    async def main() -> None:
        async with serving(requests) as cluster:
            await add_replicas(cluster, "v2")
            await cluster.apply(document("v2"))
            await passed(cluster, lambda: weights(cluster).get("v2") == 25)
            backup = kept(cluster)
            assert annotation(cluster) == {"stable": "v1", "blocked": [], "handled": ""}
            await passed(cluster, lambda: condition(cluster)[1] == "Complete")
            await passed(cluster, lambda: annotation(cluster) is None)
        async with managed(SETTINGS, outcomes=requests) as empty:
            await restore(empty, backup)
            await add_replicas(empty, "v1")
            await add_replicas(empty, "v2")
            counting = asyncio.create_task(requests.run(empty))
            await passed(empty, lambda: weights(empty) == {"v1": 95, "v2": 5})
            await passed(empty, lambda: condition(empty)[1] == "Complete")
            counting.cancel()
            assert weights(empty) == {"v2": 100}

    simulate(main())
