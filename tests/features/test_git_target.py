"""With a Git tree as the target: Git's objects are committed and never written, the manager's are written as ever."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.gitops.address import Address
from k8s_manager.gitops.committing import STATE
from k8s_manager.gitops.hybrid import MARK
from k8s_manager.settings import Git, Settings
from tests.features.conftest import in_slot
from tests.support import documents
from tests.support.fleet import SETTINGS, Fleet
from tests.support.git_server import Server, files, git, git_server
from tests.support.waiting import until

ROUTE = ObjectKey("VirtualService", "search", "ranker")
RULE = ROUTE._replace(kind="DestinationRule")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    (tmp_path / "served").mkdir()
    async with git_server(tmp_path / "served") as found:
        found.make()
        yield found


def settings(server: Server, **git_settings: Any) -> Settings:
    address = Address(server.url(), "main", "eu")
    quick = Git(address, quiet=0.05, longest=0.2, every=1.0, patience=20.0)
    return dataclasses.replace(SETTINGS, git=dataclasses.replace(quick, **git_settings))


class Tree:
    """The branch, and a person or tool that applies it."""

    def __init__(self, server: Server, fleet: Fleet) -> None:
        self.place, self._fleet = server.folder / "tree.git", fleet
        self._applied: set[ObjectKey] = set()

    def files(self, branch: str = "main") -> dict[str, str]:
        """Return the tree as it is on a branch; empty where there is no such branch."""
        if git("rev-parse", "-q", "--verify", branch, at=self.place, check=False).startswith("failed"):
            return {}
        return {path.removeprefix("eu/"): text for path, text in files(self.place, branch).items()}

    def has(self, part: str) -> bool:
        """Tell whether a file with this in its path is on the branch."""
        return any(part in path for path in self.files())

    def objects(self, folder: str = "") -> list[Manifest]:
        """Return what kustomize would make of a folder, in its order."""
        tree, out = self.files(), []

        def walk(below: str) -> None:
            for path in yaml.safe_load(tree[f"{below}kustomization.yaml"])["resources"]:
                if f"{below}{path}/kustomization.yaml" in tree:
                    walk(f"{below}{path}/")
                else:
                    out.append(yaml.safe_load(tree[f"{below}{path}"]))

        walk(f"{folder}/" if folder else "")
        return out

    async def apply(self) -> None:
        """Apply the tree and prune what it has no more, as a tool does."""
        wanted = self.objects()
        for obj in wanted:
            await self._fleet.client.apply(obj, force=True, manager="kustomize-controller")
        keys = {_key(obj) for obj in wanted}
        for key in sorted(self._applied - keys, reverse=True):
            await self._fleet.client.delete(key)
        self._applied = keys

    def log(self, form: str = "%an|%s|%b", branch: str = "main") -> list[str]:
        """Return the commits, the newest first."""
        return git("log", f"--format={form}%x00", branch, at=self.place).replace("\0\n", "\0").strip("\0").split("\0")


def _key(obj: Manifest) -> ObjectKey:
    return ObjectKey(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


async def documented(fleet: Fleet) -> None:
    """Make a gateway, a tenant and a model."""
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
    await fleet.apply(documents.gateway(), documents.tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
    await fleet.apply(documents.model())


async def programmed(fleet: Fleet, kind: str, name: str, namespace: str = "") -> str:
    return (await fleet.condition(kind, name, "Programmed", namespace)).get("reason", "")


async def state(fleet: Fleet) -> dict[str, Any]:
    found = await fleet.get(STATE.kind, STATE.name, STATE.namespace)
    return json.loads(found["data"]["state"]) if found else {}


async def served(fleet: Fleet, tree: Tree) -> None:
    """Bring gateway, tenant and model from documents through the tree into the cluster."""
    await documented(fleet)
    await until(lambda: tree.has("tenants/search/ranker/destinationrule"), what="the commit")
    await tree.apply()
    await until(lambda: fleet.get(*ROUTE[::2], ROUTE.namespace), what="the route")

    async def all_is_there() -> bool:
        return await programmed(fleet, "Model", "ranker", "search") == "Programmed"

    await until(all_is_there, what="the model being programmed")


@pytest.fixture
async def tree(server: Server, fleet: Fleet) -> Tree:
    return Tree(server, fleet)


async def limit_is(fleet: Fleet, total: int) -> bool:
    return total in (await in_slot(fleet)).values()


async def test_what_is_gits_is_committed_and_what_moves_is_the_managers(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await documented(fleet)
        await until(lambda: tree.has("tenants/search/ranker/deployment"), what="the commit")

        async def waits() -> Manifest:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return found if found.get("reason") == "AwaitsGit" else {}

        told = await until(waits, what="the model being told that Git has to bring the rest")
        assert "waits for" in told["message"] and f"apply {server.url()} (main, eu)" in told["message"]
        assert await fleet.get("Deployment", "ranker-v1", "search") is None
        assert await fleet.get(*ROUTE[::2], ROUTE.namespace) is None, "nothing limits its requests yet"
        runtime = {obj["kind"] for obj in tree.objects("runtime")}
        assert runtime == {"EnvoyFilter", "VirtualService", "Namespace"} and len(tree.objects("runtime")) == 22
        assert not {"VirtualService"} & {obj["kind"] for obj in tree.objects()}

        await tree.apply()
        await until(lambda: fleet.get(*ROUTE[::2], ROUTE.namespace), what="the route")
        await fleet.pod("inference-gw", {"istio": "shared"})
        for replicas in (1, 2):
            await fleet.pod("search", documents.labels())
            await until(lambda total=20 * replicas: limit_is(fleet, total), what=f"{replicas} replicas' limit")
        await until(lambda: _in_step(fleet), what="the mark of the tree that is applied")


async def _in_step(fleet: Fleet) -> dict[str, Any]:
    found = await state(fleet)
    same = found.get("applied") and found["applied"]["commit"] == found["committed"]["commit"]
    return found if same and found["outOfStep"]["count"] == 0 else {}


async def test_no_field_has_two_writers(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        await fleet.settled(1.2)

        async def versions() -> dict[str, str]:
            keys = sorted(await fleet.owned())
            objects = [await fleet.get(k.split()[0], k.split("/")[1], k.split()[1].split("/")[0]) for k in keys]
            return {key: obj["metadata"]["resourceVersion"] for key, obj in zip(keys, objects, strict=True) if obj}

        before = await versions()
        for _ in range(3):
            await tree.apply()
        await fleet.settled(1.2)
        assert await versions() == before
        for obj in tree.objects():
            if obj["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by"):
                live = await fleet.get(*_key(obj)[::2], _key(obj).namespace)
                assert {entry["manager"] for entry in live["metadata"]["managedFields"]} <= {
                    "kustomize-controller",
                    "kubectl",
                }
