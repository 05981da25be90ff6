"""An installation of the previous release, replaced by this one: nothing is written and every limit stays."""

import asyncio
import contextlib
import copy
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from istio_templates.facts import Manifest
from istio_templates.names import COUNTED
from k8s_manager.kube.resources import DOCUMENTS, OWNED, RESOURCES
from k8s_manager.world.installation import SYSTEM
from tests.features.conftest import in_slot, is_programmed, make_search
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import Fleet
from tests.support.previous_release import unpack
from tests.support.standalone import free_port
from tests.support.waiting import until

LOGGER = "tidegate-shared-access-log"


def override() -> Manifest:
    """Return an override of the model `canary` that outlasts the test."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    target = {"tenant": "search", "model": "canary"}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LimitOverride",
        "metadata": {"name": "incident", "namespace": SYSTEM},
        "spec": {"target": target, "total": 7, "reason": "incident 4711", "author": "kim", "expires": expires},
    }


def two_versions() -> Manifest:
    """Return a model whose traffic is split over two versions."""
    versions = [{"name": name, "workload": {"replicas": 1, "image": "a"}} for name in ("v1", "v2")]
    traffic = [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]
    routes = [{"host": "search.models.example.com", "path": "/v2/models/canary", "port": 8080}]
    return model("canary", versions=versions, traffic=traffic, routes=routes)


@contextlib.asynccontextmanager
async def previous_manager(server: str, folder: Path) -> AsyncIterator[None]:
    """Run the manager of the previous release as a process of its own, with its default settings."""
    code = unpack(folder / "code")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": "none"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    (folder / "token").write_text("test")
    options = ["--kubeconfig", str(folder / "kubeconfig"), "--token-file", str(folder / "token")]
    command = [sys.executable, "-m", "k8s_manager.cli.main", "serve", *options, "--listen", f"127.0.0.1:{free_port()}"]
    with (folder / "previous.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=code, env={**os.environ, "PYTHONPATH": str(code)}, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


async def objects(fleet: Fleet) -> dict[str, Manifest]:
    """Return every document and every object of the manager, statuses left out."""
    found = {}
    for kind in (*DOCUMENTS, *OWNED, "ControllerRevision"):
        for obj in await fleet.listed(kind):
            metadata = obj["metadata"]
            obj.pop("status", None)
            found[f"{kind} {metadata.get('namespace', '')}/{metadata['name']}"] = obj
    return found


async def statuses(fleet: Fleet) -> dict[str, Manifest]:
    """Return the status of every document without the wording of its messages, which releases may improve."""
    found = {}
    for kind in DOCUMENTS:
        for obj in (await fleet.client.list(RESOURCES[kind]))[0]:
            status = obj.get("status", {})
            conditions = [{**condition, "message": ""} for condition in status.get("conditions", [])]
            found[f"{kind} {obj['metadata']['name']}"] = {**status, "conditions": conditions}
    return found


def outliving(before: dict[str, Manifest]) -> dict[str, Manifest]:
    """Return objects as they are once their revisions no longer go with their documents."""
    found = copy.deepcopy(before)
    for obj in found.values():
        if owners := obj["metadata"].pop("ownerReferences", None) if obj["kind"] == "ControllerRevision" else None:
            obj["metadata"]["labels"]["tidegate.dev/revision-uid"] = owners[0]["uid"]
    return found


def changed(before: dict[str, Manifest], after: dict[str, Manifest]) -> set[str]:
    """Return the names of objects that were created, deleted or written in between, apart from their statuses."""

    def content(obj: Manifest) -> Manifest:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "", "managedFields": []}}

    keys = before.keys() | after.keys()
    return {key for key in keys if not (key in before and key in after and content(before[key]) == content(after[key]))}


async def test_an_upgrade_writes_no_object_and_keeps_every_limit(fleet, tmp_path):
    async with previous_manager(fleet.server, tmp_path):
        await make_search(fleet)
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        await fleet.apply(tenant("ads"), two_versions(), system, override())
        await until(lambda: is_programmed(fleet, "canary", "search"), what="the second model being programmed")
        for _ in range(2):
            await fleet.pod("inference-gw", {"istio": "shared"})
            await fleet.pod("search", labels())
        for version in ("v1", "v2"):
            await fleet.pod("search", {**labels("canary", version)})
        await until(lambda: has_limits(fleet), what="the limits of the previous release")
        await until(lambda: has_no_answer(fleet), what="no gateway pod answering, since none runs here")
        await fleet.settled(1.5)
    before, limits = await objects(fleet), await in_slot(fleet)
    said, writes = await statuses(fleet), fleet.writes()
    async with fleet.manager() as manager:
        await until(manager.loops.main.passed.is_set, what="the first pass of this release")
        await until(lambda: says(fleet, said), what="the statuses being as before: the gateway pods are asked anew")
        await fleet.settled(1.5)
        written = fleet.writes() - writes
        after = await objects(fleet)
        assert changed(outliving(before), after) == set()
        assert {resource.rpartition("/")[2] for resource in written} <= {*DOCUMENT_RESOURCES, "controllerrevisions"}, (
            f"only statuses may be reworded, and revisions lose their owner: {written}"
        )
        assert await in_slot(fleet) == limits


async def test_an_upgrade_replaces_no_pod_of_a_managed_gateway(fleet, tmp_path):
    """What a release adds to a pod template comes with the next change of the document."""
    async with previous_manager(fleet.server, tmp_path):
        await fleet.apply(gateway(namespace="managed-gw", managed={"replicas": 2}))
        await until(lambda: fleet.get("Deployment", "shared", "managed-gw"), what="the gateway's Deployment")
        await fleet.settled(1.5)
    before = await objects(fleet)
    async with fleet.manager() as manager:
        await until(manager.loops.main.passed.is_set, what="the first pass of this release")
        await until(lambda: fleet.get("EnvoyFilter", LOGGER, "managed-gw"), what="the access log of this release")
        await fleet.settled(1.5)
        assert changed(outliving(before), await objects(fleet)) == {f"EnvoyFilter managed-gw/{LOGGER}"}
        await fleet.apply(gateway(namespace="managed-gw", managed={"replicas": 3}))
        await until(lambda: has_replicas(fleet, 3), what="the third pod")
        assert not await counts_copies(fleet)
        listeners = [{"name": "http", "port": 8081, "protocol": "HTTP"}]
        await fleet.apply(gateway(namespace="managed-gw", managed={"replicas": 3}, listeners=listeners))
        await until(lambda: counts_copies(fleet), what="the counters coming with a change that replaces the pods")


async def has_replicas(fleet: Fleet, count: int) -> bool:
    return (await fleet.get("Deployment", "shared", "managed-gw"))["spec"]["replicas"] == count


async def counts_copies(fleet: Fleet) -> bool:
    template = (await fleet.get("Deployment", "shared", "managed-gw"))["spec"]["template"]
    counted = COUNTED in template["metadata"]["annotations"]["proxy.istio.io/config"]
    assert counted == (template["spec"].get("enableServiceLinks") is False)
    return counted


async def test_the_way_back_and_up_again_keeps_every_object_and_limit_also_of_fields_that_it_does_not_know(
    fleet, tmp_path
):
    cors = {"allowOrigins": [{"exact": "https://console.example.com"}]}
    newer = [{"host": "search.models.example.com", "path": "/v2/models/ranker", "port": 8080, "cors": cors}]
    async with fleet.manager():
        await make_search(fleet)
        await fleet.apply(model(routes=newer))
        await until(lambda: has_cors(fleet), what="the field that the previous release does not know")
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await until(lambda: is_limited_to(fleet, 20), what="the limit")
        await fleet.settled(1.5)
    before, limits = await objects(fleet), await in_slot(fleet)
    async with previous_manager(fleet.server, tmp_path):
        await until(lambda: is_refused(fleet), what="the previous release telling that it does not know the field")
        await fleet.apply(tenant("ads"))
        await until(lambda: fleet.get("Namespace", "ads"), what="the previous release working on")
        await fleet.settled(1.5)
        between = await objects(fleet)
        assert await in_slot(fleet) == limits
        assert {name for name in changed(before, between) if "ads" not in name} <= {"Model search/ranker"}
    async with fleet.manager():
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="this release accepting the field again")
        await fleet.settled(1.5)
        after = await objects(fleet)
        assert changed(outliving(between), after) <= {"Model search/ranker"}
        assert await in_slot(fleet) == limits


async def has_cors(fleet: Fleet) -> bool:
    route = await fleet.get("VirtualService", "ranker", "search")
    return any("corsPolicy" in http for http in (route or {}).get("spec", {}).get("http", []))


async def is_limited_to(fleet: Fleet, total: float) -> bool:
    return ((await fleet.status("Model", "ranker", "search")).get("limit") or {}).get("total") == total


async def is_refused(fleet: Fleet) -> bool:
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"


async def says(fleet: Fleet, said: dict[str, Manifest]) -> bool:
    """Tell whether all that was said is said; this release may say more."""
    return holds(said, await statuses(fleet))


def holds(said: Any, now: Any) -> bool:
    """Tell whether everything in one status stands in another, conditions by their type."""
    if isinstance(said, dict) and isinstance(now, dict):
        return all(key in now and holds(value, now[key]) for key, value in said.items())
    if (
        isinstance(said, list)
        and isinstance(now, list)
        and all(isinstance(one, dict) and "type" in one for one in said)
    ):
        found = {one["type"]: one for one in now}
        return all(one["type"] in found and holds(one, found[one["type"]]) for one in said)
    return bool(said == now)


async def has_no_answer(fleet: Fleet) -> bool:
    return (await fleet.condition("InferenceGateway", "shared", "LimitsApplied")).get("reason") == "NoAnswer"


DOCUMENT_RESOURCES = tuple(RESOURCES[kind].plural for kind in DOCUMENTS)


async def has_limits(fleet) -> bool:
    """Tell whether both models' limits are in their slots, the overridden one too."""
    status = await fleet.status("Model", "ranker", "search")
    overridden = await fleet.status("Model", "canary", "search")
    return (status.get("limit") or {}).get("total") == 40 and (overridden.get("limit") or {}).get("total") == 7
