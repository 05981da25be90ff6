"""Releases by the word of Jobs, on real gateways: one that passes promotes, one that fails brings requests back."""

import asyncio
from typing import Any

import pytest

from e2e.scenarios.test_release import ROLLOUT, goes_by, prepared, released
from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.site import MODEL_IMAGE, Site, host_of, kubectl, path_of, version
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE = 30.0
WARM = "import time; time.sleep(3)"
ASKS = """
import json, os, urllib.request
address = f"http://{os.environ['TIDEGATE_MODEL']}:8080/v2/models/ranker"
found = [json.load(urllib.request.urlopen(address, timeout=5))["version"] for _ in range(5)]
print("answers of", sorted(set(found)))
"""
FAILS = "print('p99 is 420 ms'); raise SystemExit(3)"


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, which count what versions answer."""
    with with_collectors():
        yield


async def release(site: Site, tenant: str, program: str) -> None:
    """Begin a release with a Job that runs a program."""
    job = {"image": MODEL_IMAGE, "command": ["python", "-c", program], "timeout": "2m"}
    job["resources"] = {"requests": {"cpu": "5m", "memory": "16Mi"}}
    rollout: dict[str, Any] = {**ROLLOUT, "checks": [*ROLLOUT["checks"], {"name": "load", "job": job}]}
    traffic = [{"version": "v2", "weight": 100}]
    await site.make_model_document(tenant, versions=[version(2), version(2, "v2")], traffic=traffic, rollout=rollout)


def jobs(tenant: str) -> list[str]:
    return kubectl("-n", tenant, "get", "jobs", "-o", "name").split()


async def test_a_job_promotes_or_brings_back(site: Site, gateways: list[str], tenant: str):
    """Side by side, in a tenant each."""
    await asyncio.gather(job_passes(site, gateways, f"{tenant}-passes"), job_fails(site, gateways, f"{tenant}-fails"))


async def job_passes(site: Site, gateways: list[str], tenant: str) -> None:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await release(site, tenant, WARM + ASKS)
        await goes_by(site, tenant, v1=75, v2=25)
        await goes_by(site, tenant, v1=50, v2=50)
        await goes_by(site, tenant, v2=100)
    assert not load.outcome.strange, load.outcome.counts
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), "the end of the release")
    await until(lambda: _none(tenant), "no Job being left")


async def job_fails(site: Site, gateways: list[str], tenant: str) -> None:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await release(site, tenant, WARM + "; " + FAILS)
        await goes_by(site, tenant, v1=75, v2=25)
        await goes_by(site, tenant, v1=100)
    assert not load.outcome.strange, load.outcome.counts
    found: Manifest = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and "p99 is 420 ms" in found["blocked"][0]["reason"], found
    await until(lambda: _none(tenant), "no Job being left")


async def _none(tenant: str) -> bool:
    return not jobs(tenant)
