"""Models with a rollout: requests come to another version by evidence, and go back by themselves; in simulated time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.release.quiet_hours import ModelLoad
from k8s_manager.release.release_source import ReleaseQuestion, ReleaseReadings
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.release.windows.load_history import LoadHistory
from k8s_manager.runtime.settings import Settings
from tests.features.conftest import is_programmed
from tests.support.direct_api import SETTINGS, Cluster, managed
from tests.support.documents import NAMESPACE, gateway, labels, model, tenant
from tests.support.served_requests import ServedRequests, VersionBehaviour, weights_of
from tests.support.simulated import SimulatedClock, simulate
from tests.support.waiting import until

CLOCK = SimulatedClock()
MODEL = ObjectKey("Model", "search", "ranker")
ROLLOUT = {
    "steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}],
    "hold": "1m",
    "minRequests": 50,
    "checks": [
        {"name": "errors", "outcome": "5xx", "max": "2%"},
        {"name": "slow", "quantile": 0.9, "orTimesStable": 1.3},
    ],
}
QUICKEST = 4 * 60
OTHERS = [
    {"name": "gate", "webhook": "https://gate.example.com/releases"},
    {"name": "load", "job": {"image": "example.com/load:1"}},
]
BAD = VersionBehaviour(errors=0.2)


def document(to: str = "v2", names: tuple[str, ...] = ("v1", "v2"), **rollout: Any) -> dict[str, Any]:
    versions = [{"name": name, "workload": {"replicas": 4, "image": f"example.com/ranker:{name}"}} for name in names]
    return model(versions=versions, traffic=[{"version": to, "weight": 100}], rollout={**ROLLOUT, **rollout})


def weights(cluster: Cluster) -> dict[str, int]:
    return weights_of(cluster.find("VirtualService", "ranker", "search"))


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = (cluster.find("Model", "ranker", "search") or {})["status"]
    return found


def condition(cluster: Cluster) -> tuple[str, str, str]:
    found = next(one for one in status(cluster)["conditions"] if one["type"] == "Released")
    return found["status"], found["reason"], found["message"]


async def ask(cluster: Cluster, text: str) -> None:
    await cluster.client.merge(MODEL, {"metadata": {"annotations": {"tidegate.dev/release": text}}})


async def add_replicas(cluster: Cluster, version: str, count: int = 4) -> None:
    for number in range(count):
        if cluster.find("Pod", f"{version}-{number}", "search") is None:
            await cluster.pod(f"{version}-{number}", "search", labels(version=version))


async def passed(cluster: Cluster, check: Callable[[], bool], most: float = 3600) -> float:
    """Wait in simulated time; return how many seconds it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not check():
        assert loop.time() - start < most, (weights(cluster), status(cluster).get("rollout"))
        await asyncio.sleep(1 + (loop.time() - start) // 20)
    return loop.time() - start


@asynccontextmanager
async def serving(requests: ServedRequests, settings: Settings = SETTINGS, **more: Any):
    """Serve all requests by v1, whose model then may have other versions too; `more` is for `managed`."""
    async with managed(settings, outcomes=requests, **more) as cluster:
        await cluster.apply(NAMESPACE, gateway(), tenant())
        await cluster.pod("gw", "inference-gw", {"istio": "shared"})
        await asyncio.sleep(3)
        await cluster.apply(document("v1"))
        await asyncio.sleep(2)
        await add_replicas(cluster, "v1")
        counting = asyncio.create_task(requests.run(cluster))
        await asyncio.sleep(30)
        assert weights(cluster) == {"v1": 100}
        try:
            yield cluster
        finally:
            counting.cancel()


def run(check: Callable[[Cluster], Any], requests: ServedRequests) -> None:
    async def main() -> None:
        async with serving(requests) as cluster:
            await check(cluster)

    simulate(main())


def steps(requests: ServedRequests, version: str = "v2") -> list[int]:
    """Return the weights that a version had, in their order, each once."""
    found = [seen.get(version, 0) for seen in requests.seen]
    return [weight for weight, before in zip(found, [-1, *found], strict=False) if weight != before]


def test_a_good_version_comes_step_by_step_and_only_when_its_replicas_are_warm():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document("v2"))
        await asyncio.sleep(60)
        assert weights(cluster) == {"v1": 100}
        assert condition(cluster)[:2] == ("False", "Warming")
        await add_replicas(cluster, "v2")
        took = await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        assert took > QUICKEST - 60
        await passed(cluster, lambda: condition(cluster)[:2] == ("True", "Complete"))
        assert steps(requests) == [0, 5, 25, 50, 100]

    run(check, requests)


class LookedAtRequests(ServedRequests):
    """Notes by which weights a model went at each look at its release, from the first one on."""

    def __init__(self, cluster_of: Callable[[], Cluster]) -> None:
        super().__init__()
        self._cluster_of, self.looks = cluster_of, list[tuple[str, dict[str, int]]]()

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        self.looks += [(one.version, weights(self._cluster_of())) for one in asked]
        return await super().read(asked)


@pytest.mark.parametrize("begins", ["by its document", "by a retry", "instead of another"])
def test_a_release_is_looked_at_before_its_first_requests(begins):
    """Counters of gateway pods are compared with those of the look before: what came earlier would not count."""
    found: list[Cluster] = []
    requests = LookedAtRequests(lambda: found[0])

    async def check(cluster: Cluster) -> None:
        found.append(cluster)
        names = ("v1", "v2", "v3")
        wanted, before = ("v3", {"v1": 95, "v2": 5}) if begins == "instead of another" else ("v2", {"v1": 100})
        for name in names[1:]:
            await add_replicas(cluster, name)
        if begins != "by its document":
            await cluster.apply(document("v2", names))
            await passed(cluster, lambda: weights(cluster).get("v2") == 5)
        if begins == "by a retry":
            await ask(cluster, "abort")
            await passed(cluster, lambda: weights(cluster) == {"v1": 100})
        await asyncio.sleep(10)
        requests.looks.clear()
        if begins == "by a retry":
            await ask(cluster, "retry")
        else:
            await cluster.apply(document(wanted, names))
        await passed(cluster, lambda: weights(cluster).get(wanted) == 5)
        await asyncio.sleep(10)
        first = next(live for version, live in requests.looks if version == wanted)
        assert first == before, requests.looks

    run(check, requests)


def test_a_model_that_is_asked_for_more_than_it_serves_is_released_too():
    requests = ServedRequests(rate=300)

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})

    run(check, requests)


def test_a_version_that_errs_goes_back_by_itself_and_is_blocked_until_retry():
    requests = ServedRequests(behaviour={"v2": BAD})

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2", 0) > 0)
        await passed(cluster, lambda: weights(cluster) == {"v1": 100})
        await asyncio.sleep(600)
        assert weights(cluster) == {"v1": 100}
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "VersionBlocked") and "errors" in message and "retry" in message.lower()
        requests.behaviour.clear()
        await ask(cluster, "retry the fault was in the test")
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})

    run(check, requests)


def test_quiet_hours_are_waited_for_and_a_release_that_outlasts_them_goes_back():
    """An hour of the day is quiet; the steps take an hour and a half."""
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        now = CLOCK.utc()
        begins = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
        quiet = {(begins + timedelta(hours=1)).hour}
        weeks = [begins - timedelta(minutes=5 * back) for back in range(28 * 288, 0, -1)]
        rates = [30.0 if at.hour in quiet else 600.0 for at in weeks]
        requests.load = ModelLoad(LoadHistory(weeks[0], rates), 30.0)
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", hold="30m", lowTraffic={"length": "1h"}, onWindowEnd="abort"))
        took = await passed(cluster, lambda: weights(cluster).get("v2", 0) > 0, most=2 * 3600)
        assert 1800 < took < 4000 and "window" in status(cluster)["rollout"]
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2 * 3600)
        assert "The window ended with version v2 at 25 %" in status(cluster)["rollout"]["message"]
        assert steps(requests) == [0, 5, 25, 0]

    run(check, requests)


class FaultyRequests(ServedRequests):
    """Requests of one model whose figures are none, which no decision has foreseen, beside those of another."""

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        found = dict(await super().read(asked))
        none: Any = None
        for place in found.keys() & {ModelPlace("search", "other")}:
            statistics = found[place].statistics
            found[place] = ReleaseReadings(statistics and replace(statistics, new=none, stable=none))
        return found


def other(to: str) -> dict[str, Any]:
    """Return another model of the same kind."""
    return {**model("other"), "spec": {**document(to)["spec"], "routes": model("other")["spec"]["routes"]}}


def test_a_model_of_which_nothing_can_be_decided_stops_no_other(caplog):
    requests = FaultyRequests()

    async def check(cluster: Cluster) -> None:
        for version in ("v1", "v2"):
            for number in range(4):
                await cluster.pod(f"other-{version}-{number}", "search", labels("other", version))
        await cluster.apply(other("v1"))
        await asyncio.sleep(60)
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"), other("v2"))
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        stayed = (cluster.find("Model", "other", "search") or {})["status"]["rollout"]
        assert stayed["weight"] == ROLLOUT["steps"][0]["weight"] and stayed["version"] == "v2"

    run(check, requests)
    assert "nothing is decided of ModelPlace(namespace='search', name='other'); it stays as it is" in caplog.text


def test_a_slow_version_goes_back():
    requests = ServedRequests(behaviour={"v2": VersionBehaviour(latency=0.1)})

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2", 0) > 0)
        await passed(cluster, lambda: weights(cluster) == {"v1": 100})
        assert "slow" in condition(cluster)[2]

    run(check, requests)


def test_without_statistics_nothing_goes_on_and_it_says_why():
    requests = ServedRequests(away=True)

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 5)
        await asyncio.sleep(1200)
        assert weights(cluster) == {"v1": 95, "v2": 5}
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "StatisticsMissing") and "no collector answers" in message
        requests.away = False
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})

    run(check, requests)


def test_what_operators_ask_is_done_at_once():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", steps=[{"weight": 5, "approval": True}, {"weight": 50}]))
        await passed(cluster, lambda: condition(cluster)[1] == "NotApproved")
        await asyncio.sleep(600)
        assert weights(cluster) == {"v1": 95, "v2": 5}
        await ask(cluster, "approve")
        await passed(cluster, lambda: weights(cluster) == {"v1": 50, "v2": 50}, most=10)
        await ask(cluster, "pause for lunch")
        await asyncio.sleep(900)
        assert weights(cluster) == {"v1": 50, "v2": 50} and status(cluster)["rollout"]["phase"] == "Paused"
        await ask(cluster, "abort it looks odd")
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2)
        await ask(cluster, "go back")
        await asyncio.sleep(5)
        assert condition(cluster)[1] == "UnknownVerb" and "begin it with one of" in condition(cluster)[2]

    run(check, requests)


def test_no_step_begins_in_a_freeze_or_outside_a_window_and_an_abort_does():
    requests = ServedRequests()
    freeze = {"name": "launch", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:30:00Z"}

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(tenant(freezes=[freeze]))
        await cluster.apply(document("v2", windows=[{"cron": "0 1 * * *", "length": "20m"}]))
        await asyncio.sleep(600)
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "Window") and "freeze launch is in force" in message, message
        await asyncio.sleep(1800)
        assert "no window of the rollout is open" in condition(cluster)[2] and weights(cluster) == {"v1": 100}
        await passed(cluster, lambda: weights(cluster).get("v2") == 5)
        await cluster.apply(document("v2", windows=[{"cron": "0 3 * * *", "length": "20m"}]))
        await asyncio.sleep(600)
        assert weights(cluster) == {"v1": 95, "v2": 5}
        await ask(cluster, "abort")
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2)

    run(check, requests)


def test_a_freeze_of_a_gateway_holds_for_its_tenants():
    requests = ServedRequests()
    freeze = {"name": "moving", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:30:00Z"}

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        frozen = gateway()
        frozen["spec"]["freezes"] = [freeze]
        await cluster.apply(frozen)
        await cluster.apply(document("v2"))
        await asyncio.sleep(600)
        assert "freeze moving is in force" in condition(cluster)[2] and weights(cluster) == {"v1": 100}
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})

    run(check, requests)


def test_a_document_that_points_back_returns_at_once_and_blocks_nothing():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 25)
        await cluster.apply(document("v1"))
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2)
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})

    run(check, requests)


def test_a_version_that_leaves_the_document_in_the_middle_serves_its_share_to_the_end():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 5)
        await cluster.apply(document("v2", names=("v2",)))
        await passed(cluster, lambda: weights(cluster) == {"v1": 75, "v2": 25})
        assert cluster.find("Deployment", "ranker-v1", "search")
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        await passed(cluster, lambda: cluster.find("Deployment", "ranker-v1", "search") is None)
        assert 0 not in steps(requests)[1:]

    run(check, requests)


def test_replicas_that_are_lost_take_their_share_along():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", hold="10m"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 50)
        for number in range(3):
            await cluster.client.delete(ObjectKey("Pod", "search", f"v2-{number}"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 25, most=10)
        for number in range(4, 7):
            await cluster.pod(f"v2-{number}", "search", labels(version="v2"))
        await passed(cluster, lambda: weights(cluster) == {"v2": 100}, most=7200)

    run(check, requests)


async def test_the_api_shows_a_release_plans_what_is_asked_and_asks_it(fleet):
    requests = ServedRequests(away=True)
    place = "/v1/tenants/search/models/ranker"
    async with fleet.manager(outcomes=requests) as manager, fleet.rest(manager) as calls:
        await fleet.apply(NAMESPACE, gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        status, found = await calls.call("PUT", f"{place}/release", {"action": "abort"})
        assert status == 404
        await fleet.apply(model())
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model")
        status, found = await calls.call("PUT", f"{place}/release", {"action": "abort"})
        assert status == 409 and "give it spec.rollout" in str(found["problems"]), found
        status, found = await calls.call("PUT", f"{place}?dryRun=true", {"spec": document("v2", checks=OTHERS)["spec"]})
        said = next(one for one in found["reasons"] if "requests stay as they are (v1 100 %)" in one)
        assert status == 200 and "each step asks gate.example.com (check gate)" in said, found
        assert "each step makes a Job of example.com/load:1, at most 10m long (check load)" in said, found
        assert not any(change["object"].startswith("VirtualService") for change in found["changes"]), found
        await fleet.apply(document("v2"))
        await until(lambda: _phase(calls, place, "Preparing"), what="the release")
        without = {name: part for name, part in document("v2")["spec"].items() if name != "rollout"}
        status, found = await calls.call("PUT", place, {"spec": without})
        assert status == 409 and "a release to v2 is under way at 0 %" in str(found["problems"]), found
        status, found = await calls.call("PUT", f"{place}/release", {"action": "jump"})
        assert status == 422 and "promote" in str(found["problems"]), found
        status, found = await calls.call("PUT", f"{place}/release?dryRun=true", {"action": "abort"})
        assert status == 200 and found["release"]["phase"] == "Aborted" and await _phase(calls, place, "Preparing")
        status, found = await calls.call("PUT", f"{place}/release?reason=not+today", {"action": "abort"})
        assert status == 200, found
        await until(lambda: _phase(calls, place, "Aborted"), what="the end of the release")
        _, found = await calls.call("GET", f"{place}/release")
        assert "not today" in found["release"]["handled"] and found["release"]["blocked"][0]["version"] == "v2"
        status, found = await calls.call("PATCH", place, {"spec": {"rollout": None}})
        assert status == 409 and "version v2 is blocked: Aborted by" in str(found["problems"]), found
        back = {**without, "traffic": [{"version": "v1", "weight": 100}]}
        assert (await calls.call("PUT", place, {"spec": back}))[0] == 200


async def _phase(calls, place, phase) -> bool:
    _, found = await calls.call("GET", f"{place}/release")
    return (found["release"] or {}).get("phase") == phase


def test_a_first_version_is_served_at_once():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(model("other", rollout=ROLLOUT))
        await asyncio.sleep(5)
        assert weights_of(cluster.find("VirtualService", "other", "search")) == {"v1": 100}

    run(check, requests)


def test_an_abort_does_not_wait_for_collectors_that_do_not_answer():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: weights(cluster).get("v2") == 25)
        requests.delay = 3600.0
        await asyncio.sleep(300)
        assert weights(cluster) == {"v1": 75, "v2": 25} and "no answer within" in condition(cluster)[2]
        await ask(cluster, "abort")
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=8)

    run(check, requests)


def test_a_block_outlives_a_document_without_a_rollout():
    requests = ServedRequests(behaviour={"v2": BAD})

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: bool(status(cluster)["rollout"]["blocked"]))
        await asyncio.sleep(5)
        without = document("v1")
        del without["spec"]["rollout"]
        await cluster.apply(without)
        await passed(cluster, lambda: "rollout" not in status(cluster))
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: "rollout" in status(cluster) and condition(cluster)[1] == "VersionBlocked")
        assert weights(cluster) == {"v1": 100}

    run(check, requests)


def test_a_rollout_that_is_taken_out_past_the_api_is_told():
    requests = ServedRequests(behaviour={"v2": BAD})

    async def check(cluster: Cluster) -> None:
        assert cluster.manager is not None
        events = cluster.manager.backend.events
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2"))
        await passed(cluster, lambda: bool(status(cluster)["rollout"]["blocked"]))
        await asyncio.sleep(5)
        without = document("v2")
        del without["spec"]["rollout"]
        await cluster.apply(without)
        await passed(cluster, lambda: weights(cluster) == {"v2": 100}, most=10)
        said = [event.message for event in events.recent("search/ranker") if event.type == "release"]
        assert "without a rollout requests go to v2 100 % at once" in said[-1], said

    run(check, requests)
