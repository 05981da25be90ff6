"""Tokens of callers: issued once, verified by what gateways get, revoked, and ended by rotation."""

import asyncio
import base64
import json
import logging

import jwt
import pytest

from k8s_manager.world.installation import CALLER_KEYS
from tests.features.conftest import make_search
from tests.features.test_access import as_, made
from tests.support.documents import tenant
from tests.support.waiting import until

ROOT = "/v1/tenants/search/callers"
ONE = f"{ROOT}/app1"
ROTATE = "/v1/tenants/search/keys/rotate"


@pytest.fixture
async def rest(fleet, tmp_path):
    people = made(tmp_path, admin=[], viewer=[], **{"platform-admin": []})
    trail = tmp_path / "audit.log"
    async with fleet.manager() as manager, fleet.rest(manager, people, audit=str(trail)) as calls:
        await make_search(fleet)
        await fleet.apply(tenant(authentication={}))
        assert (await calls.call("PUT", ONE, {"spec": {}}))[0] == 201
        calls.fleet, calls.manager, calls.trail = fleet, manager, trail
        yield calls


def enforced(rest):
    """Return what gateways are to enforce of the tenant, as the last pass has planned it."""
    access = rest.manager.loops.main.plan.access.get("search")
    return access.authentication if access else None


def own_keys(rest) -> dict[str, str]:
    known = enforced(rest)
    issuers = known.issuers if known else ()
    return {key["kid"]: json.dumps(key) for one in issuers for key in json.loads(one.jwks)["keys"]}


def claims(rest, token: str):
    """Return the claims of a token as a gateway reads it; None where it knows no key for it."""
    key = own_keys(rest).get(jwt.get_unverified_header(token)["kid"])
    return key and jwt.decode(token, jwt.PyJWK.from_json(key).key, ["ES256"], audience="search")


async def issue(rest, ttl: str = "90d", **options):
    status, answer = await rest.call("POST", f"{ONE}/tokens", {"ttl": ttl}, **options)
    assert status == 201, answer
    return answer


def revoked(rest, name: str = "app1") -> tuple[str, ...]:
    known = enforced(rest)
    return next((one.revoked for one in known.callers if one.name == name), ()) if known else ()


async def test_a_token_is_shown_once_and_verified_by_what_gateways_get(rest, caplog):
    caplog.set_level(logging.DEBUG)
    first, second = await issue(rest), await issue(rest)
    assert first["id"] != second["id"] and first["expires"].endswith("Z")
    await until(lambda: claims(rest, first["token"]), what="the public key in the plan")
    found = claims(rest, first["token"])
    assert (found["sub"], found["iss"], found["jti"]) == ("app1", "tidegate/search", first["id"])
    secret = await rest.fleet.get("Secret", CALLER_KEYS.name, CALLER_KEYS.namespace)
    private = json.loads(base64.b64decode(secret["data"]["private"]))["search"][0]["d"]
    stored = rest.manager.store.get(CALLER_KEYS)
    assert stored["data"].keys() == {"public"}
    _, caller = await rest.call("GET", ONE)
    _, history = await rest.call("GET", f"{ONE}/history")
    trail = rest.trail.read_text()
    shown = trail + caplog.text + json.dumps([caller, history]) + repr(rest.manager.loops.main.world)
    for secret_text in (first["token"], first["token"].rpartition(".")[2], private):
        assert secret_text not in shown
    assert first["id"] in trail and "search/app1" in trail


async def test_the_answer_is_not_stored_anywhere_on_its_way(rest):
    status, _, headers = await rest.full("POST", f"{ONE}/tokens", {"ttl": "1h"}, {})
    assert (status, headers["Cache-Control"]) == (201, "no-store")


async def test_a_dry_run_makes_neither_token_nor_key(rest):
    status, answer = await rest.call("POST", f"{ONE}/tokens?dryRun=true", {"ttl": "1h"})
    assert status == 200 and answer.keys() == {"expires"}
    assert (await rest.call("POST", f"{ROTATE}?dryRun=true", {}))[1] == {"keys": []}
    assert await rest.fleet.get("Secret", CALLER_KEYS.name, CALLER_KEYS.namespace) is None


async def test_ten_first_tokens_at_once_are_signed_by_one_key(rest):
    tokens = await asyncio.gather(*(issue(rest) for _ in range(10)))
    assert len({jwt.get_unverified_header(one["token"])["kid"] for one in tokens}) == 1
    assert len({one["id"] for one in tokens}) == 10


@pytest.mark.parametrize("ttl", ["30s", "367d", "soon", ""])
async def test_a_lifetime_has_bounds(rest, ttl):
    status, answer = await rest.call("POST", f"{ONE}/tokens", {"ttl": ttl})
    assert status == 422 and answer["problems"][0]["field"] == "ttl"


async def test_a_token_is_never_good_longer_than_its_caller_and_none_is_issued_to_who_may_not_call(rest):
    end = "2999-01-01T00:00:00Z"
    assert (await rest.call("PATCH", ONE, {"spec": {"expires": end}}))[0] == 200
    assert (await issue(rest, "1h"))["expires"] < end
    assert (await rest.call("PATCH", ONE, {"spec": {"expires": "2020-01-01T00:00:00Z"}}))[0] == 200
    status, answer = await rest.call("POST", f"{ONE}/tokens", {"ttl": "1h"})
    assert status == 409 and "set a later one" in answer["detail"]
    assert (await rest.call("PATCH", ONE, {"spec": {"expires": None, "suspended": True}}))[0] == 200
    status, answer = await rest.call("POST", f"{ONE}/tokens", {"ttl": "1h"})
    assert status == 409 and "resume it" in answer["detail"]
    assert (await rest.call("POST", f"{ROOT}/nobody/tokens", {"ttl": "1h"}))[0] == 404


async def test_revoked_ids_reach_gateways_and_leave_the_list_when_they_have_expired(rest):
    token, old = await issue(rest), {"id": "old", "expires": "2020-01-01T00:00:00Z"}
    assert (await rest.call("PATCH", ONE, {"spec": {"revokedTokens": [old]}}))[0] == 200
    for _ in range(2):
        status, answer = await rest.call("POST", f"{ONE}/revocations", {"id": token["id"]})
        assert status == 200 and [one["id"] for one in answer["spec"]["revokedTokens"]] == [token["id"]]
    await until(lambda: revoked(rest) == (token["id"],), what="the revoked token in the plan")
    one = answer["spec"]["revokedTokens"][0]
    assert one["expires"] > token["expires"]  # unknown, so as long as a token can be good
    later = {"id": token["id"], "expires": "2999-01-01T00:00:00Z"}
    _, answer = await rest.call("POST", f"{ONE}/revocations", later)
    assert answer["spec"]["revokedTokens"] == [later]


async def test_revocations_that_come_at_once_are_all_kept(rest):
    answers = await asyncio.gather(
        *(rest.call("POST", f"{ONE}/revocations", {"id": f"t{number}"}) for number in range(5))
    )
    assert {status for status, _ in answers} == {200}
    _, found = await rest.call("GET", ONE)
    assert {one["id"] for one in found["spec"]["revokedTokens"]} == {f"t{number}" for number in range(5)}


async def test_a_full_list_says_what_to_do(rest):
    full = [{"id": f"t{number}", "expires": "2999-01-01T00:00:00Z"} for number in range(1000)]
    assert (await rest.call("PATCH", ONE, {"spec": {"revokedTokens": full}}))[0] == 200
    status, answer = await rest.call("POST", f"{ONE}/revocations", {"id": "one-more"})
    assert status == 409 and "rotate the tenant's keys with now" in answer["detail"]


async def test_a_rotation_keeps_old_tokens_good_or_ends_them_all(rest):
    old = await issue(rest)
    status, answer = await rest.call("POST", ROTATE, {})
    assert status == 200 and ["until" in key for key in answer["keys"]] == [False, True]
    new = await issue(rest)
    await until(lambda: len(own_keys(rest)) == 2, what="both keys in the plan")
    assert claims(rest, old["token"]) and claims(rest, new["token"])
    status, answer = await rest.call("POST", ROTATE, {"now": True})
    assert status == 200 and len(answer["keys"]) == 1
    await until(lambda: len(own_keys(rest)) == 1, what="the new key alone in the plan")
    assert claims(rest, old["token"]) is None and claims(rest, new["token"]) is None
    assert (await rest.call("POST", "/v1/tenants/none/keys/rotate", {}))[0] == 404


async def test_a_secret_that_cannot_be_read_is_told_and_left_as_it_is(rest):
    await issue(rest)
    secret = await rest.fleet.get("Secret", CALLER_KEYS.name, CALLER_KEYS.namespace)
    await rest.fleet.client.replace({**secret, "data": {**secret["data"], "private": "e30x"}})
    status, answer = await rest.call("POST", f"{ONE}/tokens", {"ttl": "1h"})
    assert status >= 500 and "cannot be read; restore it, or delete it" in json.dumps(answer)


async def test_only_who_manages_callers_issues_tokens(rest):
    grants = {"admin": "tenantAdmin", "viewer": "viewer"}
    for name, role in grants.items():
        spec = {"role": role, "users": [name], "tenants": ["search"]}
        assert (await rest.call("PUT", f"/v1/grants/{name}", {"spec": spec}))[0] == 201
    for path, body in ((f"{ONE}/tokens", {"ttl": "1h"}), (f"{ONE}/revocations", {"id": "t"}), (ROTATE, {})):
        assert (await rest.call("POST", path, body, as_("viewer")))[0] == 403
        assert (await rest.call("POST", path, body, as_("admin")))[0] < 300
