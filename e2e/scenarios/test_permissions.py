"""Each verb is taken from the manager once: doctor names it, nothing loops hot, and it goes on when it is back."""

import asyncio
import copy
import json
import time
from typing import Any

import pytest

from e2e.support.site import SYSTEM, Site, host_of, is_ready, kubeconfig, kubectl
from k8s_manager.cli.server_commands.doctor import look
from k8s_manager.doctor.checks import findings
from k8s_manager.doctor.rbac import RIGHTS
from tests.support.waiting import until

VERBS = sorted({verb for right in RIGHTS for verb in right.verbs})
MOST_CALLS = 60.0
"""Calls a second of both managers together; without a fault they make next to none."""


def role() -> Any:
    return json.loads(kubectl("get", "clusterrole", "tidegate", "-o", "json"))


def put(wanted: Any) -> None:
    wanted["metadata"] = {"name": "tidegate", "labels": wanted["metadata"].get("labels", {})}
    kubectl("replace", "-f", "-", stdin=json.dumps(wanted))


async def told(text: str) -> bool:
    return any(text in finding.what for finding in findings(await look(kubeconfig())) if finding.level == "failure")


async def well() -> bool:
    return all(finding.level == "ok" for finding in findings(await look(kubeconfig())))


async def calls(site: Site) -> float:
    """Return how many calls to Kubernetes both managers have made."""
    total = 0.0
    pods = await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")
    for pod in [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]:
        async with site.at(f"http://{pod['status']['podIP']}:8700") as rest:
            _, text = await rest.call("GET", "/metrics")
        total += sum(
            float(line.split()[-1]) for line in text.splitlines() if line.startswith("tidegate_k8s_requests_total")
        )
    return total


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_that_is_missing_is_named_and_its_return_is_enough(
    verb: str, site: Site, gateways: list[str], tenant: str
):
    await until(well, "a cluster that is well")
    before = role()
    without = copy.deepcopy(before)
    without["rules"] = [
        {**rule, "verbs": left} for rule in without["rules"] if (left := [v for v in rule["verbs"] if v != verb])
    ]
    put(without)
    try:
        await until(lambda: told(f"may not {verb} "), f"the missing {verb} being named")
        body = {"gateway": {"name": "shared"}, "hosts": [{"name": host_of(tenant)}]}
        await site.rest.call("PUT", f"/v1/tenants/{tenant}", {"spec": body})
        asked = await calls(site)
        began = time.monotonic()
        await asyncio.sleep(3)
        assert await calls(site) - asked < MOST_CALLS * (time.monotonic() - began)
    finally:
        put(before)
    await until(well, "doctor finding nothing")
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}", {"spec": body})
    await until(lambda: site.holds("Tenant", tenant, "Programmed"), "the tenant being programmed")


async def test_the_managers_own_look_needs_no_other_right_than_it_has(site: Site, gateways: list[str]):
    await until(well, "a cluster that is well")

    async def all_is_looked_at_and_well() -> bool:
        report = await site.rest.ok("GET", "/v1/doctor")
        return {one["level"] for one in report["items"]} == {"ok"}

    await until(all_is_looked_at_and_well, "the manager's own look finding nothing")


async def test_a_right_that_a_write_needs_is_named_in_the_condition(site: Site, gateways: list[str], tenant: str):
    before = role()
    without = copy.deepcopy(before)
    for rule in without["rules"]:
        if "gateways" in rule["resources"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb not in ("create", "patch")]
    put(without)
    try:
        await site.make_tenant(tenant)

        async def named() -> bool:
            condition = await site.condition("Tenant", tenant, "Programmed")
            return condition.get("reason") == "Forbidden" and "gateways" in condition["message"]

        await until(named, "the missing right being told")
    finally:
        put(before)
    await until(lambda: site.holds("Tenant", tenant, "Programmed"), "the tenant being programmed")
