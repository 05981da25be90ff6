"""Releases by the word of others: webhooks and Jobs; in simulated time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.text.web_address import host_pattern
from k8s_manager.runtime.settings import Settings
from tests.features.test_release import add_replicas, ask, condition, document, passed, serving, status, weights
from tests.support.direct_api import SETTINGS, Cluster
from tests.support.release_receivers import KEY, Receiver, end_job, jobs_of, with_jobs
from tests.support.served_requests import ServedRequests
from tests.support.simulated import simulate

ERRORS = {"name": "errors", "outcome": "5xx", "max": "5%"}
GATE = {"name": "gate", "webhook": "https://gate.example.com/releases"}
LOAD = {"name": "load", "job": {"image": "example.com/load:1", "args": ["--rate=5"], "timeout": "5m"}}
Check = Callable[[Cluster], Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "key"
    file.write_text(KEY)
    return replace(SETTINGS, webhook_hosts=(host_pattern("gate.example.com"),), webhook_key_file=file)


def run(
    check: Check,
    settings: Settings = SETTINGS,
    receiver: Receiver | None = None,
    requests: ServedRequests | None = None,
) -> None:
    async def main() -> None:
        async with serving(requests or ServedRequests(), settings, webhooks=receiver, prepare=with_jobs) as cluster:
            await add_replicas(cluster, "v2")
            await check(cluster)

    simulate(main())


async def begin(cluster: Cluster, check: dict[str, Any]) -> None:
    """Begin a release that has a check besides the one on errors, and wait for its first step."""
    await cluster.apply(document("v2", checks=[ERRORS, check], steps=[{"weight": 5}, {"weight": 50}]))
    await passed(cluster, lambda: weights(cluster).get("v2") == 5)


async def only_job(cluster: Cluster, but: str = "") -> Manifest:
    await passed(cluster, lambda: any(job["metadata"]["name"] != but for job in jobs_of(cluster)), most=60)
    (job,) = (job for job in jobs_of(cluster) if job["metadata"]["name"] != but)
    return job


def result(cluster: Cluster, name: str) -> dict[str, Any]:
    return next(one for one in status(cluster)["rollout"]["checks"] if one["name"] == name)


CLICKS = {"name": "clicks", "prometheus": "sum(rate(clicks_total[5m]))", "min": 0.03}
LOOK = 5


def test_a_query_out_of_bounds_at_two_looks_in_a_row_brings_requests_back_and_one_that_gives_nothing_holds():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await begin(cluster, CLICKS)
        await asyncio.sleep(200)
        assert weights(cluster) == {"v1": 95, "v2": 5} and "no answer about this step" in condition(cluster)[2]
        requests.figures["clicks"] = 0.05
        await passed(cluster, lambda: weights(cluster).get("v2") == 50, most=60)
        await asyncio.sleep(20)
        requests.figures["clicks"] = 0.01
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2 * LOOK + 3)
        assert condition(cluster)[1] == "VersionBlocked" and "clicks, prometheus: 0.01" in condition(cluster)[2]
        assert result(cluster, "clicks")["value"] == 0.01

    run(check, requests=requests)


def test_a_webhook_that_passes_lets_each_step_go_on_and_is_asked_once_for_each(settings):
    receiver = Receiver({"result": "passed", "message": "clicks are fine"})

    async def check(cluster: Cluster) -> None:
        await begin(cluster, GATE)
        await passed(cluster, lambda: result(cluster, "gate")["verdict"] == "pass", most=30)
        found = result(cluster, "gate")
        assert found["final"] and found["message"] == "webhook: passed: clicks are fine"
        await passed(cluster, lambda: condition(cluster)[:2] == ("True", "Complete"))
        messages = [message for message, _ in receiver.sent]
        assert [(one["step"], one["weight"]) for one in messages] == [(1, 5), (2, 50), (3, 100)]
        assert len({one["id"] for one in messages}) == 3
        expected = {"check": "gate", "tenant": "search", "model": "search/ranker", "stable": "v1", "version": "v2"}
        assert all(one.items() >= expected.items() for one in messages)

    run(check, settings, receiver)


def test_a_webhook_that_fails_brings_requests_back_with_its_message(settings):
    receiver = Receiver({"result": "failed", "message": "clicks fell\nby half"})

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document("v2", checks=[ERRORS, GATE]))
        await passed(cluster, lambda: condition(cluster)[1] == "VersionBlocked", most=60)
        assert weights(cluster) == {"v1": 100} and len(receiver.sent) == 1
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "VersionBlocked")
        assert "gate, webhook: failed: clicks fell by half" in message

    run(check, settings, receiver)


def test_a_webhook_that_is_pending_holds_the_step_and_is_asked_now_and_then(settings):
    receiver = Receiver({"result": "pending", "message": "counting"})

    async def check(cluster: Cluster) -> None:
        await begin(cluster, GATE)
        await asyncio.sleep(1200)
        assert weights(cluster) == {"v1": 95, "v2": 5}
        assert condition(cluster)[1] == "Inconclusive" and "counting" in condition(cluster)[2]
        assert 1200 / 25 < len(receiver.sent) < 1200 / 10
        assert len({message["id"] for message, _ in receiver.sent}) == 1
        receiver.said = {"result": "passed"}
        await passed(cluster, lambda: weights(cluster).get("v2") == 50, most=60)

    run(check, settings, receiver)


@pytest.mark.parametrize(
    "said", [None, b"<html>", {"result": "maybe"}, {"message": "yes"}, [1], {"result": ["passed"]}]
)
def test_a_receiver_that_is_away_or_answers_something_else_holds_the_step(settings, said):
    receiver = Receiver(said)

    async def check(cluster: Cluster) -> None:
        await begin(cluster, GATE)
        await asyncio.sleep(900)
        assert weights(cluster) == {"v1": 95, "v2": 5} and result(cluster, "gate")["verdict"] == "inconclusive"
        assert "gate.example.com" in condition(cluster)[2] and "asked again in" in condition(cluster)[2]
        assert len(receiver.sent) < 900 / 20
        receiver.said = {"result": "passed"}
        await passed(cluster, lambda: weights(cluster).get("v2") == 50, most=120)

    run(check, settings, receiver)


def test_a_receiver_that_hangs_holds_back_no_abort(settings):
    async def check(cluster: Cluster) -> None:
        await begin(cluster, GATE)
        await asyncio.sleep(60)
        await ask(cluster, "abort")
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2)

    run(check, settings, Receiver(delay=10_000))


def test_a_host_that_is_not_allowed_is_never_asked_and_the_condition_says_what_to_do(settings):
    receiver = Receiver()

    async def check(cluster: Cluster) -> None:
        await begin(cluster, {"name": "gate", "webhook": "https://other.example.com/"})
        await asyncio.sleep(300)
        assert weights(cluster) == {"v1": 95, "v2": 5} and not receiver.sent
        assert "other.example.com:443 is not allowed" in condition(cluster)[2]
        assert "--webhook-hosts" in condition(cluster)[2]

    run(check, settings, receiver)


def test_a_new_leader_asks_the_same_again_and_keeps_what_was_decided(settings):
    receiver = Receiver({"result": "pending"})

    async def check(cluster: Cluster) -> None:
        await begin(cluster, GATE)
        await asyncio.sleep(30)
        await cluster.restart()
        await asyncio.sleep(30)
        assert len({message["id"] for message, _ in receiver.sent}) == 1
        receiver.said = {"result": "passed"}
        await passed(cluster, lambda: result(cluster, "gate").get("final") is True, most=60)
        asked, receiver.said = len(receiver.sent), {"result": "failed"}
        await cluster.restart()
        await asyncio.sleep(15)
        assert len(receiver.sent) == asked and result(cluster, "gate")["verdict"] == "pass"

    run(check, settings, receiver)


def test_a_job_that_completes_lets_the_step_go_on_and_goes():
    async def check(cluster: Cluster) -> None:
        await begin(cluster, LOAD)
        job = await only_job(cluster)
        spec, pod = job["spec"], job["spec"]["template"]["spec"]
        assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], pod["restartPolicy"]) == (0, 300, "Never")
        assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
        assert job["metadata"]["ownerReferences"][0]["kind"] == "Model"
        variables = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
        assert variables.items() >= {"TIDEGATE_VERSION": "v2", "TIDEGATE_WEIGHT": "5"}.items()
        assert "tidegate.dev/model" not in spec["template"]["metadata"]["labels"]
        await asyncio.sleep(240)
        assert weights(cluster) == {"v1": 95, "v2": 5} and "has not ended yet" in condition(cluster)[2]
        await end_job(cluster, job, "Complete")
        await passed(cluster, lambda: weights(cluster).get("v2") == 50, most=60)
        second = await only_job(cluster)
        assert second["metadata"]["name"] != job["metadata"]["name"]
        await end_job(cluster, second, "Complete")
        await passed(cluster, lambda: condition(cluster)[:2] == ("True", "Complete"))
        assert not jobs_of(cluster)

    run(check)


@pytest.mark.parametrize(
    ("reason", "last", "said"),
    [
        ("BackoffLimitExceeded", "p99 is 420 ms", "exit code 3: p99 is 420 ms"),
        ("DeadlineExceeded", "", "did not end within its timeout"),
    ],
)
def test_a_job_that_fails_or_times_out_brings_requests_back_and_goes(reason, last, said):
    async def check(cluster: Cluster) -> None:
        await begin(cluster, LOAD)
        await end_job(cluster, await only_job(cluster), "Failed", reason, last)
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=20)
        assert condition(cluster)[1] == "VersionBlocked" and said in condition(cluster)[2]
        await asyncio.sleep(10)
        assert not jobs_of(cluster)

    run(check)


def test_a_job_that_others_delete_is_made_again_and_an_abort_deletes_it():
    async def check(cluster: Cluster) -> None:
        await begin(cluster, LOAD)
        job = await only_job(cluster)
        await cluster.client.delete(ObjectKey("Job", "search", job["metadata"]["name"]))
        again = await only_job(cluster)
        assert again["metadata"]["name"] == job["metadata"]["name"]
        await ask(cluster, "abort")
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=2)
        await asyncio.sleep(10)
        assert not jobs_of(cluster)

    run(check)


def test_a_new_leader_finds_the_job_that_the_last_one_made():
    async def check(cluster: Cluster) -> None:
        await begin(cluster, LOAD)
        job = await only_job(cluster)
        await cluster.restart()
        await asyncio.sleep(30)
        assert (await only_job(cluster))["metadata"]["uid"] == job["metadata"]["uid"]
        assert cluster.writes()["POST", "/apis/batch/v1/namespaces/search/jobs"] == 1
        await end_job(cluster, job, "Complete")
        await passed(cluster, lambda: weights(cluster).get("v2") == 50, most=90)

    run(check)


def test_a_job_that_is_left_by_a_release_that_has_ended_goes_with_the_next_leader():
    async def check(cluster: Cluster) -> None:
        await begin(cluster, LOAD)
        await only_job(cluster)
        await cluster.stop()
        await ask(cluster, "abort")
        await cluster.resume()
        await passed(cluster, lambda: weights(cluster) == {"v1": 100}, most=5)
        await asyncio.sleep(10)
        assert not jobs_of(cluster)

    run(check)


def test_where_there_are_no_jobs_the_condition_says_so():
    async def check(cluster: Cluster) -> None:
        cluster.session.registrar.kinds.pop(("batch/v1", "jobs"))
        await begin(cluster, LOAD)
        await asyncio.sleep(120)
        assert weights(cluster) == {"v1": 95, "v2": 5} and "this cluster has no Jobs" in condition(cluster)[2]

    run(check)
