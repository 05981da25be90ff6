"""Git's tree applied by `kubectl apply -k`, the manager beside it: nothing is fought over, limits follow replicas."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.network import NODE
from e2e.support.install import settled
from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, host_of, kubectl, path_of
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from tests.support.git_server import Server, git, git_server
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
MOVING = ("EnvoyFilter", "VirtualService", "Namespace")
KIND = {"Gateway": "gateways.networking.istio.io"}
WRITTEN_BY_OTHERS = ("Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler")
"""Kinds of which Kubernetes itself writes the status, and notes in annotations."""


@pytest.fixture
async def server(site: Site, tmp_path: Path) -> AsyncIterator[Server]:
    """Serve a repository to the manager, and have it commit there; afterwards it writes into the cluster again."""
    async with git_server(tmp_path, host=NODE) as found:
        found.make()
        kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", f"TIDEGATE_GIT_URL={found.url()}")
        settled()
        try:
            yield found
        finally:
            kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", "TIDEGATE_GIT_URL-")
            settled()


class Tree:
    """A clone of the branch, and kubectl as what applies it."""

    def __init__(self, server: Server, site: Site) -> None:
        self.place, self._site = server.folder / "clone", site
        self._applied: set[ObjectKey] = set()
        git("clone", "-q", server.url(), str(self.place), at=server.folder)

    async def applied(self) -> dict[str, Any]:
        """Apply the tree until the cluster has the newest one and nothing is out of step."""

        async def look() -> dict[str, Any]:
            git("fetch", "-q", "origin", at=self.place)
            if "origin/main" in git("branch", "-r", "--format=%(refname:short)", at=self.place):
                git("reset", "-q", "--hard", "origin/main", at=self.place)
                self.apply()
            await asyncio.sleep(1)
            told = await self._site.rest.ok("GET", "/v1/git")
            same = told.get("applied") and told["applied"]["commit"] == told["committed"]["commit"]
            return told if same and told["outOfStep"]["count"] == 0 else {}

        return await until(look, "the cluster being as the tree is")

    def has(self, part: str) -> bool:
        """Tell whether the newest tree has a file with this in its path."""
        git("fetch", "-q", "origin", at=self.place)
        found = git("ls-tree", "-r", "--name-only", "origin/main", at=self.place, check=False)
        return not found.startswith("failed") and part in found

    def apply(self) -> None:
        """Apply the tree as it is, and take away what it has no more, as tools do."""
        kubectl("apply", "-k", str(self.place), check=False)
        keys = {key_of(obj) for obj in self.objects()}
        for key in sorted(self._applied - keys, reverse=True):
            inside = ("-n", key.namespace) if key.namespace else ()
            kubectl(*inside, "delete", KIND.get(key.kind, key.kind), key.name, "--ignore-not-found", "--wait=false")
        self._applied = keys

    def objects(self, folder: str = "") -> list[Manifest]:
        """Return what kustomize makes of a folder."""
        return list(yaml.safe_load_all(kubectl("kustomize", str(self.place / folder))))


async def live(site: Site, keys: list[ObjectKey]) -> dict[ObjectKey, Manifest]:
    found = {key: await site.get(key.kind, key.name, key.namespace) for key in keys}
    return {key: obj for key, obj in found.items() if obj}


def versions(found: dict[ObjectKey, Manifest]) -> dict[ObjectKey, Any]:
    """Return what tells whether somebody has written objects: of those with a status, who has and when."""
    return {
        key: written(obj) if key.kind in WRITTEN_BY_OTHERS else obj["metadata"]["resourceVersion"]
        for key, obj in found.items()
    }


def written(obj: Manifest) -> list[tuple[str, str]]:
    """Return (client, moment) of the last writes, those of statuses and of Kubernetes itself left out."""
    entries = [entry for entry in obj["metadata"]["managedFields"] if not entry.get("subresource")]
    return sorted((e["manager"], e["time"]) for e in entries if e["manager"] != "kube-controller-manager")


def writers(obj: Manifest) -> set[str]:
    return {entry["manager"] for entry in obj["metadata"]["managedFields"] if not entry.get("subresource")}


async def test_a_tree_and_the_manager_share_a_cluster(site: Site, server: Server, tenant: str):
    tree, gateway = Tree(server, site), f"{tenant}-gate"
    making = asyncio.create_task(site.make_gateway(gateway))
    await until(lambda: site.get("Namespace", f"{gateway}-gw"), "the gateway's namespace")
    await until(lambda: site.get("InferenceGateway", gateway), "the gateway's document")
    await until(lambda: tree.has(gateway), "the gateway's commit")
    await tree.applied()
    addresses = await making
    await site.make_tenant(tenant, gateway)
    modelling = asyncio.create_task(site.make_model(tenant, replicas=1))
    await until(lambda: site.get("Model", "ranker", tenant), "the model's document")
    await until(lambda: tree.has(f"{tenant}/ranker/deployment"), "the model's commit")
    told = await tree.applied()
    await modelling
    await site.until_enforced(20, tenant)

    # The load is limited by what is warm, and a tree that is applied again and again changes nothing of that.
    keys = sorted(key_of(obj) for obj in tree.objects())
    ours = sorted(key for key in map(key_of, tree.objects("runtime")) if key.kind in MOVING)
    before = versions(await live(site, keys))
    runtime = versions(await live(site, ours))
    load = Load(host_of(tenant), path_of("ranker"), rate=60)
    async with load.on(*addresses):
        await load.measure(1)
        since, to = await load.measure(5)
        assert load.outcome.is_limited_to(20, since, to)
        for _ in range(3):
            tree.apply()
            await asyncio.sleep(1)
        assert versions(await live(site, keys)) == before
        assert versions(await live(site, ours)) == runtime

        # More replicas, through Git: the limit follows them, by the manager alone.
        await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker/versions/v1/scale", {"replicas": 2})
        later = await until(lambda: _committed_after(site, told["committed"]["commit"]), "the next commit")
        assert later["outOfStep"]["objects"][0]["object"].startswith("Deployment ") or later["applied"]
        await tree.applied()
        await site.until_enforced(40, tenant)
        await load.measure(1)
        since, to = await load.measure(5)
        assert load.outcome.is_limited_to(40, since, to)
    assert not load.outcome.strange

    own = [key for key in keys if tenant in f"{key.namespace} {key.name}"]
    assert len(own) > 10
    for key, obj in (await live(site, own)).items():
        assert writers(obj) <= {"kubectl-client-side-apply"}, key
    for key, obj in (await live(site, [key for key in ours if tenant in key.namespace])).items():
        assert writers(obj) == {"tidegate"}, key

    # What goes, goes through Git as well, and leaves nothing behind.
    await site.rest.ok("DELETE", f"/v1/tenants/{tenant}?cascade=true")
    await until(lambda: _gone(site, tree, "Tenant", tenant), "the tenant's end")
    await site.rest.ok("DELETE", f"/v1/gateways/{gateway}")
    await until(lambda: _gone(site, tree, "InferenceGateway", gateway), "the gateway's end")
    for kind in ("VirtualService", "DestinationRule", "Gateway", "EnvoyFilter", "Deployment", "Service"):
        left = [key_of(obj) for obj in await site.all(kind, "", "app.kubernetes.io/managed-by=tidegate")]
        assert not [key for key in left if tenant in f"{key.namespace} {key.name}"], kind


async def _gone(site: Site, tree: Tree, kind: str, name: str) -> bool:
    """Apply the newest tree; tell whether a document has ended."""
    git("fetch", "-q", "origin", at=tree.place)
    git("reset", "-q", "--hard", "origin/main", at=tree.place)
    tree.apply()
    await asyncio.sleep(0.5)
    return await site.get(kind, name) is None


async def _committed_after(site: Site, commit: str) -> dict[str, Any]:
    told = await site.rest.ok("GET", "/v1/git")
    return told if told["committed"]["commit"] != commit else {}
