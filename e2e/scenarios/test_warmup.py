"""A replica takes no request before it has proved that it is warm: on start, after a restart in place, over rollouts."""

import asyncio
import json

from e2e.scenarios.test_leader import leader
from e2e.support.load import Load
from e2e.support.observation import stopped
from e2e.support.site import SYSTEM, Site, host_of, is_ready, kubectl, path_of, version
from e2e.support.warming import (
    COLD,
    PLAN,
    SLOW,
    Watch,
    asked,
    crash,
    gate_of,
    managers_are_ready,
    put,
    serves,
    spec,
    until_warming,
)
from istio_templates.facts import Manifest
from istio_templates.workloads.warm_gate import GATE, verdict_of
from tests.support.waiting import until

LOST_AFTER_A_CRASH = 3
"""A request may be on its way to a container that dies; what it was answering goes with it, however much that was."""


async def test_replicas_open_after_their_plan_and_a_killed_container_only_after_a_new_one(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    retried = spec(tenant, 2)
    retried["routes"][0].pop("retries")
    await put(site, tenant, retried)
    pods = await serves(site, tenant, 2)
    for pod in pods:
        verdict = verdict_of(pod)
        assert verdict is not None and verdict.result == "Verified" and verdict.requests >= 25
        counts = await asked(pod, "/counts")
        assert (counts["real"], counts["cold"]) == (0, 0) and counts["warmup"] == verdict.requests
    watch = Watch(site, tenant)
    watching = asyncio.create_task(watch.run())
    load = Load(host_of(tenant), path_of("ranker"), rate=40, method="POST")
    async with load.on(*gateways):
        await load.measure(2)
        before = await asked(pods[0], "/counts")
        assert not load.outcome.strange, load.outcome.counts
        dead = await crash(pods[0])
        await until(lambda: is_warm_again(site, tenant, pods[0]), "the new container being found warm")
        await serves(site, tenant, 2)

        async def serves_again() -> bool:
            return bool((await asked(pods[0], "/counts"))["real"])

        # The gateway pods may have ejected it for its refused connections: for 30 s.
        await until(serves_again, "requests coming to the new container")
    await stopped(watching)
    after = await asked(pods[0], "/counts")
    assert after["started"] != before["started"]
    assert after["realWhileCold"] == 0
    assert watch.wrong == []
    assert len(load.outcome.failed_after(dead)) <= LOST_AFTER_A_CRASH, (dead, load.outcome.failed)


async def is_warm_again(site: Site, tenant: str, before: Manifest) -> bool:
    """Tell whether the container of a pod has been started once more and found warm."""
    pod = await site.get("Pod", before["metadata"]["name"], tenant)
    verdict = verdict_of(pod or {"metadata": {}})
    running = (pod or {})["status"]["containerStatuses"][0]
    return bool(verdict and running["restartCount"] == 1 and verdict.container == running["containerID"])


async def test_rollout_scale_in_version_switch_and_rollback_lose_nothing_with_retries_off(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await put(site, tenant, spec(tenant, 2))
    first = {pod["metadata"]["name"] for pod in await serves(site, tenant, 2)}
    load = Load(host_of(tenant), path_of("ranker"), rate=40, method="POST")
    watch = Watch(site, tenant)
    watching = asyncio.create_task(watch.run())
    await site.until_total(2000, tenant)
    phases: dict[str, dict[str, int]] = {}

    def ended(phase: str) -> None:
        phases[phase] = dict(load.outcome.counts)
        load.outcome.counts.clear()

    async with load.on(*gateways):
        await load.measure(2)  # the limit is on its way to the gateway pods
        load.outcome.counts.clear()
        rolled = [version(2, **COLD, CHANGED="yes")]
        await put(site, tenant, spec(tenant, 2, versions=rolled))
        await until(lambda: are_gone(site, tenant, first), "the replicas of before being gone")
        await serves(site, tenant, 2)
        ended("rolling update")
        await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale", {"replicas": 1})
        await serves(site, tenant, 1)
        ended("scale-in")
        both = [version(1, **COLD, CHANGED="yes"), version(1, name="v2", **COLD)]
        await put(site, tenant, spec(tenant, 1, versions=both))
        await serves(site, tenant, 2)
        ended("second version")
        for name in ("v2", "v1"):
            await put(site, tenant, spec(tenant, 1, versions=both, traffic=[{"version": name, "weight": 100}]))
            await load.measure(3)
            ended(f"switch to {name}")
    await stopped(watching)
    assert {phase: counts for phase, counts in phases.items() if counts.keys() != {"200"}} == {}
    assert sum(counts["200"] for counts in phases.values()) > 1000
    assert watch.wrong == []
    for pod in await serves(site, tenant, 2):
        assert (await asked(pod, "/counts"))["realWhileCold"] == 0


async def are_gone(site: Site, tenant: str, names: set[str]) -> bool:
    return names.isdisjoint(pod["metadata"]["name"] for pod in await site.all("Pod", tenant))


async def test_a_version_that_is_renamed_serves_until_its_successor_is_warm(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await put(site, tenant, spec(tenant, 2, drain="5s"))
    await serves(site, tenant, 2)
    await site.until_total(2000, tenant)
    watch = Watch(site, tenant)
    watching = asyncio.create_task(watch.run())
    load = Load(host_of(tenant), path_of("ranker"), rate=40, method="POST")
    async with load.on(*gateways):
        await load.measure(2)
        load.outcome.counts.clear()
        renamed = {"versions": [version(2, name="v2", **COLD)], "traffic": [{"version": "v2", "weight": 100}]}
        await put(site, tenant, spec(tenant, 2, drain="5s", **renamed))

        async def old_ones_are_gone() -> bool:
            return not await site.all("Pod", tenant, "tidegate.dev/version=v1")

        await until(old_ones_are_gone, "the replicas of v1 being gone")
        pods = await serves(site, tenant, 2)
        await load.measure(2)
    await stopped(watching)
    assert load.outcome.counts.keys() == {"200"}
    assert watch.wrong == []
    for pod in pods:
        counts = await asked(pod, "/counts")
        assert counts["real"] > 0 and counts["realWhileCold"] == 0


async def test_a_manager_killed_while_it_warms_opens_no_cold_pod_and_everything_ends_warm(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await put(site, tenant, spec(tenant, 1))
    (warm,) = await serves(site, tenant, 1)
    watch = Watch(site, tenant)
    watching = asyncio.create_task(watch.run())
    await put(site, tenant, spec(tenant, 1, versions=[version(1, **COLD), version(1, name="v2", **SLOW)]))

    await until_warming(site, tenant, "v2")
    kubectl("-n", SYSTEM, "delete", "pods", "-l", "app.kubernetes.io/name=tidegate", "--force", "--grace-period=0")
    found = await site.get("Pod", warm["metadata"]["name"], tenant)
    assert found and gate_of(found) == "True"
    pods = await serves(site, tenant, 2)
    await stopped(watching)
    assert watch.wrong == []
    for pod in pods:
        assert (await asked(pod, "/counts"))["realWhileCold"] == 0
    await until(lambda: site.holds("Model", "ranker", "Warm", tenant), "the condition Warm")


async def test_a_container_that_restarts_while_the_leader_is_away_is_closed_by_the_other_manager(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await put(site, tenant, spec(tenant, 2, warmup={"plan": PLAN}))
    pods = await serves(site, tenant, 2)
    await until(lambda: managers_are_ready(site), "two ready managers")
    watch = Watch(site, tenant)
    watching = asyncio.create_task(watch.run())
    gone = (await leader(site)).rpartition("-")[0]
    kubectl("-n", SYSTEM, "delete", "pod", gone, "--force", "--grace-period=0")
    await crash(pods[0])
    await until(lambda: is_warm_again(site, tenant, pods[0]), "the new container being found warm by the next leader")
    await serves(site, tenant, 2)
    await stopped(watching)
    assert watch.wrong == []
    assert pods[0]["metadata"]["name"] in watch.closed
    assert (await asked(pods[0], "/counts"))["realWhileCold"] == 0


KILL_THE_AGENT = """
import os, signal
children = [int(p) for p in os.listdir("/proc") if p.isdigit() and open(f"/proc/{p}/stat").read().split()[3] == "1"]
[os.kill(child, signal.SIGKILL) for child in children]
print("killed", len(children))
"""


async def test_an_agent_warms_its_server_and_every_new_one_and_may_itself_be_killed(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    retried = spec(tenant, 2, warmup={"mode": "agent", "plan": PLAN})
    retried["routes"][0].pop("retries")
    await put(site, tenant, retried)
    pods = await serves(site, tenant, 2)
    for pod in pods:
        counts = await asked(pod, "/counts")
        assert counts["warmup"] >= 25 and (counts["real"], counts["cold"]) == (0, 0)
    await site.until_total(2000, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=40, method="POST")
    async with load.on(*gateways):
        await load.measure(2)
        load.outcome.counts.clear()
        name = pods[0]["metadata"]["name"]
        inside = ("-n", tenant, "exec", name, "-c", "tidegate-warmup", "--", "/usr/bin/python3", "-c")
        assert "killed 1" in kubectl(*inside, KILL_THE_AGENT)
        for _ in range(40):
            assert is_ready(await site.get("Pod", name, tenant) or {})
            await asyncio.sleep(0.2)
        agent = (await site.get("Pod", name, tenant) or {})["status"]["initContainerStatuses"][0]
        assert (agent["restartCount"], (await asked(pods[0], "/status", 8701))["ready"]) == (0, True)
        kubectl(*inside, "import os, signal; os.kill(1, signal.SIGTERM)")

        async def agent_again() -> bool:
            pod = await site.get("Pod", name, tenant) or {}
            (agent,) = pod["status"]["initContainerStatuses"]
            return agent["restartCount"] == 1 and is_ready(pod)

        # Kubernetes counts a sidecar for a pod's readiness: it is out while the agent starts, and not warmed anew.
        warmed = (await asked(pods[0], "/counts"))["warmup"]
        await until(agent_again, "the agent being started again, and its pod ready")
        await load.measure(10)
        assert is_ready(await site.get("Pod", name, tenant) or {})
        assert (await asked(pods[0], "/counts"))["warmup"] == warmed
        assert load.outcome.counts.keys() == {"200"}
        before = await asked(pods[1], "/counts")
        dead = await crash(pods[1])

        async def server_again() -> bool:
            pod = await site.get("Pod", pods[1]["metadata"]["name"], tenant) or {}
            (server,) = pod["status"]["containerStatuses"]
            return server["restartCount"] == 1 and is_ready(pod)

        await until(server_again, "the new server being ready")

        async def serves_again() -> bool:
            return bool((await asked(pods[1], "/counts"))["real"])

        # The gateway pods may have ejected it for its refused connections: for 30 s.
        await until(serves_again, "requests coming to the new server")
    after = await asked(pods[1], "/counts")
    assert after["started"] != before["started"]
    assert after["warmup"] >= 25 and after["realWhileCold"] == 0
    assert (await asked(pods[0], "/counts"))["realWhileCold"] == 0
    assert len(load.outcome.failed_after(dead)) <= LOST_AFTER_A_CRASH, (dead, load.outcome.failed)


async def test_the_manager_may_turn_its_own_gate_and_touch_nothing_else_of_a_pod(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await put(site, tenant, spec(tenant, 1))
    (pod,) = await serves(site, tenant, 1)
    name = pod["metadata"]["name"]
    # kubectl reads before it patches, which the manager does not and may not.
    kubectl("-n", tenant, "create", "role", "reader", "--verb=get", "--resource=pods/status")
    account = f"--serviceaccount={SYSTEM}:tidegate"
    kubectl("-n", tenant, "create", "rolebinding", "reader", "--role=reader", account)

    def attempt(patch: Manifest, pod_name: str = name) -> str:
        words = ["-n", tenant, "patch", "pod", pod_name, "--subresource=status", "--type=strategic"]
        as_manager = f"--as=system:serviceaccount:{SYSTEM}:tidegate"
        try:
            return kubectl(*words, as_manager, "-p", json.dumps(patch))
        except AssertionError as refused:
            return str(refused)

    ours = {"type": GATE, "status": "True", "reason": "Verified", "message": "again"}
    assert "patched" in attempt({"status": {"conditions": [ours]}})
    assert "only tidegate.dev/warm may change" in attempt(
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    )
    assert "labels, finalizers" in attempt({"metadata": {"labels": {"app": "other"}}})
    assert "only tidegate.dev/verdict may change" in attempt({"metadata": {"annotations": {"else": "x"}}})
    assert "the rest of the status" in attempt({"status": {"phase": "Failed"}})
    kubectl("-n", tenant, "run", "other", "--image", version(1)["workload"]["image"], "--restart=Never")
    assert "does not wait for the readiness gate" in attempt({"status": {"conditions": [ours]}}, "other")


async def test_a_gateway_that_counts_by_endpoint_tells_when_each_replica_got_its_first_request(
    site: Site, gateways: list[str], tenant: str
):
    await site.rest.ok("PATCH", "/v1/gateways/shared", {"spec": {"endpointStats": True}})
    try:
        await site.make_tenant(tenant)
        await put(site, tenant, spec(tenant, 2))
        await serves(site, tenant, 2)
        await site.until_total(2000, tenant)
        path = f"/v1/tenants/{tenant}/models/ranker/explain?about=ready"

        async def moments() -> list[str | None]:
            return [row.get("firstRequest") for row in (await site.rest.ok("GET", path))["replicas"]]

        await asyncio.sleep(6)  # the gateway pods are read every 5 s
        assert await moments() == [None, None]
        load = Load(host_of(tenant), path_of("ranker"), rate=20, method="POST")
        async with load.on(*gateways):

            async def known() -> bool:
                return all(await moments())

            await until(known, "the first request of each replica being told")
    finally:
        await site.rest.ok("PATCH", "/v1/gateways/shared", {"spec": {"endpointStats": False}})
