"""A cluster that is lost: its documents in an empty one, with other identifiers and no status, become what they were."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import yaml

from istio_templates.envoy_filter import limits_of
from istio_templates.names import TENANT
from tests.features.conftest import is_programmed, make_search, recorded
from tests.features.test_cli import tidegate
from tests.features.test_overrides import override
from tests.support.documents import HOST, tenant
from tests.support.fleet import running_fleet
from tests.support.waiting import until

ACCEPTED, REJECTED = "accepted.yaml", "rejected.yaml"


@asynccontextmanager
async def manager_at(fleet):
    """Run a manager with its API; yield how the command line asks it."""
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        yield partial(tidegate, server=f"http://127.0.0.1:{rest._session._base_url.port}")


@pytest.fixture
async def backup(fleet, tmp_path):
    """The backup of a cluster in which the tenant that comes first by name has lost a host to an older one."""
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
    async with manager_at(fleet) as command:
        await make_search(fleet)
        await fleet.apply(tenant("ads", hosts=[{"name": HOST}]), tenant("media"), override("launch", total=70))
        await fleet.apply(override("over", seconds=-60, total=70))
        await until(lambda: is_accepted(fleet, "ads", "False"), what="the younger claim being rejected")
        await until(lambda: is_accepted(fleet, "media", "True"), what="the third tenant")
        code, out, error = await command("backup", str(tmp_path / "all"))
    assert (code, error) == (0, "")
    folder = tmp_path / "all"
    *counted, rejected = out.splitlines()
    assert counted == [
        f"{folder / ACCEPTED}: 1 gateway, 2 tenants, 1 model, 1 override",
        f"{folder / REJECTED}: 1 tenant",
    ]
    assert rejected.startswith(f"  Tenant ads: spec.hosts[0].name: host {HOST} is claimed by tenant search")
    return folder


async def is_accepted(fleet, name, status):
    return (await fleet.condition("Tenant", name, "Accepted")).get("status") == status


async def in_place(fleet):
    """Return what is rendered, by name, as far as it comes from documents."""
    found = {}
    for kind in ("Gateway", "VirtualService", "DestinationRule", "Deployment", "Service"):
        for name, namespace in (("ranker", "search"), ("ranker-v1", "search"), ("search", "inference-gw")):
            if obj := await fleet.get(kind, name, namespace):
                found[kind, name] = obj["spec"]
    return found


async def test_a_backup_holds_what_people_wrote_and_nothing_of_the_cluster(backup):
    found = [*yaml.safe_load_all((backup / ACCEPTED).read_text()), *yaml.safe_load_all((backup / REJECTED).read_text())]
    assert all(obj.keys() == {"apiVersion", "kind", "metadata", "spec"} for obj in found)
    assert all(obj["metadata"].keys() <= {"name", "namespace", "labels", "annotations"} for obj in found)
    assert [obj["metadata"]["name"] for obj in found if obj["kind"] == "LimitOverride"] == ["launch"]


async def test_hosts_keep_their_owners_and_limits_stand_before_routes_open(fleet, backup):
    before = await in_place(fleet)
    async with running_fleet() as empty:
        for name in ("inference-gw", "tidegate-system"):
            await empty.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        async with manager_at(empty) as command, recorded(empty, "EnvoyFilter", "VirtualService") as seen:
            code, _, error = await command("apply", "-f", str(backup / ACCEPTED))
            assert (code, error) == (0, "")
            await until(lambda: is_programmed(empty, "ranker", "search"), what="the model being programmed")
            await empty.apply(*yaml.safe_load_all((backup / REJECTED).read_text()))
            await until(lambda: is_accepted(empty, "ads", "False"), what="the claim being rejected as before")
            assert await is_accepted(empty, "search", "True")
            assert await in_place(empty) == before
        assert _first(seen, "EnvoyFilter", _limits_the_model) < _first(seen, "VirtualService", _serves_the_model)


async def test_documents_that_are_there_before_the_manager_become_the_same_in_any_order(fleet, backup):
    before = await in_place(fleet)
    documents = list(yaml.safe_load_all((backup / ACCEPTED).read_text()))
    async with running_fleet() as empty:
        for name, labels in (("inference-gw", {}), ("tidegate-system", {}), ("search", {TENANT: "search"})):
            metadata = {"name": name, "labels": labels}
            await empty.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await empty.apply(*reversed(documents))
        async with recorded(empty, "EnvoyFilter", "VirtualService") as seen, manager_at(empty):
            await until(lambda: is_programmed(empty, "ranker", "search"), what="the model being programmed")
            await until(lambda: is_accepted(empty, "media", "True"), what="the third tenant")
            assert await in_place(empty) == before
        assert _first(seen, "EnvoyFilter", _limits_the_model) < _first(seen, "VirtualService", _serves_the_model)


async def test_a_folder_that_cannot_be_written_is_a_sentence(fleet, tmp_path):
    (tmp_path / "file").write_text("")
    async with manager_at(fleet) as command:
        await make_search(fleet)
        code, _, error = await command("backup", str(tmp_path / "file" / "below"))
    assert code == 2 and "name a folder that can be written" in error


def _first(seen, kind, holds):
    return next(int(obj["metadata"]["resourceVersion"]) for obj in seen if obj["kind"] == kind and holds(obj))


def _limits_the_model(slot):
    return any(key.route.endswith("/search/virtual-service/ranker") for key, _ in limits_of(slot))


def _serves_the_model(route):
    return route["metadata"]["name"] == "ranker"
