"""With a Git tree as the target: Git's objects are committed and never written, the manager's are written as ever."""

import asyncio
import dataclasses
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.virtual_service import weights_of
from k8s_manager.gitops.layout import HEADER
from k8s_manager.gitops.tree import MARK
from k8s_manager.gitops.tree_loop import STATE
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.metrics import GIT_COMMITS
from k8s_manager.runtime.settings import Git, Settings
from tests.features.conftest import in_slot
from tests.features.test_cli import tidegate
from tests.support import documents
from tests.support.bounds import hung
from tests.support.fleet import SETTINGS, Fleet, Rest, running_fleet
from tests.support.git_server import Server, files, git, git_server
from tests.support.steady_outcomes import SteadyOutcomes
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
    quick = Git(address, quiet=0.05, longest=0.2, every=1.0, patience=hung())
    return dataclasses.replace(SETTINGS, git=dataclasses.replace(quick, **git_settings))


class Tree:
    """The branch, and a person or tool that applies it."""

    def __init__(self, server: Server, fleet: Fleet) -> None:
        self.place, self._fleet = server.folder / "tree.git", fleet
        self._applied: set[ObjectKey] = set()

    def files(self, branch: str = "main") -> dict[str, str]:
        """Return the tree as it is on a branch; empty where there is no such branch."""
        commit = git("rev-parse", "-q", "--verify", branch, at=self.place, check=False)
        if commit.startswith("failed"):
            return {}
        return {path.removeprefix("eu/"): text for path, text in files(self.place, commit).items()}

    def has(self, part: str) -> bool:
        """Tell whether a file with this in its path is on the branch."""
        paths = git("ls-tree", "-r", "--name-only", "main", at=self.place, check=False)
        return not paths.startswith("failed") and part in paths

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
    await until(lambda: tree.has("runtime/tenants/search/ranker/virtualservice"), what="its route being recorded")


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

        told = await until(waits, what="the model being told that it waits for Git")
        assert (
            "is not in the cluster" in told["message"]
            and f"apply (and prune) {server.url()} (main, eu)" in told["message"]
        )
        assert await fleet.get("Deployment", "ranker-v1", "search") is None
        assert await fleet.get(*ROUTE[::2], ROUTE.namespace) is None, "nothing limits its requests yet"
        runtime = {obj["kind"] for obj in tree.objects("runtime")}
        assert runtime == {"EnvoyFilter", "Namespace"}, "a route that is not open yet is nobody's to open"
        assert not {"VirtualService"} & {obj["kind"] for obj in tree.objects()}

        await tree.apply()
        await until(lambda: fleet.get(*ROUTE[::2], ROUTE.namespace), what="the route")
        await until(lambda: tree.has("runtime/tenants/search/ranker/virtualservice"), what="it being recorded")
        await fleet.pod("inference-gw", {"istio": "shared"})
        for replicas in (1, 2):
            await fleet.pod("search", documents.labels())
            await until(lambda total=20 * replicas: limit_is(fleet, total), what=f"{replicas} replicas' limit")
        await until(lambda: _in_step(fleet), what="the mark of the tree that is applied")


async def _in_step(fleet: Fleet) -> dict[str, Any]:
    found = await state(fleet)
    same = found.get("applied") and found["applied"]["commit"] == found["committed"]["commit"]
    return found if same and found["outOfStep"]["count"] == 0 else {}


async def _is_told(fleet: Fleet, tree: Tree) -> dict[str, Any]:
    """Return the state once it names the newest commit, which is told a moment after the push, as applied."""
    found = await _in_step(fleet)
    return found if found and found["committed"]["commit"] == git("rev-parse", "main", at=tree.place) else {}


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


async def test_a_commit_says_who_wanted_what_and_why(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)) as manager, fleet.rest(manager) as rest:
        await served(fleet, tree)
        changed = documents.model(routes=[{**documents.model()["spec"]["routes"][0], "timeout": "7s"}])
        changed["spec"]["versions"][0]["workload"]["replicas"] = 3
        reason = "reason=more%20users%0AModel%20x%3A%20by%20root&ticket=OPS-7"
        status, _ = await rest.call("PUT", f"/v1/tenants/search/models/ranker?{reason}", changed)
        assert status == 200
        newest = await until(lambda: next((said for said in tree.log() if "OPS-7" in said), ""), what="the commit")
        newest = newest.strip()
        status, _ = await rest.call("DELETE", "/v1/tenants/search/models/ranker?reason=retired&ticket=OPS-8")
        assert status == 202
        await until(lambda: not tree.has("ranker"), what="its files being gone")
        ends = [said.strip() for said in tree.log() if "deleted by" in said]  # a version that serves goes in another
        assert len(ends) == 1 and ends[0].startswith("tidegate:holder|search/ranker: ")
        assert ends[0].endswith("Model search/ranker: deleted by tidegate:holder: [OPS-8] retired")
    assert newest.startswith("tidegate:holder|search/ranker: 3 files written, 0 removed|")
    assert newest.endswith("Model search/ranker: by tidegate:holder: [OPS-7] more users Model x: by root")


async def test_what_is_deleted_goes_from_the_tree_and_its_document_waits_until_it_is_pruned(
    fleet: Fleet, server: Server, tree: Tree
):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        await fleet.client.delete(documents_key("Model", "ranker", "search"))
        await until(lambda: not tree.has("ranker"), what="its files being gone")

        async def told() -> bool:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return "is to go" in found.get("message", "")

        await until(told, what="the document saying what is left")
        assert await fleet.get("Deployment", "ranker-v1", "search"), "the manager does not delete what is Git's"
        await until(lambda: _is_absent(fleet, ROUTE), what="its route, which is the manager's, being gone")
        await tree.apply()
        await until(lambda: _is_absent(fleet, documents_key("Model", "ranker", "search")), what="the document's end")
        assert tree.has("tenants/search/gateway")


async def test_a_tenant_leaves_nothing_behind(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        await leave(fleet, tree)
        assert not [name for name in await fleet.owned() if "search" in name]


async def test_a_tenant_goes_though_a_tool_has_applied_its_namespace_and_others_are_in_it(
    fleet: Fleet, server: Server, tree: Tree
):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        (home,) = (obj for obj in tree.objects("runtime") if obj["kind"] == "Namespace")
        await fleet.client.apply(home, force=True, manager="argocd-controller")
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "search"}}
        await fleet.apply(theirs)
        await leave(fleet, tree)
        left = await fleet.get("Namespace", "search")
        assert left and not [label for label in left["metadata"].get("labels", {}) if "tidegate" in label]
        assert await fleet.get("ConfigMap", "theirs", "search")


async def test_requests_go_to_a_new_version_when_git_has_brought_its_subset(fleet: Fleet, server: Server, tree: Tree):
    two = documents.model(
        versions=[
            {"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")
        ],
        traffic=[{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}],
    )
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        await fleet.pod("search", documents.labels())
        await fleet.pod("search", documents.labels(version="v2"))
        await fleet.apply(two)

        async def told() -> bool:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return "waits for DestinationRule search/ranker with version v2" in found.get("message", "")

        await until(lambda: tree.has("deployment_search_ranker-v2"), what="the commit")
        await until(told, what="the model saying what its route waits for")
        assert await weights(fleet) == {"v1": 100}
        await tree.apply()
        await until(lambda: _weighs(fleet, {"v1": 50, "v2": 50}), what="both versions getting requests")
        # What only moves weights is nobody's but the manager's: no commit.
        commits = len(tree.log())
        await fleet.apply({**two, "spec": {**two["spec"], "traffic": [{"version": "v1", "weight": 100}]}})
        await until(lambda: _weighs(fleet, {"v1": 100}), what="the first version getting all")
        await asyncio.sleep(0.5)
        assert all(
            "destinationrule" not in file for commit in range(len(tree.log()) - commits) for file in _of(tree, commit)
        )


async def test_the_steps_of_a_release_are_no_commits_and_its_end_is_one(fleet: Fleet, server: Server, tree: Tree):
    names, end = ("v1", "v2"), [{"version": "v2", "weight": 100}]
    versions = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in names]
    rollout = {"steps": [{"weight": 5, "approval": True}], "hold": "10s"}
    model = ObjectKey("Model", "search", "ranker")

    def route() -> dict[str, int]:
        (text,) = [text for path, text in tree.files().items() if "virtualservice_search_ranker" in path]
        return weights_of(yaml.safe_load(text))

    async def moving() -> list[dict[str, str]]:
        return list((await state(fleet)).get("moving") or [])

    outcomes = SteadyOutcomes(SystemClock())
    async with fleet.manager(settings(server), outcomes=outcomes) as manager, fleet.rest(manager) as rest:
        await served(fleet, tree)
        for name in names:
            for _ in range(2):
                await fleet.pod("search", documents.labels(version=name))
        await fleet.apply(documents.model(versions=versions, traffic=end, rollout=rollout, drain="1s"))
        await until(lambda: tree.has("deployment_search_ranker-v2"), what="the commit")
        await tree.apply()
        await until(lambda: _weighs(fleet, {"v1": 95, "v2": 5}), what="the first step")
        told = {"object": str(ROUTE), "how": "v1 95 %, v2 5 %; in Git v1 100 %"}
        await until(lambda: _are(moving, [told]), what="both weights being told")

        async def is_shown() -> bool:
            code, out, _ = await tidegate("git", server=f"http://127.0.0.1:{rest._session._base_url.port}")
            return code == 0 and told["how"] in out

        await until(is_shown, what="the command showing both, and nothing out of step once all is applied")
        assert route() == {"v1": 100}
        await fleet.client.merge(model, {"metadata": {"annotations": {"tidegate.dev/release": "promote 1"}}})
        await until(lambda: _weighs(fleet, {"v2": 100}), what="all requests")
        await until(lambda: route() == {"v2": 100}, what="the commit of its end")
        await until(lambda: _are(moving, []), what="nothing moving")


async def _are(found: Callable[[], Awaitable[list[dict[str, str]]]], wanted: list[dict[str, str]]) -> bool:
    return await found() == wanted


def _of(tree: Tree, commit: int) -> list[str]:
    """Return the files that one of the newest commits touched."""
    return git("show", "--name-only", "--format=", f"main~{commit}", at=tree.place).split()


async def test_what_somebody_changes_is_told_and_left_to_git(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        key = ObjectKey("Service", "search", "ranker")
        await fleet.client.merge(key, {"spec": {"ports": [{"name": "http", "port": 99}]}})

        async def told() -> str:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            return found["message"] if "Service search/ranker was changed by another client" in found["message"] else ""

        await until(told, what="the model saying so")
        await asyncio.sleep(0.3)
        live = await fleet.get("Service", "ranker", "search")
        assert live and live["spec"]["ports"][0]["port"] == 99
        await tree.apply()
        await until(lambda: _programmed(fleet), what="the model being programmed again")


async def test_a_document_that_is_refused_loses_nothing_in_the_tree(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        before = tree.files()
        wrong = documents.model(routes=[{**documents.model()["spec"]["routes"][0], "host": "other.example.com"}])
        await fleet.apply(wrong)
        await until(lambda: _is_refused(fleet), what="the model being refused")
        await asyncio.sleep(0.5)
        assert tree.files() == before


async def test_a_push_that_is_refused_is_told_and_tried_again(fleet: Fleet, server: Server, tree: Tree):
    server.hook("pre-receive", "echo 'main is protected' >&2; exit 1")
    async with fleet.manager(settings(server)):
        await documented(fleet)

        async def told() -> str:
            found = await fleet.condition("Model", "ranker", "Programmed", "search")
            is_told = found.get("reason") == "NotCommitted" and "on its way" not in found["message"]
            return found["message"] if is_told else ""

        said = await until(told, what="the model saying that it is not in Git")
        assert "the push was refused" in said and "allow it, or name another branch" in said
        assert "the push was refused" in (await until(lambda: _problem(fleet), what="the problem")).strip()
        assert tree.files() == {}
        server.hook("pre-receive", "exit 0")
        await until(lambda: tree.has("tenants/search/ranker/deployment"), "the commit")
        await tree.apply()
        await until(lambda: _programmed(fleet), what="the model being programmed")
        await until(lambda: _is_well(fleet), what="no problem being told")


async def test_a_repository_that_is_away_loses_no_document(fleet: Fleet, tmp_path: Path):
    (tmp_path / "served").mkdir()
    async with git_server(tmp_path / "served") as server:
        server.make()
    tree = Tree(server, fleet)
    async with fleet.manager(settings(server)):
        await documented(fleet)
        assert "it is tried again" in await until(lambda: _problem(fleet), what="the problem")
        assert await fleet.get("Model", "ranker", "search")
        async with git_server(tmp_path / "served", port=server.port):
            await until(lambda: tree.has("tenants/search/ranker/deployment"), "the commit")


async def test_a_file_of_somebody_elses_in_the_way_is_named_and_kept(
    fleet: Fleet, server: Server, tree: Tree, tmp_path: Path
):
    place = tmp_path / "clone"
    git("clone", "-q", server.url(), str(place), at=tmp_path)
    (place / "eu").mkdir()
    (place / "eu" / "kustomization.yaml").write_text("resources: [mine.yaml]\n")
    (place / "eu" / "mine.yaml").write_text("kind: Mine\n")
    git("add", "-A", at=place)
    git("commit", "-qm", "mine", at=place)
    git("push", "-q", "origin", "HEAD:main", at=place)
    async with fleet.manager(settings(server)):
        await documented(fleet)
        assert "kustomization.yaml: exists and was not rendered by Tidegate" in await until(
            lambda: _problem(fleet), what="the problem"
        )
        assert set(tree.files()) == {"kustomization.yaml", "mine.yaml"}
        git("rm", "-q", "eu/kustomization.yaml", at=place)
        git("commit", "-qm", "make room", at=place)
        git("push", "-q", "origin", "HEAD:main", at=place)
        await until(lambda: tree.has("tenants/search/ranker/deployment"), "the commit")
        assert tree.files()["mine.yaml"] == "kind: Mine\n"


async def test_each_change_gets_a_branch_for_review_also_one_back_to_what_was(fleet: Fleet, server: Server, tree: Tree):
    def branches() -> list[str]:
        return git("branch", "--list", "tidegate/*", "--format=%(refname:short)", at=tree.place).split()

    async def merged(replicas: int) -> None:
        """Merge the branch that brings so many replicas, and apply it."""

        def reviewed() -> str:
            file = "tenants/search/ranker/deployment_search_ranker-v1.yaml"
            found = (b for b in branches() if f"replicas: {replicas}" in tree.files(b).get(file, ""))
            return next((b for b in found if not tree.files() or is_ahead(b)), "")

        branch = await until(reviewed, what=f"the branch of {replicas} replicas")
        git("update-ref", "refs/heads/main", branch, at=tree.place)
        await tree.apply()

        live = await fleet.get("Deployment", "ranker-v1", "search")
        assert live and live["spec"]["replicas"] == replicas

    def is_ahead(branch: str) -> bool:
        """Tell whether a branch stands on main, and has more."""
        return head(branch) != head("main") and git("merge-base", "main", branch, at=tree.place, check=False) == head(
            "main"
        )

    def head(branch: str) -> str:
        return git("rev-parse", branch, at=tree.place)

    def scaled(replicas: int) -> Manifest:
        return documents.model(
            versions=[{"name": "v1", "workload": {"replicas": replicas, "image": "example.com/r:1"}}]
        )

    async with fleet.manager(settings(server, review=True)):
        await documented(fleet)
        await until(branches, what="a branch")
        assert tree.files() == {}, "nobody has merged anything yet"
        for replicas in (2, 3, 2, 3):
            await fleet.apply(scaled(replicas))
            await merged(replicas)
        assert len(tree.log("%h", "main")) >= 4


@pytest.mark.parametrize("policy", ["expire", "commit"])
async def test_an_override_ends_by_itself_or_is_committed(fleet: Fleet, server: Server, tree: Tree, policy: str):
    async with fleet.manager(settings(server, overrides=policy)) as manager, fleet.rest(manager) as rest:
        await served(fleet, tree)
        body = {"total": 7, "reason": "incident 12", "ttl": "1h"}
        status, answer = await rest.call("PUT", "/v1/tenants/search/models/ranker/limit/override", body)
        assert status in (200, 201), answer
        if policy == "commit":
            await until(lambda: tree.has("runtime/documents/limitoverride"), what="the override's commit")
            assert "incident 12" in str(tree.objects("runtime")) and "LimitOverride" in tree.log()[0]
            assert not any(obj["kind"] == "LimitOverride" for obj in tree.objects()), "it is nobody's to apply again"
        else:
            await fleet.apply(documents.model("other"))
            await until(lambda: tree.has("ranker") and tree.has("service_search_other"), what="a later commit")
            assert not tree.has("limitoverride")
        status, _ = await rest.call("DELETE", "/v1/tenants/search/models/ranker/limit/override")
        assert status == 202
        await until(lambda: not tree.has("limitoverride"), what="it being gone")


async def test_a_document_that_is_refused_before_its_objects_are_applied_keeps_its_files(
    fleet: Fleet, server: Server, tree: Tree
):
    async with fleet.manager(settings(server)):
        await documented(fleet)
        await until(lambda: tree.has("tenants/search/ranker/deployment"), what="the commit")
        before = {path: text for path, text in tree.files().items() if "/ranker/" in path}
        wrong = documents.model(routes=[{**documents.model()["spec"]["routes"][0], "host": "other.example.com"}])
        await fleet.apply(wrong, documents.model("other"))
        await until(lambda: _is_refused(fleet), what="the model being refused")
        await until(lambda: tree.has("service_search_other"), what="a later commit")
        assert {path: text for path, text in tree.files().items() if "/ranker/" in path} == before


async def test_what_the_manager_wrote_before_is_taken_away_by_git_and_changing_over_writes_nothing(
    fleet: Fleet, server: Server, tree: Tree
):
    def model(*variables: str) -> Manifest:
        env = [{"name": name, "value": "1"} for name in variables]
        workload = {"replicas": 2, "image": "example.com/ranker:1", "env": env}
        return documents.model(versions=[{"name": "v1", "workload": workload}])

    async with fleet.manager():
        await documented(fleet)
        await fleet.apply(model("A", "B"))
        await until(lambda: _programmed(fleet), what="the model being programmed")
        before = await fleet.settled(1.2)
    key = ObjectKey("Deployment", "search", "ranker-v1")
    async with fleet.manager(settings(server)):
        await until(lambda: tree.has("tenants/search/ranker/deployment"), what="the commit")
        written = await fleet.settled(1.2) - before
        assert set(written) <= {"configmaps", "models", "tenants", "inferencegateways", "namespaces"}, written
        await tree.apply()

        async def is_gits_alone() -> bool:
            live = await fleet.get(*key[::2], key.namespace)
            return "tidegate" not in {entry["manager"] for entry in live["metadata"]["managedFields"]}

        await until(is_gits_alone, what="the manager having given it up")
        await fleet.apply(model("B"))
        await until(lambda: "name: A" not in str(tree.files()), what="the commit")
        await tree.apply()
        live = await fleet.get(*key[::2], key.namespace)
        container = live["spec"]["template"]["spec"]["containers"][0]
        assert [found["name"] for found in container["env"]] == ["B"] and container["image"] == "example.com/ranker:1"


async def test_a_tenant_moves_when_git_has_brought_its_gateway_however_late_that_is(
    fleet: Fleet, server: Server, tree: Tree
):
    def gateways(live: Manifest | None) -> list[str]:
        return live["spec"]["gateways"] if live else []

    async with fleet.manager(dataclasses.replace(settings(server), gateway_overlap=1.0)):
        await served(fleet, tree)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", documents.labels())
        await until(lambda: limit_is(fleet, 20), what="the limit")
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other-gw"}})
        await fleet.apply(documents.gateway("other", "other-gw"))
        await fleet.pod("other-gw", {"istio": "other"})
        await fleet.apply(documents.tenant(gateway={"name": "other"}))
        await until(lambda: tree.has("gateway_other-gw_tenant-search"), what="the commit")
        await asyncio.sleep(3)  # much longer than the overlap
        assert gateways(await fleet.get(*ROUTE[::2], ROUTE.namespace)) == ["inference-gw/tenant-search"]
        assert await in_slot(fleet), "the old gateway still limits what it lets through"
        assert tree.has("gateway_inference-gw_tenant-search")
        await tree.apply()

        async def moved() -> bool:
            return gateways(await fleet.get(*ROUTE[::2], ROUTE.namespace)) == ["other-gw/tenant-search"]

        await until(moved, what="the route at the new gateway alone")
        await until(lambda: not tree.has("gateway_inference-gw_tenant-search"), what="the old Gateway being gone")


async def test_a_tree_of_files_alone_is_not_taken_over(fleet: Fleet, server: Server, tree: Tree, tmp_path: Path):
    place = tmp_path / "clone"
    git("clone", "-q", server.url(), str(place), at=tmp_path)
    file = place / "eu" / "tenants" / "search" / "namespace_search.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(HEADER + "kind: Namespace\n")
    git("add", "-A", at=place)
    git("commit", "-qm", "rendered", at=place)
    git("push", "-q", "origin", "HEAD:main", at=place)
    async with fleet.manager(settings(server)):
        await documented(fleet)
        said = await until(lambda: _problem(fleet), what="the problem")
        assert "there is a tree of `tidegate render`" in said and "a folder of its own" in said
        assert list(tree.files()) == ["tenants/search/namespace_search.yaml"]


async def test_a_tenant_that_is_refused_and_deleted_goes(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        await fleet.apply(documents.tenant(gateway={"name": "none"}))

        async def refused() -> bool:
            return (await fleet.condition("Tenant", "search", "Accepted")).get("status") == "False"

        await until(refused, what="the tenant being refused")
        await leave(fleet, tree)


async def test_a_kept_file_that_somebody_has_spoilt_is_named(fleet: Fleet, server: Server, tree: Tree, tmp_path: Path):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        wrong = documents.model(routes=[{**documents.model()["spec"]["routes"][0], "host": "other.example.com"}])
        await fleet.apply(wrong)
        await until(lambda: _is_refused(fleet), what="the model being refused")
        place = tmp_path / "clone"
        git("clone", "-q", server.url(), str(place), at=tmp_path)
        path = "tenants/search/ranker/service_search_ranker.yaml"
        (place / "eu" / path).write_text(f"{HEADER}a: 2024-13-45\n")
        git("commit", "-qam", "spoil", at=place)
        git("push", "-q", "origin", "HEAD:main", at=place)
        said = await until(lambda: _problem(fleet), what="the problem")
        assert f"{path}: is retained, and does not contain its object any more" in said
        git("revert", "--no-edit", "HEAD", at=place)
        git("push", "-q", "origin", "HEAD:main", at=place)

        await until(lambda: _is_well(fleet), "it being well again")


async def test_no_secret_of_ours_is_in_the_tree(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)) as manager:
        await served(fleet, tree)
        (pool,) = manager.loops.main.plan.pools.values()
        assert pool.probe and pool.probe not in str(tree.files())


async def test_the_tree_of_another_cluster_is_not_overwritten(fleet: Fleet, server: Server, tree: Tree, tmp_path: Path):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        there = tree.files()
    async with running_fleet() as other:
        await other.apply(documents.gateway("other", "other-gw"))
        async with other.manager(settings(server)):
            said = await until(lambda: _problem(other), what="the problem")
            assert "is of another cluster" in said and "delete mark.yaml to give the tree to this cluster" in said
            assert tree.files() == there
            place = tmp_path / "clone"
            git("clone", "-q", server.url(), str(place), at=tmp_path)
            git("rm", "-q", "eu/mark.yaml", at=place)
            git("commit", "-qm", "hand over", at=place)
            git("push", "-q", "origin", "HEAD:main", at=place)
            await until(lambda: tree.has("gateways/other"), "the tree of the other cluster")


async def test_replicas_that_come_and_go_reach_for_no_repository(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server, every=1000.0)) as manager:
        await served(fleet, tree)
        await fleet.pod("inference-gw", {"istio": "shared"})
        pods = [await fleet.pod("search", documents.labels()) for _ in range(2)]
        await until(lambda: limit_is(fleet, 40), what="the limit of both")
        await until(lambda: _is_told(fleet, tree), what="all being in step")
        await fleet.settled()
        before, commits = attempts(), tree.log("%h")
        for total, ready in ((20, False), (40, True), (20, False)):
            await fleet.set_ready(pods[1], ready)
            await until(lambda total=total: limit_is(fleet, total), what=f"the limit of {total}/s")
            manager.loops.main.trigger.set()
            await asyncio.sleep(0.4)
        assert attempts() == before and tree.log("%h") == commits


async def test_attempts_that_fail_come_at_growing_pauses_whatever_changes(fleet: Fleet, server: Server, tree: Tree):
    server.hook("pre-receive", "exit 1")
    async with fleet.manager(settings(server)):
        await documented(fleet)
        await until(lambda: _problem(fleet), what="the problem")
        before, began = attempts(), time.monotonic()
        for number in range(25):
            await fleet.apply(documents.model(f"m{number}"))
            await asyncio.sleep(0.15)
        most = 2 + math.log2(1 + time.monotonic() - began)
        assert attempts() - before <= most, "after 1, 2, 4 ... seconds"
        await until(lambda: attempts() > before, what="the next attempt")


async def test_the_command_line_says_how_far_manifests_have_come(fleet: Fleet, server: Server, tree: Tree):
    async def told(rest: Rest, *words: str) -> tuple[int, str]:
        code, out, error = await tidegate("git", *words, server=f"http://127.0.0.1:{rest._session._base_url.port}")
        assert not error
        return code, out

    async def says(rest: Rest, wanted: int, *words: str) -> bool:
        code, out = await told(rest)
        return code == wanted and all(word in out for word in words)

    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        said = "manifests go into the cluster; for a repository start the manager with --git-url\n"
        assert await told(rest) == (0, said)
    async with fleet.manager(settings(server)) as manager, fleet.rest(manager) as rest:
        await documented(fleet)
        await until(lambda: tree.has("tenants/search/ranker/deployment"), what="the commit")
        absent = (f"{server.url()} eu", "no tree of Tidegate; apply it", "Service search/ranker is not in the cluster")
        await until(lambda: says(rest, 1, *absent), what="the tree that is not applied being told")
        await tree.apply()
        await until(lambda: tree.has("runtime/tenants/search/ranker/virtualservice"), what="the last commit")
        found = await until(lambda: _is_told(fleet, tree), what="all being in step")
        commit = found["committed"]["commit"]
        same = (f"{commit[:12]} on main", f"{commit[:12]} (the same)")
        await until(lambda: says(rest, 0, *same), what="the tree that is applied being told")
        assert json.loads((await told(rest, "-o", "json"))[1])["committed"]["commit"] == commit
        server.hook("pre-receive", "exit 1")
        await fleet.apply(documents.model("other"))
        await until(lambda: says(rest, 1, "the push was refused"), what="the problem being told")


def attempts() -> float:
    """Return how often a commit was tried."""
    return sum(s.value for metric in GIT_COMMITS.collect() for s in metric.samples if s.name.endswith("_total"))


async def test_the_next_manager_knows_what_was_committed_and_commits_nothing_again(
    fleet: Fleet, server: Server, tree: Tree
):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        before = await until(lambda: _is_told(fleet, tree), what="all being in step")
    async with fleet.manager(settings(server)) as manager, fleet.rest(manager) as rest:

        async def told() -> bool:
            status, found = await rest.call("GET", "/v1/git")
            applied = (found.get("applied") or {}).get("commit")
            wanted = (before["committed"], before["committed"]["commit"])
            return status == 200 and found["target"] == "git" and (found["committed"], applied) == wanted

        await until(told, what="what was committed and applied being known")
        await asyncio.sleep(1.5)
        assert await told() and git("rev-parse", "main", at=tree.place) == before["committed"]["commit"]
        await fleet.client.merge(MARK, {"data": {"tree": "another"}})
        await until(lambda: _applied(fleet, {"tree": "another", "commit": None}), what="another tree being seen")


async def test_a_tree_is_emptied_for_documents_that_leave_but_not_since_there_are_none(
    fleet: Fleet, server: Server, tree: Tree
):
    async with fleet.manager(settings(server)):
        await served(fleet, tree)
        told = await until(lambda: fleet.get(STATE.kind, STATE.name, STATE.namespace), what="the state")
        there = tree.files()
    async with running_fleet() as blank, blank.manager(settings(server)):
        await asyncio.sleep(1.0)
        assert tree.files() == there
    async with running_fleet() as blank:
        await blank.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STATE.namespace}})
        metadata = {"name": STATE.name, "namespace": STATE.namespace}
        await blank.client.create({**told, "metadata": metadata})
        async with blank.manager(settings(server)):
            assert "there is no document any more" in await until(lambda: _problem(blank), what="the problem")
            assert tree.files() == there
    async with fleet.manager(settings(server)):
        keys = [documents_key("Model", "ranker", "search"), documents_key("Tenant", "search")]
        for key in (*keys, documents_key("InferenceGateway", "shared")):
            await fleet.client.delete(key)
        await until(lambda: not tree.has("ranker"), what="the model's files being gone")
        for part in ("tenants/search", "gateways/shared"):
            await tree.apply()
            await until(lambda part=part: not tree.has(part), what=f"{part} being gone")
        await tree.apply()
        await until(lambda: _is_absent(fleet, documents_key("InferenceGateway", "shared")), what="the gateway's end")
        assert not await fleet.owned()


async def leave(fleet: Fleet, tree: Tree) -> None:
    """Delete the model and its tenant, and prune until both have ended."""
    for key in (documents_key("Model", "ranker", "search"), documents_key("Tenant", "search")):
        await fleet.client.delete(key)
    await until(lambda: not tree.has("ranker"), what="the model's files being gone")
    await tree.apply()
    await until(lambda: not tree.has("tenants/search"), what="its folder being gone")
    await tree.apply()
    await until(lambda: _is_absent(fleet, documents_key("Tenant", "search")), what="the tenant's end")


def documents_key(kind: str, name: str, namespace: str = "") -> ObjectKey:
    return ObjectKey(kind, namespace, name)


async def weights(fleet: Fleet) -> dict[str, int]:
    live = await fleet.get(*ROUTE[::2], ROUTE.namespace)
    assert live
    return {route["destination"]["subset"]: route["weight"] for route in live["spec"]["http"][0]["route"]}


async def _weighs(fleet: Fleet, wanted: dict[str, int]) -> bool:
    return await weights(fleet) == wanted


async def _is_absent(fleet: Fleet, key: ObjectKey) -> bool:
    return await fleet.get(*key[::2], key.namespace) is None


async def _programmed(fleet: Fleet) -> bool:
    return await programmed(fleet, "Model", "ranker", "search") == "Programmed"


async def _is_refused(fleet: Fleet) -> bool:
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"


async def _problem(fleet: Fleet) -> str:
    return (await state(fleet)).get("problem") or ""


async def _is_well(fleet: Fleet) -> bool:
    return not await _problem(fleet)


async def _applied(fleet: Fleet, wanted: dict[str, Any]) -> bool:
    return (await state(fleet)).get("applied") == wanted


async def test_a_registered_version_is_no_part_of_the_tree_and_of_no_commit(fleet: Fleet, server: Server, tree: Tree):
    async with fleet.manager(settings(server)) as manager, fleet.rest(manager) as rest:
        await served(fleet, tree)
        body = {"model": "ranker", "version": "v2", "image": "example.com/ranker:2"}
        status, answer = await rest.call("POST", "/v1/tenants/search/modelversions", body)
        assert status == 201, answer
        await fleet.apply(documents.model("other"))
        await until(lambda: tree.has("service_search_other"), what="a later commit")
        assert not tree.has("modelversion") and not any("ModelVersion" in entry for entry in tree.log())
        _, answer = await rest.call("GET", "/v1/git")
        assert "ModelVersion" not in str(answer)
