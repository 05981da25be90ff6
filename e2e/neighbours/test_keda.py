"""Real KEDA beside Tidegate: it asks for the decided number, and scales from and to no replica itself."""

import asyncio
import json
import math
from collections.abc import Iterator
from datetime import datetime

import aiohttp
import pytest

from e2e.support.collectors import with_collectors
from e2e.support.install import settled
from e2e.support.keda import with_keda, with_token_of_its_own, without_grant
from e2e.support.load import ROUTED, Load
from e2e.support.replicas import history, replicas
from e2e.support.site import QUICK, SYSTEM, Site, host_of, kubeconfig, kubectl, path_of, pause, version
from istio_templates.facts import Manifest
from k8s_manager.autoscaling.api_service import API_SERVICE
from k8s_manager.cli.server_commands.doctor import look
from k8s_manager.doctor.checks import findings
from tests.golden.case import rendered
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
EACH, LEAST, MOST = 20, 2, 8
LIMIT = LEAST * EACH
UP, DOWN = (1.5, 3.0), (1.5, 0.5)
"""The steps of the load, as multiples of the limit of two replicas; it begins and ends with the last of them."""
SYNC, LOOK, DEBOUNCE, SLACK = 15, 10, 1, 15
"""Seconds: between two looks of an HPA and two of the manager, of the limit's debounce, and what is added to them."""
AWAY = 60.0
SCALE = "/v1/tenants/{}/models/ranker/versions/v1/autoscale"


@pytest.fixture(scope="module", autouse=True)
def parts(installed: None) -> Iterator[None]:
    """Have collectors, which count demand, and KEDA."""
    with with_collectors(), with_keda():
        yield


def autoscale(least: int, writer: str = "keda", held: int = 0) -> Manifest:
    """Return what decides on the replicas; `held` are those that a schedule asks for at any time."""
    schedules = [{"cron": "* * * * *", "length": "1h", "min": held}] if held else []
    down = {"window": "30s", "step": "50%"}
    return {"min": least, "max": MOST, "scaleDown": down, "schedules": schedules, "writer": writer}


def autoscaled(**wanted: object) -> list[Manifest]:
    """Return the versions of a model with one that is autoscaled."""
    found = version(0)
    del found["workload"]["replicas"]
    return [{**found, "autoscale": autoscale(**wanted)}]  # type: ignore[arg-type]


async def has(site: Site, tenant: str, count: int) -> bool:
    return await replicas(site, tenant) == count


async def scaled_object(site: Site, tenant: str) -> dict[str, Manifest]:
    """Return the conditions that KEDA gives the ScaledObject, by type."""
    found = await site.get("ScaledObject", "ranker-v1", tenant) or {}
    return {one["type"]: one for one in found.get("status", {}).get("conditions", [])}


async def is_taken_by_keda(site: Site, tenant: str) -> bool:
    """Tell whether KEDA takes the ScaledObject as it is, and its HPA reads the number."""
    conditions = await scaled_object(site, tenant)
    hpa = await site.get("HorizontalPodAutoscaler", "keda-hpa-ranker-v1", tenant) or {}
    active = {one["type"]: one["status"] for one in hpa.get("status", {}).get("conditions", [])}
    return conditions.get("Ready", {}).get("status") == "True" == active.get("ScalingActive")


async def scaling(site: Site, tenant: str) -> tuple[str, str, str]:
    """Return status, reason and message of `ScalingActive`."""
    found = await site.condition("Model", "ranker", "ScalingActive", tenant)
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def slowest_start(site: Site, tenant: str) -> float:
    """Return the seconds that the slowest replica took from its creation until it was ready, its warm-up included."""
    return max(
        (_moment(ready["lastTransitionTime"]) - _moment(pod["metadata"]["creationTimestamp"])).total_seconds()
        for pod in await site.all("Pod", tenant, "tidegate.dev/model=ranker")
        for ready in pod["status"].get("conditions", [])
        if ready["type"] == "Ready" and ready["status"] == "True"
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_replicas_follow_demand_and_the_limit_follows_warm_replicas(
    site: Site, gateways: list[str], tenant: str
) -> None:
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=autoscaled(least=LEAST))
    await site.until_total(LIMIT, tenant)
    await until(lambda: is_taken_by_keda(site, tenant), "KEDA following the ScaledObject")
    loads = {level: Load(host_of(tenant), path_of("ranker"), level * LIMIT / len(gateways)) for level in {*UP, *DOWN}}
    async with loads[DOWN[-1]].on(*gateways):
        await loads[DOWN[-1]].measure(35)
    assert await has(site, tenant, LEAST)
    said = []
    async with history(site, tenant) as seen:
        for level in UP:
            async with loads[level].on(*gateways):
                took = await loads[level].until_admitted()
                count = await replicas(site, tenant)
                assert 0.7 * level * LEAST < count <= MOST, seen
                await site.until_total(count * EACH, tenant)
            start = await slowest_start(site, tenant)
            bound = SYNC + start + DEBOUNCE + SLACK
            said.append(
                f"{level} times the limit: refusals for {took:.0f} s, {count} replicas; HPA sync {SYNC}, start and "
                f"warm-up {start:.0f}, debounce {DEBOUNCE} and {SLACK} are {bound:.0f} s; the count of requests is 8 "
                f"to 30 s old, and the manager looks every {LOOK} s"
            )
        refused = {level: load.outcome.counts["429"] for level, load in loads.items()}
        for level in DOWN:
            async with loads[level].on(*gateways):
                await until(lambda level=level: fits(site, tenant, level), "the replicas that are not needed going")
                await loads[level].measure(20)
    print("\n".join([*said, f"replicas {seen}; { ({level: load.outcome.counts for level, load in loads.items()}) }"]))
    assert min(refused[level] for level in UP) > 0
    for level, load in loads.items():
        late = load.outcome.counts["429"] - refused[level]
        # A sender on a busy machine sends some at once that were to come one by one: a bucket refuses the last of them.
        assert not load.outcome.strange and late <= 0.01 * load.outcome.counts["200"], (level, load.outcome.counts)
    top = seen.index(max(seen))
    assert seen[: top + 1] == sorted(seen[: top + 1]), f"it flaps: {seen}"
    assert seen[top:] == sorted(seen[top:], reverse=True) and seen[-1] == LEAST, f"it flaps: {seen}"


async def fits(site: Site, tenant: str, level: float) -> bool:
    """Tell whether there are no more replicas than a load needs at 80 % of what each bears; a change has to be worth
    half of one."""
    count = await replicas(site, tenant)
    most = max(LEAST, math.ceil(level * LIMIT / (0.8 * EACH) + 0.5))
    return count <= most and await site.total(tenant) == count * EACH


async def test_the_first_caller_is_answered_503_and_the_replica_comes(
    site: Site, gateways: list[str], tenant: str
) -> None:
    limit = {"perReplicaQps": EACH, "debounce": QUICK, "fallback": {"cold": "closed"}}
    await site.make_tenant(tenant)
    await site.make_model_document(tenant, versions=autoscaled(least=0), rateLimit=limit)

    async def sleeps() -> bool:
        found = await site.condition("Model", "ranker", "Ready", tenant)
        return found.get("reason") == "ScaledToZero" and await has(site, tenant, 0)

    await until(sleeps, "KEDA having taken the last replica")
    url, headers = f"http://{gateways[0]}:8080{path_of('ranker')}", {"Host": host_of(tenant)}

    async def first_answer() -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status, answer.headers.get("retry-after", "")

    async def is_closed() -> bool:
        return await first_answer() == (503, "30")

    await until(is_closed, "the first caller's answer")
    load = Load(host_of(tenant), path_of("ranker"), rate=1)
    async with history(site, tenant) as seen, load.on(*gateways, once=ROUTED):
        began = asyncio.get_running_loop().time()
        await until(lambda: load.outcome.counts["200"] > 0, "an answer")
        took = asyncio.get_running_loop().time() - began
    print(f"from no replica: the first 200 after {took:.0f} s of calls; replicas {seen}; {load.outcome.counts}")
    assert seen[:2] == [0, 1] and load.outcome.counts.keys() <= {"200", "503", "429"}, (seen, load.outcome.counts)
    await until(sleeps, "KEDA having taken the last replica again")


async def test_without_a_manager_the_replicas_stay(site: Site, gateways: list[str], tenant: str) -> None:
    await make_held(site, tenant, "keda")
    kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=0")
    try:
        kubectl("-n", SYSTEM, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=tidegate", "--timeout=120s")

        async def says_so() -> bool:
            return (await scaled_object(site, tenant)).get("Ready", {}).get("reason") == "TriggerError"

        async with history(site, tenant) as seen:
            await until(says_so, "KEDA without a number")
            await pause(AWAY)
        assert seen == [HELD] and await says_so()
    finally:
        kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=2")
        await asyncio.to_thread(settled)
    await until(lambda: is_taken_by_keda(site, tenant), "KEDA following the number again")
    assert await has(site, tenant, HELD)


HELD = 4


async def make_held(site: Site, tenant: str, writer: str) -> None:
    """Make a model that has four replicas although it has no load, and wait for them."""
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=autoscaled(least=1, writer=writer, held=HELD))
    await until(lambda: has(site, tenant, HELD), f"{HELD} replicas")
    if writer == "keda":
        await until(lambda: is_taken_by_keda(site, tenant), "KEDA following the ScaledObject")


async def test_a_change_of_the_writer_drops_no_replica(site: Site, gateways: list[str], tenant: str) -> None:
    await make_held(site, tenant, "keda")
    async with history(site, tenant) as seen:
        await site.rest.ok("PUT", SCALE.format(tenant), autoscale(1, "tidegate", HELD))

        async def has_no_trace_of_keda() -> bool:
            left = [*await site.all("ScaledObject", tenant), *await site.all("HorizontalPodAutoscaler", tenant)]
            return left == []

        await until(has_no_trace_of_keda, "ScaledObject and HPA having gone")
        await pause(2 * LOOK)
        await site.rest.ok("PUT", SCALE.format(tenant), autoscale(1, "keda", HELD))
        await until(lambda: is_taken_by_keda(site, tenant), "KEDA following the ScaledObject")
        await pause(2 * LOOK)
    assert seen == [HELD]
    assert (await site.condition("Model", "ranker", "AutoscalerAgrees", tenant))["status"] == "True"
    assert (await scaling(site, tenant))[1] != "ForeignAutoscaler"


async def test_an_hpa_beside_keda_is_told_with_the_remedy_and_its_replicas_stay(
    site: Site, gateways: list[str], tenant: str
) -> None:
    await make_held(site, tenant, "tidegate")
    async with history(site, tenant) as seen:
        await site.rest.ok("PUT", SCALE.format(tenant), autoscale(1, "hpa", HELD))

        async def is_told() -> bool:
            status, reason, message = await scaling(site, tenant)
            words = ("keda/keda-metrics-apiserver", "writer: keda or tidegate")
            return (status, reason) == ("False", "MetricsHeldByOther") and all(word in message for word in words)

        await until(is_told, "the condition that names who holds the external metrics")
        await pause(2 * LOOK)
        held = await site.get("APIService", API_SERVICE.name) or {}
        assert held["spec"]["service"]["name"] == "keda-metrics-apiserver"
        await site.rest.ok("PUT", SCALE.format(tenant), autoscale(1, "keda", HELD))
        await until(lambda: is_taken_by_keda(site, tenant), "KEDA following the ScaledObject")

        async def follows() -> bool:
            return (await scaling(site, tenant))[1] == "Following"

        await until(follows, "the condition being gone")
    assert seen == [HELD]


async def test_why_keda_does_not_scale_is_told_and_its_replicas_stay(
    site: Site, gateways: list[str], tenant: str
) -> None:
    """A person pauses it, which the manager leaves as it is; then its account may not read the number."""
    await make_held(site, tenant, "keda")

    async def says(status: str, reason: str, word: str = "") -> bool:
        found = await scaling(site, tenant)
        return found[:2] == (status, reason) and word in found[2]

    async with history(site, tenant) as seen:
        annotate = ("-n", tenant, "annotate", "scaledobject", "ranker-v1")
        kubectl(*annotate, "autoscaling.keda.sh/paused=true")
        await until(lambda: says("False", "NotApplied", "paused"), "the pause being told")
        kubectl(*annotate, "autoscaling.keda.sh/paused-")
        await until(lambda: says("True", "Following"), "the pause having ended")
        with without_grant():
            await until(
                lambda: says("False", "NotApplied", "unable to get external metric"), "the lack of rights being told"
            )
        await until(lambda: says("True", "Following"), "KEDA following with its grant")
    assert seen == [HELD]


async def test_keda_may_ask_kubernetes_for_its_token(site: Site, gateways: list[str], tenant: str) -> None:
    with with_token_of_its_own():
        await make_held(site, tenant, "keda")


def test_keda_knows_every_field_that_is_rendered() -> None:
    (scaled,) = [obj for obj in rendered("keda-writer") if obj["kind"] == "ScaledObject"]
    metadata = {**scaled["metadata"], "namespace": "default"}
    stdin = json.dumps({**scaled, "metadata": metadata})
    assert kubectl("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=stdin)
    odd = json.dumps({**scaled, "metadata": metadata, "spec": {**scaled["spec"], "pollInterval": 1}})
    assert not kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=odd, check=False)


async def test_doctor_says_that_keda_can_be_used(site: Site, gateways: list[str], tenant: str) -> None:
    await make_held(site, tenant, "keda")
    found = {one.what: one.level for one in findings(await look(kubeconfig())) if one.check == "Autoscaling"}
    assert found["autoscale: writer keda can be used"] == "ok"
    (hpa,) = [what for what in found if "writer hpa" in what]
    assert "keda/keda-metrics-apiserver" in hpa and "no model asks for it" in hpa
