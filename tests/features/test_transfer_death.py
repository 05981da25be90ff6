"""A manager that dies in the middle of a host's transfer: whoever leads next finishes it, and nobody comes between."""

import dataclasses

import pytest

from istio_templates.errors import Conflict
from istio_templates.facts import ObjectKey
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.world.change_records import TRANSFER, TransferRecord, transfer_of
from tests.features.conftest import make_search
from tests.support.documents import HOST, tenant
from tests.support.dying_client import call_until_death
from tests.support.fleet import SETTINGS
from tests.support.waiting import until

OLD = "old.models.example.com"
AT_ONCE = dataclasses.replace(SETTINGS, change_patience=0.0)
WAYS = [{"tenant": "guest", "paths": ["/v2/models/guest"]}]


def is_tenant_write(method, path):
    return method != "GET" and "/tenants/" in path and not path.endswith("/status")


async def two_tenants(fleet):
    await make_search(fleet)
    hosts = [{"name": HOST}, {"name": OLD}]
    await fleet.apply(tenant(hosts=hosts), tenant("ads"))
    await until(lambda: fleet.get("Namespace", "ads"), what="the namespace of ads")
    await until(lambda: _serves(fleet, "search"), what="the gateway having the host")


async def _serves(fleet, name):
    found = await fleet.get("Gateway", f"tenant-{name}", "inference-gw")
    return found is not None and OLD in str(found["spec"]["servers"])


async def owners(fleet):
    found = {name: await fleet.get("Tenant", name) for name in ("search", "ads")}
    return {name for name, obj in found.items() if OLD in [host["name"] for host in obj["spec"]["hosts"]]}


async def is_settled(fleet, owner):
    receiver = await fleet.get("Tenant", "ads")
    return await owners(fleet) == {owner} and TRANSFER not in (receiver["metadata"].get("annotations") or {})


@pytest.mark.parametrize("sent", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3, 4])
async def test_a_transfer_is_finished_after_a_death_at_every_write(fleet, write, sent):
    change = ChangeAuthor("an operator", "moved")
    await call_until_death(
        fleet,
        is_tenant_write,
        (write, sent),
        two_tenants,
        lambda m: m.backend.transfers.give(OLD, "ads", "search", change),
    )
    began = sent or write > 1
    async with fleet.manager(AT_ONCE):
        await until(lambda: is_settled(fleet, "ads" if began else "search"), what="one owner, and nothing left to do")
        if began:
            await until(lambda: _serves(fleet, "ads"), what="the host being served for its new owner")


async def test_nobody_else_gets_a_host_whose_transfer_is_not_finished(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await two_tenants(fleet)
        record = TransferRecord(OLD, "search", {"name": OLD}, "an operator")
        await fleet.client.merge(_key("ads"), {"metadata": {"annotations": {TRANSFER: record.text()}}})
        await fleet.apply(tenant(hosts=[{"name": HOST}]))
        await until(lambda: _not(_serves(fleet, "search")), what="the gateway letting the host go")
        status, _ = await rest.call("PUT", "/v1/tenants/thief", {"spec": tenant("thief", OLD)["spec"]})
        assert status == 409
        with pytest.raises(Conflict, match="is about to receive"):
            await manager.backend.transfers.give(HOST, "ads", "search", ChangeAuthor("another"))
    async with fleet.manager(AT_ONCE):
        await until(lambda: is_settled(fleet, "ads"), what="the transfer being finished")


async def test_a_transfer_whose_host_another_tenant_has_got_is_given_up(fleet):
    async with fleet.manager():
        await two_tenants(fleet)
        record = TransferRecord(OLD, "former", {"name": OLD, "delegations": WAYS}, "an operator")
        await fleet.client.merge(_key("ads"), {"metadata": {"annotations": {TRANSFER: record.text()}}})
    async with fleet.manager(AT_ONCE):
        await until(lambda: is_settled(fleet, "search"), what="the record being gone")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": 1, "source": "a", "claim": {}, "by": ""}', "null"])
def test_a_record_that_cannot_be_read_is_none(text):
    assert transfer_of({"metadata": {"annotations": {TRANSFER: text}}}) is None


def test_a_record_reads_as_it_was_written():
    record = TransferRecord(OLD, "search", {"name": OLD, "delegations": WAYS}, "an operator", "moved", "T-1")
    assert transfer_of({"metadata": {"annotations": {TRANSFER: record.text()}}}) == record
    assert record.received == {"name": OLD}


def _key(name):
    return ObjectKey("Tenant", "", name)


async def _not(found):
    return not await found
