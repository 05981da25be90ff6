"""External metrics behind a real API server: it and Kubernetes' own HPA read the decided number, and others do not."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest

from e2e.support.external_metrics import with_external_metrics
from e2e.support.install import settled
from e2e.support.observation import repeated
from e2e.support.site import SYSTEM, Site, kubectl, pause, version
from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service import API_SERVICE, api_service_state
from k8s_manager.doctor.rbac import CERTIFICATE
from k8s_manager.runtime.settings import SERVICE
from tests.support.waiting import until

ROOT = "/apis/external.metrics.k8s.io/v1beta1"
SELECTOR = "tidegate.dev/model=ranker,tidegate.dev/version=v1"
SYNC = 15
"""Seconds between two looks of Kubernetes' HPA."""


def values(tenant: str) -> list[str]:
    """Return what `kubectl get --raw` shows for a model's version."""
    path = f"{ROOT}/namespaces/{tenant}/tidegate_replicas?labelSelector={quote(SELECTOR)}"
    return [item["value"] for item in json.loads(kubectl("get", "--raw", path))["items"]]


async def decide(site: Site, tenant: str, replicas: int) -> None:
    """Have the leader decide on a number without any signal: a schedule asks for so many, of which the HPA is not told
    as its least."""
    schedule = {"cron": "* * * * *", "length": "1h", "min": replicas}
    body = {"min": 1, "max": 14, "writer": "hpa", "schedules": [schedule]}
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/autoscale", body)


@pytest.fixture(scope="module")
def serving(installed: None) -> Iterator[None]:
    """Have the managers serve external metrics."""
    with with_external_metrics():
        yield


@pytest.fixture
async def model(serving: None, site: Site, gateways: list[str], tenant: str) -> AsyncIterator[str]:
    """Make a model whose replicas an HPA writes; yield its tenant."""
    await until(lambda: _is_available(site), "the API server reaching the external metrics")
    scaled = version(1)
    del scaled["workload"]["replicas"]
    scaled["autoscale"] = {"min": 1, "max": 14, "writer": "hpa"}
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=[scaled])
    yield tenant


async def _is_available(site: Site) -> bool:
    state = api_service_state(await site.get("APIService", API_SERVICE.name), SERVICE)
    return state.is_ours and not state.problem


async def replicas(site: Site, tenant: str) -> int:
    return (await site.get("Deployment", "ranker-v1", tenant) or {})["spec"]["replicas"]


async def _has(site: Site, tenant: str, number: int) -> bool:
    return await replicas(site, tenant) == number


async def test_the_hpa_of_kubernetes_follows_the_number_that_was_decided(site: Site, model: str):
    assert kubectl("-n", model, "get", "hpa", "ranker-v1", "-o", "name")
    for number in (2, 4, 5):
        await decide(site, model, number)
        await until(lambda number=number: values(model) == [str(number)], f"kubectl reading {number}")
        await until(lambda number=number: _has(site, model, number), f"the HPA having set {number} replicas")


async def test_the_hpa_does_not_act_on_a_tenth_and_is_served_more_than_that(site: Site, model: str):
    await decide(site, model, 10)
    await until(lambda: _has(site, model, 10), "ten replicas")
    await until(lambda: values(model) == ["10"], "the Deployment counting ten")
    await decide(site, model, 11)
    await until(lambda: _has(site, model, 12), "the HPA beyond its tolerance")


@asynccontextmanager
async def without_metric(site: Site, tenant: str) -> AsyncIterator[list[float]]:
    """Note, until left, the seconds for which the HPA says that it has no metric: one figure for each time."""
    spans: list[float] = []
    since: float | None = None

    async def look() -> None:
        nonlocal since
        found = await site.get("HorizontalPodAutoscaler", "ranker-v1", tenant) or {}
        conditions = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", [])}
        if conditions.get("ScalingActive") != "False":
            since = None
            return
        if since is None:
            since = time.monotonic()
            spans.append(0.0)
        spans[-1] = time.monotonic() - since

    async with repeated(look, pause=0.5):
        yield spans


async def test_the_hpa_goes_on_when_the_leader_is_killed(site: Site, model: str):
    """The manager that is left answers its next look; the number itself changes when that one leads."""
    await decide(site, model, 3)
    await until(lambda: _has(site, model, 3), "three replicas")
    await asyncio.to_thread(settled)
    lease = await site.get("Lease", "tidegate", SYSTEM) or {}
    leader = lease["spec"]["holderIdentity"].rpartition("-")[0]
    async with without_metric(site, model) as spans:
        kubectl("-n", SYSTEM, "delete", "pod", leader, "--grace-period=0", "--force", "--wait=false")
        await pause(2 * SYNC)
        assert values(model) == ["3"]
        await decide(site, model, 4)
        await until(lambda: _has(site, model, 4), "the HPA following the number of the next leader")
    print(f"seconds without the metric, each time: {spans}")
    # A look in the moment in which the leader dies may fail; the next one finds the other manager.
    assert max(spans, default=0) < 1.5 * SYNC, spans
    await asyncio.to_thread(settled)


async def test_without_a_manager_the_hpa_keeps_the_replicas(site: Site, model: str):
    await decide(site, model, 3)
    await until(lambda: _has(site, model, 3), "three replicas")
    kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=0")

    async def says_so() -> bool:
        found = await site.get("HorizontalPodAutoscaler", "ranker-v1", model) or {}
        conditions = {one["type"]: one["reason"] for one in found.get("status", {}).get("conditions", [])}
        return conditions.get("ScalingActive") == "FailedGetExternalMetric"

    try:
        await until(says_so, "the HPA without a metric")
        assert await replicas(site, model) == 3
    finally:
        kubectl("-n", SYSTEM, "scale", "deployment/tidegate", "--replicas=2")
        await asyncio.to_thread(settled)


async def test_who_has_no_right_or_is_not_the_api_server_reads_nothing(site: Site, model: str):
    path = f"{ROOT}/namespaces/{model}/tidegate_replicas"
    assert kubectl("get", "--raw", path)
    assert kubectl("get", "--raw", path, "--as=eve", check=False) == ""
    pods = await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=trusting)
    headers = {"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for pod in pods:
            async with session.get(f"https://{pod['status']['podIP']}:8444{path}") as answer:
                assert answer.status == 401
                assert (await answer.json())["reason"] == "Unauthorized"


async def test_kubectl_finds_the_api_and_its_metric(serving: None, site: Site):
    await until(lambda: _is_available(site), "the API server reaching the external metrics")
    assert "external.metrics.k8s.io/v1beta1" in kubectl("api-versions").split()
    assert [one["name"] for one in json.loads(kubectl("get", "--raw", ROOT))["resources"]] == ["tidegate_replicas"]


async def test_a_certificate_that_was_damaged_is_made_again(site: Site, model: str):
    async def authorities() -> str:
        return (await site.get("APIService", API_SERVICE.name) or {})["spec"]["caBundle"]

    async def is_new() -> bool:
        return await authorities() != before

    def answers() -> bool:
        path = f"{ROOT}/namespaces/{model}/tidegate_replicas"
        return bool(kubectl("get", "--raw", path, check=False))

    before = await authorities()
    await site.kube.merge(ObjectKey("Secret", SYSTEM, CERTIFICATE), {"data": {"ca.crt": "bm9uZQ=="}})
    await until(is_new, "another authority in the APIService")
    await until(lambda: _is_available(site), "the API server reaching the external metrics again")
    await until(answers, "the metric being answered again")
