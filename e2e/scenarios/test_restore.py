"""A tenant that is lost comes back from a file: its host is its own, and its limit stands before its route opens."""

import os
from pathlib import Path

import yaml

from e2e.scenarios.test_istiod import most_within
from e2e.support.load import Load
from e2e.support.site import Site, host_of, path_of
from istio_templates.facts import Manifest
from tests.support.command import run_command
from tests.support.waiting import until

LIMIT, BURST = 40, 2
ANSWERS = {"200", "404", "429", "503"}
"""Before there is a route, while there is one, beyond the limit, and before a replica is ready."""


async def test_documents_alone_bring_a_tenant_back_and_admit_no_more_than_its_limit(
    site: Site, gateways: list[str], tenant: str, tmp_path: Path
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(LIMIT, tenant)
    await command(site, "backup", str(tmp_path))
    accepted = list(yaml.safe_load_all((tmp_path / "accepted.yaml").read_text()))
    before = await identifiers(site, tenant)

    assert (await site.rest.call("DELETE", f"/v1/tenants/{tenant}?cascade=true"))[0] in (200, 202)
    await until(lambda: is_gone(site, tenant), "the tenant and its namespace being gone")
    load = Load(host_of(tenant), path_of("ranker"), rate=60)
    async with load.on(*gateways, once=frozenset({"404"})):
        (tmp_path / "tenant.yaml").write_text(yaml.safe_dump_all(documents_of(accepted, tenant)))
        await command(site, "apply", "-f", str(tmp_path / "tenant.yaml"))
        await until(lambda: site.holds("Model", "ranker", "Ready", tenant), "the model being ready")
        await site.until_enforced(LIMIT, tenant)
        admitted = await load.limited_to(LIMIT, 5, within=0.075)
        assert admitted, admitted
    worst = max(most_within(load.outcome.admitted, 1.0))
    # A second can see both ends of each bucket, and a machine that stands still sends two seconds' requests in one.
    assert worst <= 2 * (LIMIT + BURST * len(gateways)), (worst, load.outcome.counts)
    assert load.outcome.counts.keys() <= ANSWERS, load.outcome.counts
    assert await site.holds("Tenant", tenant, "Accepted")
    after = await identifiers(site, tenant)
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())


async def command(site: Site, *words: str) -> None:
    """Run `tidegate` as an operator does."""
    code, out, error = await run_command(*words, environment={**site.login, "PATH": os.environ["PATH"]})
    assert code == 0, out + error


def documents_of(found: list[Manifest], tenant: str) -> list[Manifest]:
    return [obj for obj in found if tenant in (obj["metadata"]["name"], obj["metadata"].get("namespace"))]


async def identifiers(site: Site, tenant: str) -> dict[str, str]:
    """Return the UIDs of a tenant's documents."""
    kinds = (("Tenant", tenant, ""), ("Model", "ranker", tenant))
    return {kind: (await site.get(kind, name, space) or {})["metadata"]["uid"] for kind, name, space in kinds}


async def is_gone(site: Site, tenant: str) -> bool:
    return not await site.get("Tenant", tenant) and not await site.get("Namespace", tenant)
