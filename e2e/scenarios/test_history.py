"""Who changed a document, as a real API server tells it, and the way back."""

import json

from e2e.support.site import Site, bounded, kubectl
from tests.support.waiting import until


async def test_changes_by_api_and_by_kubectl_are_told_apart_and_one_leads_back(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    path = f"/v1/tenants/{tenant}/models/ranker"

    async def history(count: int) -> list[dict]:
        async def there() -> list[dict] | None:
            items = (await site.rest.ok("GET", f"{path}/history"))["items"]
            return items if len(items) == count else None

        return await until(there, f"{count} revisions")

    (first,) = await history(1)
    assert first["by"] == "tidegate:holder"
    patch = json.dumps({"spec": {"rateLimit": {"perReplicaQps": 33}}})
    kubectl("-n", tenant, "patch", "models.tidegate.dev", "ranker", "--type=merge", "-p", patch)
    assert (await history(2))[0]["by"] == "a client named kubectl-patch"
    spec = (await site.rest.ok("GET", path))["spec"]
    del spec["rateLimit"]["debounce"]  # removing something leaves no field of ours behind
    await site.rest.ok("PUT", f"{path}?reason=simpler", {"spec": spec})
    last = (await history(3))[0]
    assert (last["by"], last["reason"]) == ("tidegate:holder", "simpler")
    await site.rest.ok("POST", f"{path}/rollback", {"revision": first["revision"]})
    assert (await history(4))[0]["reason"] == f"back to revision {first['revision']}"
    assert (await site.rest.ok("GET", path))["spec"]["rateLimit"]["perReplicaQps"] == 20

    def recorded() -> bool:
        return "revision 3 by tidegate:holder: simpler" in kubectl("-n", tenant, "get", "events", "-o", "wide")

    await until(recorded, "the event")
    await site.rest.ok("DELETE", f"{path}?reason=not%20used")
    kubectl("-n", tenant, "wait", "--for=delete", "model/ranker", bounded())
    deletion = (await history(5))[0]
    assert (deletion["deletion"], deletion["by"], deletion["reason"]) == (True, "tidegate:holder", "not used")
    await site.rest.ok("POST", f"{path}/rollback", {})
    assert (await site.rest.ok("GET", path))["spec"]["rateLimit"]["perReplicaQps"] == 20
    assert not (await history(1))[0]["deletion"]
    # A document that goes before the leader has looked at it leaves no deletion in its history.
    await until(lambda: site.holds("Model", "ranker", "Ready", tenant), "the model being ready")
    kubectl("-n", tenant, "delete", "model/ranker", bounded())

    async def told() -> bool:
        items = (await site.rest.ok("GET", f"{path}/history"))["items"]
        return items[0]["deletion"] and items[0]["by"] == "an unknown client"

    await until(told, "the deletion by another client")
