"""How soon a bad version is back at no requests, by what gateway pods count; in simulated time."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pytest

from collectors.cluster_counters import ClusterCounts
from collectors.replicas import PodState
from istio_templates import names
from k8s_manager.release.gateway_counts import GatewayCounts
from k8s_manager.release.release_source import ReleaseQuestion, ReleaseReadings
from k8s_manager.release.release_target import ModelPlace
from tests.features.test_release import CLOCK, add_replicas, condition, document, passed, run, weights
from tests.support.direct_api import Cluster
from tests.support.served_requests import ServedRequests

LOOK, MORE = 5, 2
"""The check interval, and what a return may take besides, in seconds."""
V1, V2 = (names.cluster("search", "ranker", 8080, version) for version in ("v1", "v2"))


class CountedRequests(ServedRequests):
    """Requests that one gateway pod counts; half of those of v2 fail, or are slow. Of the looks from the first one with
    requests for v2 on, the pod does not answer those in `lost`; it learns of v2 `late` seconds after its route."""

    def __init__(self, is_slow: bool, lost: Collection[int] = (), late: int = 0) -> None:
        super().__init__(rate=30.0)
        self._counts = GatewayCounts(lambda _: [PodState("gw", frozenset(), True, False, "10.0.0.1")], 15090, CLOCK)
        self._is_slow, self._lost, self._late, self._looks = is_slow, lost, late, 0

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        counted = await self._counts.read_by(self._pod, [one.counted for one in asked if one.counted])
        return {
            place: ReleaseReadings(flaw=found) if isinstance(found, str) else ReleaseReadings(counts=found)
            for place, found in counted.items()
        }

    async def _pod(self, address: str, clusters: Collection[str]) -> Mapping[str, ClusterCounts] | None:
        with_v2 = [seen["v2"] for seen in self.seen if "v2" in seen][self._late :]
        self._looks += bool(with_v2)
        if self._looks - 1 in self._lost:
            return None
        bad = round(self.rate * sum(with_v2) / 100)
        all_of = round(self.rate * len(self.seen))
        slow = {100.0: bad - bad // 2, 1000.0: bad - bad // 2, 5000.0: bad, float("inf"): bad}
        fast = {100.0: all_of - bad, float("inf"): all_of - bad}
        found = ClusterCounts(bad, 0, 0, slow) if self._is_slow else ClusterCounts(bad, 0, bad // 2, {})
        return {V1: ClusterCounts(all_of - bad, 0, 0, fast), **({V2: found} if with_v2 else {})}


@pytest.mark.parametrize("is_slow", [False, True], ids=["fails", "slow"])
@pytest.mark.parametrize(
    ("lost", "late"),
    [((), 0), ((0,), 0), ((1,), 0), ((), 3)],
    ids=["every look", "without the first look", "without the second look", "its route late at the gateway pod"],
)
def test_a_bad_version_is_back_at_nothing_within_one_look_and_two_seconds(is_slow, lost, late):
    requests = CountedRequests(is_slow, lost, late)

    async def check(cluster: Cluster) -> None:
        checks = [{"name": "errors", "outcome": "5xx", "max": "5%"}, {"name": "slow", "quantile": 0.9, "max": "700ms"}]
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", steps=[{"weight": 25}, {"weight": 50}], checks=checks))
        await passed(cluster, lambda: weights(cluster).get("v2") == 25)
        took = await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=60)
        assert took <= LOOK + MORE + 1, "by a watch that looks every second"
        assert ("slow" if is_slow else "errors") in condition(cluster)[2]
        await asyncio.sleep(60)
        assert weights(cluster) == {"v1": 100}

    run(check, requests)
