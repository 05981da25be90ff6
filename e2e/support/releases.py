"""Models that are released from one version to another."""

from typing import Any

from e2e.support.site import SYSTEM, Site, kubectl, version
from istio_templates.facts import Manifest
from tests.support.waiting import until

EACH = 20
ROLLOUT: dict[str, Any] = {
    "steps": [{"weight": 25}, {"weight": 50}],
    "hold": "10s",
    "minRequests": 20,
    "checks": [{"name": "errors", "outcome": "5xx", "max": "5%"}],
}


async def make(site: Site, tenant: str, to: str = "v1", rollout: Manifest | None = None, **env: str) -> None:
    """Make a model of two versions whose requests go to one of them; `env` makes the second one what it is."""
    versions = [version(2), version(2, "v2", **env)]
    traffic = [{"version": to, "weight": 100}]
    await site.make_model_document(tenant, versions=versions, traffic=traffic, rollout=rollout or ROLLOUT)


async def weights(site: Site, tenant: str) -> dict[str, int]:
    """Return the weights of the routes."""
    route = await site.get("VirtualService", "ranker", tenant) or {"spec": {"http": []}}
    parts = [part for rule in route["spec"]["http"] for part in rule.get("route", ())]
    return {part["destination"].get("subset", ""): part.get("weight", 100) for part in parts}


async def released(site: Site, tenant: str) -> Manifest:
    """Return the release as the API shows it."""
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/release")
    return found["release"] or {}


async def goes_by(site: Site, tenant: str, **wanted: int) -> None:
    """Wait until the routes have these weights."""
    try:
        await until(lambda: _is(site, tenant, wanted), f"{tenant} going by {wanted}")
    except AssertionError as error:
        error.add_note(f"The release says: {await released(site, tenant)}")
        raise


async def _is(site: Site, tenant: str, wanted: dict[str, int]) -> bool:
    return await weights(site, tenant) == wanted


async def prepared(site: Site, tenant: str, rollout: Manifest | None = None, **env: str) -> None:
    """Make such a model, and wait until its first version serves."""
    await site.make_tenant(tenant)
    await make(site, tenant, rollout=rollout, **env)
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), f"{tenant}/ranker being released")
    await site.until_total(2 * EACH, tenant)


async def ask(site: Site, tenant: str, action: str) -> None:
    """Ask for something as an operator does."""
    await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/release?reason=scenario", {"action": action})


async def kill_leader(site: Site) -> None:
    """End the manager that leads, without a word."""
    lease = await site.get("Lease", "tidegate", SYSTEM)
    assert lease is not None
    pod = lease["spec"]["holderIdentity"].rpartition("-")[0]
    kubectl("-n", SYSTEM, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
