"""A manager that dies while it deletes a document with all that depends on it: the next leader finishes that."""

import dataclasses

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.world.change_records import CASCADE, CascadeRecord, cascade_of
from tests.features.conftest import make_search
from tests.support.documents import HOST, model, tenant
from tests.support.dying_client import call_until_death
from tests.support.fleet import SETTINGS
from tests.support.waiting import until

KEY = ObjectKey("Tenant", "", "search")
AT_ONCE = dataclasses.replace(SETTINGS, change_patience=0.0)
ANNA = ChangeAuthor("anna", "the team is gone", "OPS-1")


def is_step(method, path):
    """Tell whether a write is the record of a deletion, or the deletion of a document."""
    if path.endswith("/status") or "tidegate.dev" not in path:
        return False
    return method == "DELETE" or (method == "PATCH" and path.endswith("/tenants/search"))


async def two_models(fleet):
    await make_search(fleet)
    await fleet.apply(model("other"))
    await until(lambda: fleet.get("VirtualService", "other", "search"), what="both models being served")


async def documents(fleet):
    found = [await fleet.get("Model", name, "search") for name in ("ranker", "other")]
    return [obj["metadata"]["name"] for obj in [*found, await fleet.get("Tenant", "search")] if obj]


async def assert_given_up(fleet, record):
    """Leave a record as a manager that died did, and see the next leader give it up."""
    await fleet.client.merge(KEY, {"metadata": {"annotations": {CASCADE: record.text()}}})
    async with fleet.manager(AT_ONCE):
        await until(lambda: _is_forgotten(fleet), what="the record being gone")
        assert await documents(fleet) == ["ranker", "other", "search"]


@pytest.mark.parametrize("sent", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3, 4])
async def test_a_cascade_is_finished_after_a_death_at_every_write(fleet, write, sent):
    write_request = WriteRequest(match="*", change=ANNA)
    await call_until_death(
        fleet, is_step, (write, sent), two_models, lambda m: m.backend.deletion.delete(KEY, True, write_request)
    )
    began = sent or write > 1
    async with fleet.manager(AT_ONCE) as manager:
        if not began:
            await fleet.settled()
            assert await documents(fleet) == ["ranker", "other", "search"]
            return
        await until(lambda: _not(documents(fleet)), what="the tenant and its models being gone")
        if (write, sent) != (4, True):  # else it died before it could say who asked for the last one
            await until(lambda: _told(manager), what="the deletion in the tenant's history")


async def _told(manager):
    try:
        newest = (await manager.backend.history.of(KEY, None))[0]
    except LookupError:
        return False
    return "anna" in str(newest["metadata"]["annotations"])


async def test_what_was_made_since_ends_a_cascade_that_was_not_finished(fleet):
    async with fleet.manager():
        await two_models(fleet)
    await assert_given_up(fleet, CascadeRecord("2020-01-01T00:00:00Z", "anna"))


async def test_a_cascade_that_guests_prevent_meanwhile_is_given_up(fleet):
    async with fleet.manager():
        await two_models(fleet)
        claim = {"name": HOST, "delegations": [{"path": "/ads", "tenant": "ads"}]}
        await fleet.apply(tenant(hosts=[claim]), tenant("ads"))
        await until(lambda: fleet.get("Namespace", "ads"), what="the guest's namespace")
        await fleet.apply(model("banner", "ads", routes=[{"host": HOST, "path": "/ads", "port": 8080}]))
    await assert_given_up(fleet, CascadeRecord("2999-01-01T00:00:00Z", "anna"))


async def test_a_cascade_holds_for_the_version_that_the_caller_has_read(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await two_models(fleet)
        _, problem = await rest.call("DELETE", "/v1/tenants/search?cascade=true", None, {"If-Match": '"stale"'})
        assert problem["status"] == 412
        assert await _is_forgotten(fleet)
        _, live, headers = await rest.full("GET", "/v1/tenants/search")
        status, _ = await rest.call("DELETE", "/v1/tenants/search?cascade=true", None, {"If-Match": headers["ETag"]})
        assert status == 202, live
        await until(lambda: _not(documents(fleet)), what="all of it being gone")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"newest": 1, "by": ""}', '{"newest": "a", "who": ""}', "null"])
def test_a_record_that_cannot_be_read_is_none(text):
    assert cascade_of({"metadata": {"annotations": {CASCADE: text}}}) is None


async def _is_forgotten(fleet):
    live = await fleet.get("Tenant", "search")
    return CASCADE not in (live["metadata"].get("annotations") or {})


async def _not(found):
    return not await found
