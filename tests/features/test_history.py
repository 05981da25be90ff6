"""The history of documents: who changed what, when and why, whatever way they took; and the way back."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import yaml

from istio_templates.facts import ObjectKey
from k8s_manager.history.deletion_records import DeletionRecords, outlines
from k8s_manager.history.revision import ChangeAuthor, revision, uid_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Forbidden, Unavailable
from k8s_manager.kube.fence import Fence, FencedClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock
from tests.features.conftest import is_programmed, make_search
from tests.features.test_access import as_, made
from tests.support.bounds import slowness
from tests.support.documents import API, gateway, model, tenant
from tests.support.fleet import SETTINGS
from tests.support.waiting import until
from tests.warmup.plans import plan

RANKER = "/v1/tenants/search/models/ranker"


@pytest.fixture
async def rest(fleet, tmp_path):
    async with fleet.manager() as manager, fleet.rest(manager, made(tmp_path, anna=[], bob=[])) as calls:
        await make_search(fleet)
        for name in ("anna", "bob"):
            await calls.call("PUT", f"/v1/grants/{name}", {"spec": {"role": "platformAdmin", "users": [name]}})
        calls.fleet = fleet
        yield calls


async def history(rest, count: int, path: str = RANKER) -> list[dict]:
    async def there():
        items = (await rest.call("GET", f"{path}/history"))[1]["items"]
        return items if len(items) == count else None

    return await until(there, what=f"{count} revisions")


class WithoutRevisions(KubeClient):
    """The client of a manager whose revisions the API server does not take for a while."""

    refuses = True

    async def call(self, method, path, what, *more):
        if method == "POST" and path.endswith("/controllerrevisions") and self.refuses:
            raise Unavailable(f"{what}: 503")
        return await super().call(method, path, what, *more)


async def test_what_could_not_be_recorded_in_time_is_recorded_when_it_can_be(fleet):
    clients = []

    def connect(server, session):
        clients.append(WithoutRevisions(server, session))
        return clients[-1]

    async with fleet.manager(connect=connect) as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        for generation in (1, 2, 3, 4):
            if generation > 1:
                await fleet.apply(model(rateLimit={"perReplicaQps": 30 + generation}))
            await until(partial(has_been_tried, manager.loops.history, generation), what="the revision being tried")
        for client in clients:
            client.refuses = False
        found = await history(rest, 4)
    assert [item["revision"] for item in found] == [4, 3, 2, 1]
    assert {item["by"] for item in found} == {"a client named kubectl"}


class SecondAndWithoutReading(KubeClient):
    """The client of a manager whose revisions another one has just written, with the rights that a role gives."""

    async def call(self, method, path, what, *more):
        if method == "GET" and "/controllerrevisions/" in path:
            raise Forbidden(f"{what}: the role has no such verb")
        if method == "POST" and path.endswith("/controllerrevisions"):
            await super().call(method, path, what, *more)
        return await super().call(method, path, what, *more)


async def test_a_revision_that_another_manager_has_written_is_not_tried_again(fleet):
    async with fleet.manager(connect=SecondAndWithoutReading) as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        await history(rest, 1)
        await until(lambda: not manager.loops.history._unwritten, what="all revisions being known")
        assert not manager.loops.history._lane.failed


def has_been_tried(recorder, generation) -> bool:
    """Tell whether the model's revision failed at its write: who changed the document is known by then."""
    failed = [recorder._unwritten[version] for version in recorder._lane.failed if version in recorder._unwritten]
    return ("Model", generation) in [(obj["kind"], obj["metadata"]["generation"]) for obj in failed]


def rated(qps: float) -> dict:
    return {"spec": {**model()["spec"], "rateLimit": {"perReplicaQps": qps}}}


async def test_every_change_is_a_revision_with_its_author_and_reason_and_one_leads_back(rest):
    await history(rest, 1)
    path = f"{RANKER}?reason=a%20faster%20card&ticket=OPS-7"
    await rest.call("PUT", path, rated(30), {**as_("anna"), "If-Match": "*"})
    await rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": 4}, as_("bob"))
    last, faster, first = await history(rest, 3)
    assert (last["revision"], last["by"], last["current"]) == (3, "bob", True)
    assert {
        "revision": 2,
        "by": "anna",
        "reason": "a faster card",
        "ticket": "OPS-7",
        "current": False,
    }.items() <= faster.items()
    assert first["by"] == "a client named kubectl"
    _, told = await rest.call("GET", f"{RANKER}/history/2?against=1")
    assert told["spec"]["rateLimit"] == {"perReplicaQps": 30}
    assert "-  perReplicaQps: 20" in told["diff"] and "+  perReplicaQps: 30" in told["diff"]
    _, plan = await rest.call("POST", f"{RANKER}/rollback?dryRun=true", {"revision": 1}, as_("anna"))
    assert plan["dryRun"] and (await rest.call("GET", RANKER))[1]["spec"]["rateLimit"]["perReplicaQps"] == 30
    status, answer = await rest.call("POST", f"{RANKER}/rollback", {"revision": 1, "ticket": "OPS-8"}, as_("anna"))
    assert status == 200 and answer["spec"] == model()["spec"]
    back = (await history(rest, 4))[0]
    assert (back["by"], back["reason"], back["ticket"]) == ("anna", "back to revision 1", "OPS-8")
    event = await until(lambda: _event(rest.fleet, "revision 2 by anna: a faster card"), what="the event")
    assert event["reason"] == "Changed" and event["involvedObject"]["kind"] == "Model"


async def _event(fleet, message: str):
    found, _ = await fleet.client.list(RESOURCES["Event"], "", "search")
    return next((event for event in found if event["message"] == message), None)


async def test_what_looks_through_all_histories_holds_no_document(rest):
    await history(rest, 1)
    found = await outlines(rest.fleet.client)
    assert len(found) >= 3 and not [obj for obj in found if "data" in obj]
    assert all(uid_of(obj) and obj["revision"] >= 1 for obj in found)


async def test_who_edits_with_another_client_is_not_taken_for_who_changed_it_before(rest):
    await history(rest, 1)
    await rest.call("PUT", RANKER, rated(30), {**as_("anna"), "If-Match": "*"})
    await history(rest, 2)
    edited = model(rateLimit={"perReplicaQps": 40})
    await rest.fleet.apply(edited, manager="argocd-controller")
    assert (await history(rest, 3))[0]["by"].startswith("a client named argocd-controller")
    await rest.call("PUT", RANKER, rated(50), {**as_("bob"), "If-Match": "*"})
    assert (await history(rest, 4))[0]["by"] == "bob"


async def test_a_document_that_was_exported_or_carries_a_made_up_mark_names_its_client(rest):
    await history(rest, 1)
    await rest.call("PUT", RANKER, rated(30), {**as_("anna"), "If-Match": "*"})
    exported = (await rest.fleet.get("Model", "ranker", "search"))["metadata"]["annotations"]
    await rest.call("PUT", RANKER, rated(31), {**as_("bob"), "If-Match": "*"})
    again = model(rateLimit={"perReplicaQps": 32})
    again["metadata"]["annotations"] = exported
    await asyncio.sleep(1.1)  # Kubernetes tells who wrote when to the second
    await rest.fleet.apply(again)
    assert (await history(rest, 4))[0]["by"] == "a client named kubectl"
    made_up = {"by": "the boss", "reason": "", "ticket": "", "uid": "", "generation": 5}
    forged = model(rateLimit={"perReplicaQps": 33})
    forged["metadata"]["annotations"] = {"tidegate.dev/change": json.dumps(made_up)}
    await rest.fleet.apply(forged)
    assert (await history(rest, 5))[0]["by"] == "a client named kubectl"


async def test_what_changes_nothing_is_no_revision_and_a_refused_document_neither(rest):
    await history(rest, 1)
    before = await rest.fleet.settled(1.5)
    _, read = await rest.call("GET", RANKER)
    assert (await rest.call("PUT", RANKER, {"spec": read["spec"]}, {**as_("anna"), "If-Match": "*"}))[0] == 200
    after = await rest.fleet.settled(1.5)
    assert after - before == {"models": 1}  # the API server is asked, and keeps what it has
    await rest.fleet.apply(model(routes=[{"host": "not.ours.example.com", "path": "/x", "port": 8080}]))
    await until(lambda: _refused(rest.fleet), what="the refusal")
    await rest.fleet.settled(1.5)
    assert len(await history(rest, 1)) == 1


async def _refused(fleet) -> bool:
    return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"


async def test_the_last_20_are_kept_and_stay_when_their_document_goes(rest):
    await history(rest, 1)
    for qps in range(30, 80):
        assert (await rest.call("PUT", RANKER, rated(qps), {**as_("anna"), "If-Match": "*"}))[0] == 200

    async def last_20():
        items = (await rest.call("GET", f"{RANKER}/history"))[1]["items"]
        return [item["revision"] for item in items] == list(range(51, 31, -1))

    await until(last_20, what="the last twenty revisions")

    async def few_more():
        return 20 <= len((await rest.fleet.client.list(RESOURCES["ControllerRevision"], "", "search"))[0]) < 40

    await until(few_more, what="the others being gone")
    await rest.call("DELETE", RANKER, None, as_("anna"))
    deletion, *others = await history(rest, 21)
    assert (deletion["revision"], deletion["deletion"], deletion["by"]) == (52, True, "anna")
    assert [item["revision"] for item in others] == list(range(51, 31, -1))


async def test_gateways_tenants_and_grants_have_a_history_too(rest):
    for path in ("/v1/gateways/shared", "/v1/tenants/search", "/v1/grants/anna"):
        (only,) = await history(rest, 1, path)
        assert only["current"], path
    status, problem = await rest.call("GET", "/v1/gateways/shared/history/7")
    assert status == 404 and "revisions are: 1" in problem["detail"]
    for body, words in (
        ({"revision": "1"}, "revision"),
        ({"revision": 0}, "revision"),
        ({"revision": 1, "why": ""}, "why"),
    ):
        status, problem = await rest.call("POST", "/v1/gateways/shared/rollback", body)
        assert status == 422 and words in json.dumps(problem)


async def test_a_manager_that_starts_later_records_what_it_finds_once(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await until(lambda: _count(fleet, 3), what="three revisions")
    await fleet.apply(model(rateLimit={"perReplicaQps": 11}))
    async with fleet.manager():
        await until(lambda: is_programmed(fleet, "ranker", "search"))
        await until(lambda: _count(fleet, 4), what="the change that nobody saw")
    async with fleet.manager():
        await fleet.settled(3)
        assert await _count(fleet, 4)


async def test_the_writers_of_many_documents_are_read_by_a_list(fleet):
    names = [f"team-{number}" for number in range(25)]
    await fleet.apply(gateway(), *(tenant(name) for name in names))
    # However slowly documents are accepted, they are recorded together.
    async with fleet.manager(dataclasses.replace(SETTINGS, history_quiet=2 * slowness())):
        await until(lambda: _count(fleet, 26), what="a revision of every document")
    calls = sum(n for (verb, what, _), n in fleet.api.counts.items() if verb == "GET" and what.endswith("tenants"))
    assert calls < len(names), "one GET for each document"
    found, _ = await fleet.client.list(RESOURCES["ControllerRevision"])
    authors = {json.loads(obj["metadata"]["annotations"]["tidegate.dev/revision-change"])["by"] for obj in found}
    assert authors == {"a client named kubectl"}


async def _count(fleet, count: int) -> bool:
    found, _ = await fleet.client.list(RESOURCES["ControllerRevision"])
    return len(found) == count


async def test_a_mark_that_is_nonsense_is_nobodys(rest):
    await history(rest, 1)
    changed = gateway()
    changed["spec"]["listeners"][0]["port"] = 8090
    changed["metadata"]["annotations"] = {"tidegate.dev/change": yaml.safe_dump({"by": ["x"]})}
    await rest.fleet.apply(changed)
    assert (await history(rest, 2, "/v1/gateways/shared"))[0]["by"] == "a client named kubectl"


async def test_overrides_have_a_history_and_who_goes_back_is_their_author(rest):
    path = "/v1/overrides/night"
    ends = (datetime.now(UTC) + timedelta(hours=8)).isoformat(timespec="seconds")
    spec = {"reason": "INC-7", "expires": ends, "target": {"tenant": "search"}, "total": 5}
    status, _ = await rest.call("PUT", f"{path}?reason=too%20hot", {"spec": spec}, as_("anna"))
    assert status == 201
    await history(rest, 1, path)
    await rest.call("PATCH", path, {"spec": {"total": 9}}, as_("bob"))
    last, first = await history(rest, 2, path)
    assert [(last["by"], first["by"]), (first["reason"], last["current"])] == [("bob", "anna"), ("too hot", True)]
    status, answer = await rest.call("POST", f"{path}/rollback", {"revision": 1}, as_("bob"))
    assert (status, answer["spec"]["total"], answer["spec"]["author"]) == (200, 5, "bob")
    short = {"total": 3, "reason": "INC-8", "ttl": "1h"}
    assert (await rest.call("PUT", f"{RANKER}/limit/override", short, as_("anna")))[0] == 201
    (name,) = [
        o["metadata"]["name"]
        for o in (await rest.call("GET", "/v1/overrides"))[1]["items"]
        if o["metadata"]["name"] != "night"
    ]
    (made,) = await history(rest, 1, f"/v1/overrides/{name}")
    assert (made["by"], made["reason"]) == ("anna", "INC-8")


async def test_a_warmup_plan_that_stands_alone_has_revisions_as_well(rest):
    found = {"apiVersion": API, "kind": "WarmupPlan", "metadata": {"name": "usual", "namespace": "search"}}
    await rest.fleet.apply({**found, "spec": plan(target={"protocol": "oip-rest", "port": 8080})})

    async def recorded():
        made, _ = await rest.fleet.client.list(RESOURCES["ControllerRevision"], "", "search")
        return [obj for obj in made if obj["metadata"]["name"].startswith("warmupplan.usual.")]

    assert len(await until(recorded, what="the plan's revision")) == 1


async def gone(rest, kind: str, name: str, namespace: str = "") -> None:
    async def look():
        return await rest.fleet.get(kind, name, namespace) is None

    await until(look, what=f"{kind} {name} being gone")


PLACES = (
    ("Model", "ranker", "search", RANKER),
    ("AccessGrant", "bob", "", "/v1/grants/bob"),
    ("LimitOverride", "night", "tidegate-system", "/v1/overrides/night"),
    ("Tenant", "search", "", "/v1/tenants/search"),
)


async def make_override(rest) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=8)).isoformat(timespec="seconds")
    spec = {"reason": "INC-7", "expires": ends, "target": {"tenant": "search"}, "total": 5}
    assert (await rest.call("PUT", "/v1/overrides/night", {"spec": spec}, as_("anna")))[0] == 201


@pytest.mark.parametrize(("kind", "name", "namespace", "path"), PLACES, ids=[place[0] for place in PLACES])
async def test_a_deleted_document_tells_who_deleted_it_and_is_made_again(rest, kind, name, namespace, path):
    await make_override(rest)
    await history(rest, 1, path)
    before = (await rest.call("GET", path))[1]
    status, _ = await rest.call("DELETE", f"{path}?cascade=true&reason=not%20used&ticket=OPS-9", None, as_("anna"))
    assert status == 202
    deletion, made = await history(rest, 2, path)
    told = {name: deletion[name] for name in ("by", "reason", "ticket", "current", "deletion")}
    assert told == {"by": "anna", "reason": "not used", "ticket": "OPS-9", "current": False, "deletion": True}
    assert not made["deletion"] and not made["current"]
    await gone(rest, kind, name, namespace)
    status, shown = await rest.call("GET", f"{path}/history/{deletion['revision']}")
    assert (status, shown["spec"]) == (200, before["spec"])
    status, problem = await rest.call("POST", f"{path}/rollback", {"revision": 77}, as_("anna"))
    assert status == 404 and f"revisions are: {deletion['revision']}, 1" in problem["detail"]
    status, answer = await rest.call("POST", f"{path}/rollback", {}, as_("anna"))
    assert status == 200, answer
    after = (await rest.call("GET", path))[1]
    assert after["spec"] == before["spec"] and after["metadata"]["uid"] != before["metadata"]["uid"]
    (again,) = await history(rest, 1, path)
    assert (again["by"], again["reason"]) == ("anna", f"back to revision {deletion['revision']}")
    earlier = (await rest.call("GET", f"{path}/history?deleted=true"))[1]["items"]
    assert [item["deletion"] for item in earlier] == [True, False]


async def test_what_is_deleted_another_way_is_told_as_gone(rest):
    await make_override(rest)
    for path in ("/v1/overrides/night", "/v1/grants/bob", RANKER):
        await history(rest, 1, path)
    for kind, namespace, name in (
        ("LimitOverride", "tidegate-system", "night"),
        ("AccessGrant", "", "bob"),
        ("Model", "search", "ranker"),
    ):
        await rest.fleet.client.delete(ObjectKey(kind, namespace, name))
    for path in ("/v1/overrides/night", "/v1/grants/bob", RANKER):
        deletion, _ = await history(rest, 2, path)
        assert (deletion["by"], deletion["deletion"]) == ("an unknown client", True), path


async def test_a_deletion_that_no_manager_saw_is_told_by_the_next(fleet):
    async with fleet.manager():
        await make_search(fleet)
        grant = {"role": "platformAdmin", "users": ["anna"]}
        await fleet.apply({"apiVersion": API, "kind": "AccessGrant", "metadata": {"name": "ops"}, "spec": grant})
        await until(lambda: _count(fleet, 4), what="four revisions")
    await fleet.client.delete(ObjectKey("AccessGrant", "", "ops"))
    async with fleet.manager():
        await until(lambda: _deletions(fleet, {"ops"}), what="the deletion")


async def _deletions(fleet, names: set[str]) -> bool:
    found, _ = await fleet.client.list(RESOURCES["ControllerRevision"], "tidegate.dev/revision-deletion")
    return {obj["metadata"]["labels"]["tidegate.dev/revision-of"] for obj in found} == names


async def test_a_rollback_of_a_deleted_document_is_admitted_like_any_other(rest):
    await history(rest, 1)
    await rest.call("DELETE", RANKER, None, as_("anna"))
    await gone(rest, "Model", "ranker", "search")
    other = {"spec": model()["spec"]}
    assert (await rest.call("PUT", "/v1/tenants/search/models/other", other, as_("bob")))[0] == 201
    status, problem = await rest.call("POST", f"{RANKER}/rollback", {}, as_("anna"))
    assert status == 409 and "search/other" in json.dumps(problem)
    status, plan = await rest.call("POST", f"{RANKER}/rollback?dryRun=true", {}, as_("anna"))
    assert status == 409, plan


async def test_labels_of_a_deleted_document_come_back_with_it(rest):
    body = {"metadata": {"labels": {"team": "search"}}, **rated(31)}
    await history(rest, 1)
    await rest.call("PUT", RANKER, body, {**as_("anna"), "If-Match": "*"})
    await history(rest, 2)
    await rest.call("DELETE", RANKER, None, as_("anna"))
    await gone(rest, "Model", "ranker", "search")
    await history(rest, 3)
    assert (await rest.call("POST", f"{RANKER}/rollback", {"revision": 2}, as_("bob")))[0] == 200
    assert (await rest.call("GET", RANKER))[1]["metadata"]["labels"] == {"team": "search"}


async def test_what_never_was_has_no_history(rest):
    for path in ("/v1/tenants/search/models/nothing", "/v1/grants/nothing"):
        for method, tail, body in (("GET", "history", None), ("GET", "history/1", None), ("POST", "rollback", {})):
            status, problem = await rest.call(method, f"{path}/{tail}", body)
            assert status == 404 and "there is no" in problem["detail"], problem
    status, problem = await rest.call("GET", f"{RANKER}/history?deleted=true")
    assert status == 404 and "no history of a deleted Model search/ranker" in problem["detail"]


async def test_revisions_of_an_earlier_tidegate_outlive_their_document(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await until(lambda: _count(fleet, 3), what="three revisions")
    live = await fleet.get("Model", "ranker", "search")
    owner = {"apiVersion": API, "kind": "Model", "name": "ranker", "uid": live["metadata"]["uid"]}
    key = ObjectKey("ControllerRevision", "search", f"model.ranker.{live['metadata']['uid'][:8]}.1")
    labels = {"tidegate.dev/revision-uid": None}
    await fleet.client.merge(key, {"metadata": {"ownerReferences": [owner], "labels": labels}})
    async with fleet.manager():

        async def adopted():
            return not (await fleet.client.get(key))["metadata"].get("ownerReferences")

        await until(adopted, what="the owner being taken away")
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: _deletions(fleet, {"ranker"}), what="the deletion")
        assert await fleet.client.get(key)


async def test_histories_of_deleted_documents_end_after_a_while(fleet):
    async with fleet.manager():
        await make_search(fleet)
        await until(lambda: _count(fleet, 3), what="three revisions")
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: _deletions(fleet, {"ranker"}), what="the deletion")
        for days, left in ((29, 4), (31, 2)):
            await DeletionRecords(
                fleet.client, FencedClient(fleet.client, Fence(None)), Store((), LaterClock(0)), LaterClock(days)
            ).clean_up()
            assert await _count(fleet, left), days


class LaterClock(SystemClock):
    """A clock that is so many days ahead."""

    def __init__(self, days: int) -> None:
        self._ahead = timedelta(days=days)

    def utc(self) -> datetime:
        return super().utc() + self._ahead


async def test_a_document_that_was_seen_only_while_it_went_is_told_as_gone(fleet):
    """Another manager wrote its revision, and it was deleted before this one passed."""
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate-system"}})
    metadata = {"name": "ops", "uid": "1f2e3d4c-0", "generation": 1}
    spec = {"role": "platformAdmin", "users": ["anna"]}
    document = {"apiVersion": API, "kind": "AccessGrant", "metadata": metadata, "spec": spec}
    await fleet.client.create(revision(document, ChangeAuthor("anna"), "tidegate-system"))
    records = DeletionRecords(
        fleet.client,
        FencedClient(fleet.client, Fence(None)),
        Store(("AccessGrant", "Namespace"), SystemClock()),
        SystemClock(),
    )
    records.learn([])
    records.see([{**document, "metadata": {**metadata, "deletionTimestamp": "2026-11-28T00:00:00Z"}}])
    for _ in range(2):
        assert await records.record_missing() is None
        assert await _deletions(fleet, {"ops"})
