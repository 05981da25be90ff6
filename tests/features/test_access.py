"""Who may do what through the REST API: every role, tenant and endpoint; and what a call leaves behind."""

import asyncio
import json

import pytest

from k8s_manager.api.authn.static_tokens import StaticTokens, hashed
from k8s_manager.authz.endpoints import NEEDS, Scope
from tests.features.conftest import make_search
from tests.support.bounds import hung
from tests.support.documents import model, tenant
from tests.support.fleet import TOKEN
from tests.support.waiting import until

PEOPLE = ("nobody", "viewer", "operator", "admin", "owner", "auditor", "platform-operator", "platform-admin")
GRANTS = {
    "viewer": {"role": "viewer", "users": ["viewer"], "tenants": ["search"]},
    "operator": {"role": "tenantOperator", "groups": ["search-operators"], "tenants": ["search"]},
    "admin": {"role": "tenantAdmin", "users": ["admin"], "tenants": ["search"]},
    "auditor": {"role": "viewer", "users": ["auditor"]},
    "platform-operator": {"role": "platformOperator", "users": ["platform-operator"]},
    "platform-admin": {"role": "platformAdmin", "users": ["platform-admin"]},
}
GROUPS = {"operator": ["search-operators"], "owner": ["search-ml"]}

# One letter for each of PEOPLE. In the caller's own tenant, in another one, in one that is not there:
# a allowed, d denied (403), h hidden: 404 as if there were no such tenant.
TENANT_READ = ("haaaaaaa", "hhhhhaaa", "hhhhhaaa")
TENANT_OPERATE = ("hdaaadaa", "hhhhhdaa", "hhhhhdaa")
TENANT_EDIT = ("hddaadda", "hhhhhdda", "hhhhhdda")
FLEET_READ = ("dddddaaa",) * 3
FLEET_OVERRIDE = ("ddddddaa",) * 3
FLEET_MANAGE = ("ddddddda",) * 3
ANYWHERE = ("daaaaaaa",) * 3
KNOWN = ("aaaaaaaa",) * 3
MODELS = "/v1/tenants/{tenant}/models"
ONE = MODELS + "/ranker"
REGISTRY = "/v1/tenants/{tenant}/modelversions"
CALLERS = "/v1/tenants/{tenant}/callers"
MATRIX = {
    ("GET", "/v1/whoami"): KNOWN,
    ("GET", "/v1/events?follow=false"): ANYWHERE,
    ("POST", "/v1/simulate"): ANYWHERE,
    ("POST", "/v1/render"): ANYWHERE,
    ("POST", "/v1/plan"): ANYWHERE,
    ("GET", "/v1/git"): FLEET_READ,
    ("GET", "/v1/doctor"): FLEET_READ,
    ("GET", "/v1/audit"): FLEET_MANAGE,
    ("GET", "/v1/claims"): ANYWHERE,
    ("GET", "/v1/models"): ANYWHERE,
    ("PUT", "/v1/claims/none.example.com"): FLEET_MANAGE,
    ("DELETE", "/v1/claims/none.example.com"): FLEET_MANAGE,
    ("GET", "/v1/gateways"): FLEET_READ,
    ("GET", "/v1/gateways/shared"): FLEET_READ,
    ("GET", "/v1/gateways/none"): FLEET_READ,
    ("PUT", "/v1/gateways/shared"): FLEET_MANAGE,
    ("PATCH", "/v1/gateways/shared"): FLEET_MANAGE,
    ("DELETE", "/v1/gateways/none"): FLEET_MANAGE,
    ("GET", "/v1/gateways/shared/history"): FLEET_READ,
    ("GET", "/v1/gateways/shared/history/1"): FLEET_READ,
    ("POST", "/v1/gateways/shared/rollback"): FLEET_MANAGE,
    ("GET", "/v1/overrides/none/history"): FLEET_READ,
    ("GET", "/v1/overrides/none/history/1"): FLEET_READ,
    ("POST", "/v1/overrides/none/rollback"): FLEET_OVERRIDE,
    ("GET", "/v1/grants/viewer/history"): FLEET_MANAGE,
    ("GET", "/v1/grants/viewer/history/1"): FLEET_MANAGE,
    ("POST", "/v1/grants/viewer/rollback"): FLEET_MANAGE,
    ("GET", "/v1/tenants/{tenant}/history"): TENANT_READ,
    ("GET", "/v1/tenants/{tenant}/history/1"): TENANT_READ,
    ("POST", "/v1/tenants/{tenant}/rollback"): FLEET_MANAGE,
    ("GET", ONE + "/history"): TENANT_READ,
    ("GET", ONE + "/history/1"): TENANT_READ,
    ("POST", ONE + "/rollback"): TENANT_EDIT,
    ("GET", "/v1/grants"): FLEET_MANAGE,
    ("GET", "/v1/grants/viewer"): FLEET_MANAGE,
    ("PUT", "/v1/grants/new"): FLEET_MANAGE,
    ("PATCH", "/v1/grants/none"): FLEET_MANAGE,
    ("DELETE", "/v1/grants/none"): FLEET_MANAGE,
    ("GET", "/v1/overrides"): ANYWHERE,
    ("GET", "/v1/overrides/none"): ANYWHERE,
    ("PUT", "/v1/overrides/new"): FLEET_OVERRIDE,
    ("PATCH", "/v1/overrides/none"): FLEET_OVERRIDE,
    ("DELETE", "/v1/overrides/none"): FLEET_OVERRIDE,
    ("GET", "/v1/tenants"): ANYWHERE,
    ("GET", "/v1/tenants/{tenant}"): TENANT_READ,
    ("PUT", "/v1/tenants/{tenant}"): FLEET_MANAGE,
    ("PATCH", "/v1/tenants/{tenant}"): FLEET_MANAGE,
    ("DELETE", "/v1/tenants/{tenant}?dryRun=true"): FLEET_MANAGE,
    ("GET", "/v1/tenants/{tenant}/overrides"): TENANT_READ,
    ("GET", "/v1/tenants/{tenant}/overrides/none"): TENANT_READ,
    ("PUT", "/v1/tenants/{tenant}/overrides/new"): TENANT_OPERATE,
    ("PATCH", "/v1/tenants/{tenant}/overrides/none"): TENANT_OPERATE,
    ("DELETE", "/v1/tenants/{tenant}/overrides/none"): TENANT_OPERATE,
    ("GET", "/v1/tenants/{tenant}/overrides/none/history"): TENANT_READ,
    ("GET", "/v1/tenants/{tenant}/overrides/none/history/1"): TENANT_READ,
    ("POST", "/v1/tenants/{tenant}/overrides/none/rollback"): TENANT_OPERATE,
    ("GET", REGISTRY): TENANT_READ,
    ("POST", REGISTRY): TENANT_OPERATE,
    ("GET", REGISTRY + "/none"): TENANT_READ,
    ("PUT", REGISTRY + "/new"): TENANT_OPERATE,
    ("PATCH", REGISTRY + "/none"): TENANT_OPERATE,
    ("DELETE", REGISTRY + "/none"): TENANT_OPERATE,
    ("POST", REGISTRY + "/none/evaluations"): TENANT_OPERATE,
    ("PUT", REGISTRY + "/none/block"): TENANT_OPERATE,
    ("DELETE", REGISTRY + "/none/block"): TENANT_OPERATE,
    ("PUT", REGISTRY + "/none/pin"): TENANT_OPERATE,
    ("DELETE", REGISTRY + "/none/pin"): TENANT_OPERATE,
    ("PUT", REGISTRY + "/none/pin/approval"): TENANT_OPERATE,
    ("GET", REGISTRY + "/none/history"): TENANT_READ,
    ("GET", REGISTRY + "/none/history/1"): TENANT_READ,
    ("POST", REGISTRY + "/none/rollback"): TENANT_OPERATE,
    ("GET", CALLERS): TENANT_READ,
    ("GET", CALLERS + "/none"): TENANT_READ,
    ("PUT", CALLERS + "/new"): TENANT_EDIT,
    ("PATCH", CALLERS + "/none"): TENANT_EDIT,
    ("DELETE", CALLERS + "/none"): TENANT_EDIT,
    ("GET", CALLERS + "/none/history"): TENANT_READ,
    ("GET", CALLERS + "/none/history/1"): TENANT_READ,
    ("POST", CALLERS + "/none/rollback"): TENANT_EDIT,
    ("POST", CALLERS + "/none/tokens"): TENANT_EDIT,
    ("POST", CALLERS + "/none/revocations"): TENANT_EDIT,
    ("POST", "/v1/tenants/{tenant}/keys/rotate"): TENANT_EDIT,
    ("PUT", ONE + "/pause"): TENANT_OPERATE,
    ("GET", MODELS): TENANT_READ,
    ("GET", ONE): TENANT_READ,
    ("GET", MODELS + "/none"): TENANT_READ,
    ("PUT", ONE): TENANT_EDIT,
    ("PATCH", MODELS + "/none"): TENANT_EDIT,
    ("DELETE", MODELS + "/none"): TENANT_EDIT,
    ("GET", "/v1/gateways/shared/objects"): FLEET_READ,
    ("GET", "/v1/tenants/{tenant}/objects"): TENANT_READ,
    ("GET", ONE + "/objects"): TENANT_READ,
    ("GET", "/v1/tenants/{tenant}/rollouts"): TENANT_READ,
    ("GET", "/v1/stats?by=tenant"): ANYWHERE,
    ("GET", "/v1/gateways/shared/stats"): FLEET_READ,
    ("GET", "/v1/gateways/shared/dataplane"): FLEET_READ,
    ("GET", "/v1/tenants/{tenant}/stats"): TENANT_READ,
    ("GET", ONE + "/stats"): TENANT_READ,
    ("GET", ONE + "/logs"): TENANT_READ,
    ("GET", "/v1/tenants/{tenant}/usage"): TENANT_READ,
    ("GET", ONE + "/usage"): TENANT_READ,
    ("GET", ONE + "/limit"): TENANT_READ,
    ("GET", ONE + "/explain"): TENANT_READ,
    ("GET", ONE + "/replicas"): TENANT_READ,
    ("GET", ONE + "/versions/v1/replicas"): TENANT_READ,
    ("PUT", ONE + "/traffic"): TENANT_OPERATE,
    ("GET", ONE + "/release"): TENANT_READ,
    ("GET", ONE + "/selection"): TENANT_READ,
    ("POST", ONE + "/selection"): TENANT_READ,
    ("PUT", ONE + "/release"): TENANT_OPERATE,
    ("PUT", ONE + "/measurement"): TENANT_OPERATE,
    ("PUT", ONE + "/versions/v1/scale"): TENANT_OPERATE,
    ("PUT", ONE + "/versions/v1/autoscale"): TENANT_OPERATE,
    ("DELETE", ONE + "/versions/v1/autoscale"): TENANT_OPERATE,
    ("GET", ONE + "/limit/override"): TENANT_READ,
    ("PUT", ONE + "/limit/override"): TENANT_OPERATE,
    ("DELETE", ONE + "/limit/override"): TENANT_OPERATE,
}


def made(folder, **people: list[str]) -> StaticTokens:
    """Return the tokens of people, each `as-NAME`, by a file."""
    entries = [{"user": name, "groups": groups, "sha256": hashed(f"as-{name}")} for name, groups in people.items()]
    file = folder / "tokens.yaml"
    file.write_text(json.dumps({"tokens": entries}))
    return StaticTokens(file)


def as_(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer as-{name}"}


@pytest.fixture
async def rest(fleet, tmp_path):
    people = made(tmp_path, **{name: GROUPS.get(name, []) for name in PEOPLE})
    trail = tmp_path / "audit.log"
    async with (
        fleet.manager() as manager,
        fleet.rest(manager, people, audit=str(trail), calls_per_second=300, proved_again=0.2) as calls,
    ):
        await make_search(fleet)
        await fleet.apply(tenant("search", owners=["group:search-ml"]), tenant("ads"))
        await until(lambda: fleet.get("Gateway", "tenant-ads", "inference-gw"))
        for name, spec in GRANTS.items():
            assert (await calls.call("PUT", f"/v1/grants/{name}", {"spec": spec}))[0] == 201
        calls.fleet, calls.audit, calls.manager, calls.people = fleet, trail, manager, people
        yield calls


def test_every_endpoint_stands_in_the_matrix():
    asked = {("GET" if method == "HEAD" else method, path.partition("?")[0]) for method, path in MATRIX}

    def matches(template: str, path: str) -> bool:
        pairs = list(zip(template.split("/"), path.split("/"), strict=False))
        same_length = template.count("/") == path.count("/")
        return same_length and all(t == p or t.startswith("{") for t, p in pairs)

    for (method, template), need in NEEDS.items():
        if need.place is not Scope.OPEN:
            assert any(method == m and matches(template, path) for m, path in asked), (method, template)


async def test_every_role_may_do_in_every_tenant_what_it_may_and_nothing_else(rest):
    before = await rest.fleet.settled(1.5)  # a status may be put off for a second
    asked = 0
    for (method, template), rows in MATRIX.items():
        for place, row in zip(("search", "ads", "missing"), rows, strict=True):
            for person, letter in zip(PEOPLE, row, strict=True):
                status, answer = await rest.call(method, template.format(tenant=place), _body(method), as_(person))
                assert _fate(status, answer, place) == letter or (letter == "a" and place == "missing"), (
                    (method, template, place, person),
                    answer,
                )
                asked += 1
    assert asked == len(MATRIX) * 3 * len(PEOPLE)
    assert await rest.fleet.settled() == before  # every body was wrong in itself


def _body(method: str) -> dict | None:
    return None if method in ("GET", "DELETE") else {"spec": {"nonsense": 1}, "nonsense": 1}


def _fate(status: int, answer: dict, place: str) -> str:
    if status == 403:
        return "d"
    assert status != 401 and status < 500, answer
    return "h" if status == 404 and answer["detail"] == f"there is no Tenant {place}" else "a"


async def test_what_is_hidden_is_answered_word_for_word_like_what_is_not_there(rest):
    for method, template in MATRIX:
        if "{tenant}" in template and MATRIX[method, template] not in (FLEET_MANAGE,):
            answers = []
            for place, person in (("ads", "viewer"), ("missing", "viewer"), ("missing", "nobody")):
                status, answer, headers = await rest.full(
                    method, template.format(tenant=place), _body(method), as_(person)
                )
                del answer["requestId"]
                answers.append((status, json.dumps(answer).replace(place, "T"), sorted(headers)))
            assert len(set(map(str, answers))) == 1, answers


async def test_nothing_is_served_without_an_identity(rest):
    for method, template in MATRIX:
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer guessed"}, {"Authorization": "Basic eDp5"}):
            status, answer, told = await rest.full(method, template.format(tenant="search"), _body(method), headers)
            assert (status, answer["title"], told["WWW-Authenticate"]) == (401, "Unauthorized", "Bearer")
            assert "search" not in answer["detail"]


async def test_lists_and_events_hold_what_the_caller_may_read(rest):
    async def tenants(person: str) -> list[str]:
        _, answer = await rest.call("GET", "/v1/tenants", None, as_(person))
        return [obj["metadata"]["name"] for obj in answer["items"]]

    assert await tenants("viewer") == ["search"] and await tenants("auditor") == ["ads", "search"]

    async def objects(person: str) -> set[str]:
        _, answer = await rest.call("GET", "/v1/events?follow=false", None, as_(person))
        return {event["object"] for event in answer["items"]}

    await until(lambda: _both_told(objects), what="events of both tenants")
    assert await objects("viewer") == {"search", "search/ranker"}


async def _both_told(objects) -> bool:
    return {"ads", "search", "search/ranker", "shared"} <= await objects("auditor")


async def test_a_grant_counts_from_when_it_is_written_and_no_longer_when_it_is_gone(rest):
    path = "/v1/tenants/search/models/ranker"
    assert (await rest.call("GET", path, None, as_("nobody")))[0] == 404
    body = {"spec": {"role": "viewer", "users": ["nobody"], "tenants": ["search"]}}
    assert (await rest.call("PUT", "/v1/grants/new", body, as_("platform-admin")))[0] == 201
    assert (await rest.call("GET", path, None, as_("nobody")))[0] == 200
    _, told = await rest.call("GET", "/v1/whoami", None, as_("nobody"))
    assert told["grants"] == [{"role": "viewer", "tenants": ["search"], "rights": ["read"]}]
    assert (await rest.call("DELETE", "/v1/grants/new", None, as_("platform-admin")))[0] == 202

    async def gone():
        return (await rest.call("GET", path, None, as_("nobody")))[0] == 404

    await until(gone, what="the grant being gone")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"role": "viewer"}, "names no caller"),
        ({"role": "emperor", "users": ["anna"]}, "viewer"),
        ({"role": "platformAdmin", "users": ["anna"], "tenants": ["search"]}, "leave tenants out"),
        ({"role": "viewer", "users": ["anna\nbob"]}, "users"),
        ({"role": "viewer", "users": ["anna"], "tenants": ["../x"]}, "tenants"),
    ],
)
async def test_a_grant_that_is_wrong_is_refused_with_its_field(rest, spec, words):
    status, answer = await rest.call("PUT", "/v1/grants/new", {"spec": spec})
    assert status == 422 and words in json.dumps(answer)


async def test_a_tenants_operator_overrides_within_the_tenants_range_and_the_author_is_who_called(rest):
    ranged = tenant("search", owners=["group:search-ml"], rateLimit={"range": {"lowest": 5, "highest": 50}})
    await rest.call("PUT", "/v1/tenants/search", {"spec": ranged["spec"]}, {"If-Match": "*"})
    path = "/v1/tenants/search/models/ranker/limit/override"
    body = {"total": 30, "reason": "a test", "ttl": "1h", "author": "somebody else"}
    status, answer = await rest.call("PUT", path, body, as_("operator"))
    assert status == 201, answer
    assert answer["metadata"]["namespace"] == "search" and answer["spec"]["author"] == "operator"
    assert (await rest.call("GET", path, None, as_("viewer")))[1]["spec"]["total"] == 30
    status, answer = await rest.call("PUT", path, body, as_("platform-operator"))
    assert answer["metadata"]["namespace"] == "tidegate-system" and answer["spec"]["author"] == "platform-operator"
    status, answer = await rest.call("PUT", path, body)
    assert answer["spec"]["author"] == "somebody else"  # the manager's own token has no name
    assert (await rest.call("DELETE", path, None, as_("operator")))[0] == 202
    assert (await rest.call("GET", path, None, as_("viewer")))[1]["metadata"]["namespace"] == "tidegate-system"


async def test_changes_and_refusals_leave_a_line_and_nothing_of_what_was_sent(rest):
    secret = "canary-5f2c"
    wrong = {"spec": {"password": secret, secret: 1}, "metadata": {"labels": {"x": [secret]}}}
    await rest.call("PUT", "/v1/tenants/search/models/ranker", wrong, {**as_("admin"), "X-Request-Id": "of-the-test-1"})
    await rest.call("GET", "/v1/tenants/ads", None, {**as_("viewer"), "X-Request-Id": "of-the-test-2"})
    await rest.call("GET", "/v1/tenants", None, {"Authorization": f"Bearer {secret}", "X-Request-Id": "of-the-test-3"})
    await rest.call("GET", "/v1/tenants", None, {**as_("viewer"), "X-Request-Id": "of-the-test-4"})
    await rest.call("PUT", "/v1/tenants/search/models/ranker", model(), {**as_("admin"), "If-Match": "*"})
    text = rest.audit.read_text()
    lines = {line["request"]: line for line in map(json.loads, text.splitlines())}
    assert {"user": "admin", "status": 422, "outcome": "refused"}.items() <= lines["of-the-test-1"].items()
    assert {"user": "viewer", "status": 404, "path": "/v1/tenants/ads"}.items() <= lines["of-the-test-2"].items()
    assert {"user": None, "status": 401}.items() <= lines["of-the-test-3"].items()
    assert "of-the-test-4" not in lines  # who reads what is theirs leaves none
    last = json.loads(text.splitlines()[-1])
    assert (last["user"], last["object"], last["status"]) == ("admin", "Model search/ranker", 200)
    assert secret not in text and TOKEN not in text and "as-admin" not in text


async def test_every_answer_has_an_id_and_keeps_browsers_out(rest):
    for path in ("/healthz", "/v1/tenants", "/v1/nothing", "/v1/tenants/none"):
        _, answer, headers = await rest.full("GET", path)
        assert (
            headers["X-Content-Type-Options"] == "nosniff"
            and "default-src 'none'" in headers["Content-Security-Policy"]
        )
        if isinstance(answer, dict) and "status" in answer and "title" in answer:
            assert answer["requestId"] == headers["X-Request-Id"]
    _, _, headers = await rest.full("GET", "/healthz", None, {"X-Request-Id": "given-by-me"})
    assert headers["X-Request-Id"] == "given-by-me"
    _, _, headers = await rest.full("GET", "/healthz", None, {"X-Request-Id": "in ject\ted"})
    assert headers["X-Request-Id"] != "in ject\ted"
    status, _, headers = await rest.full("DELETE", "/v1/tenants")
    assert (status, headers["Allow"]) == (405, "GET")
    status, _, headers = await rest.full("POST", "/v1/tenants/search")
    assert (status, headers["Allow"]) == (405, "DELETE, GET, PATCH, PUT")
    for path in ("/docs", "/redoc"):
        assert (await rest.call("GET", path))[0] == 404


async def test_who_calls_without_end_is_told_when_to_come_back_and_others_are_not_slowed(rest):
    refused = None
    async with rest.fleet.rest(rest.manager, rest.people, calls_per_second=1) as slow:
        for _ in range(3000):
            status, answer, headers = await slow.full("GET", "/v1/whoami", None, as_("viewer"))
            if status == 429:
                refused = (answer, headers)
                break
        assert refused is not None and refused[1]["Retry-After"] == "1" and "slow down" in refused[0]["detail"]
        assert (await slow.call("GET", "/v1/whoami", None, as_("admin")))[0] == 200


async def test_guesses_are_slowed_and_leave_no_flood_in_the_trail_and_who_was_proved_goes_on(rest, tmp_path):
    trail = tmp_path / "guesses.log"
    slow = rest.fleet.rest(rest.manager, rest.people, audit=str(trail), strangers_per_second=0.4)
    async with slow as calls:
        assert (await calls.call("GET", "/v1/whoami", None, as_("admin")))[0] == 200
        for number in range(10):  # there is no such route
            assert (await calls.call("POST", "/v1/x", {}, {"Authorization": f"Bearer {number}"}))[0] == 404
        answers = []
        for number in range(200):
            answers.append((await calls.call("GET", "/v1/tenants", None, {"Authorization": f"Bearer {number}"}))[0])
        assert set(answers) == {401, 429} and answers.count(401) < 150
        assert len(trail.read_text().splitlines()) == answers.count(401)
        assert (await calls.call("GET", "/v1/whoami", None, as_("admin")))[0] == 200
        strangers = []
        for person in ("viewer", "operator", "owner"):  # on a slow machine one of them may find a place again
            await calls.call("GET", "/v1/tenants", None, {"Authorization": "Bearer guess"})
            strangers.append((await calls.call("GET", "/v1/whoami", None, as_(person)))[0])
        assert 429 in strangers


async def test_a_tenant_that_was_refused_opens_nobody_elses_namespace(rest):
    intruder = tenant("intruder", namespace="search", owners=["user:nobody"], hosts=[{"name": "i.example.com"}])
    await rest.fleet.apply(intruder)
    await until(lambda: rest.fleet.condition("Tenant", "intruder", "Accepted"), what="the refusal")
    for path in ("/v1/tenants/intruder/models", "/v1/tenants/intruder/models/ranker"):
        status, answer = await rest.call("GET", path, None, as_("nobody"))
        assert status == 409 and "is not this tenant's" in answer["detail"]
    status, _ = await rest.call("DELETE", "/v1/tenants/intruder?cascade=true", None, as_("platform-admin"))
    assert status == 202
    assert (await rest.call("GET", "/v1/tenants/search/models/ranker", None, as_("viewer")))[0] == 200
    _, events = await rest.call("GET", "/v1/events?follow=false", None, as_("viewer"))
    assert "search/ranker" in {event["object"] for event in events["items"]}


async def test_who_reads_events_is_proved_again_and_a_token_that_is_gone_ends_it(rest, tmp_path):
    async with rest._session.get("/v1/events", headers=as_("viewer")) as answer:
        assert answer.status == 200
        (tmp_path / "tokens.yaml").write_text('{"tokens": []}')
        async with asyncio.timeout(hung()):
            while await answer.content.readline():
                pass
    assert (await rest.call("GET", "/v1/whoami", None, as_("viewer")))[0] == 401
