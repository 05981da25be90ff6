"""Callers end to end, on real Envoys: documents and tokens by the API, answers by the gateway's pods."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.features.test_standalone import RANKER, make_search
from tests.support.standalone import HOST, PATH, Running, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
CALLERS = "/v1/tenants/search/callers"
TENANT = "/v1/tenants/search"


async def answers(run: Running, addresses: list[str], token: str | None = None) -> set[tuple[int, str]]:
    """Return status and reason that the gateway pods answer to one request each."""
    headers = {"Host": HOST, **({"Authorization": f"Bearer {token}"} if token else {})}
    found = set()
    for address in addresses:
        async with run.session.get(f"http://{address}{PATH}", headers=headers) as answer:
            refused = answer.status in (401, 403)
            found.add((answer.status, (await answer.json())["reason"] if refused else ""))
    return found


async def issued(run: Running, caller: str) -> dict[str, Any]:
    """Issue a token."""
    status, answer = await run.rest.call("POST", f"{CALLERS}/{caller}/tokens", {"ttl": "1h"})
    assert status == 201, answer
    return dict(answer)


def answered(run: Running, addresses: list[str], token: str | None, wanted: tuple[int, str]) -> Awaitable[bool]:
    """Wait until every gateway pod answers so."""

    async def look() -> bool:
        return await answers(run, addresses, token) == {wanted}

    return until(look, f"{wanted} of each gateway pod")


async def test_callers_are_let_in_by_tokens_and_shut_out_again(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        await run.rest.call("PATCH", RANKER, {"spec": {"rateLimit": {"perReplicaQps": 1000}}})
        await run.enforced(2000)
        assert await answers(run, addresses) == {(200, "")}, "a tenant that does not ask lets anyone in"
        for caller, models in (("app1", ["ranker"]), ("app2", ["other"])):
            await run.put(f"{CALLERS}/{caller}", {"spec": {"models": models}})
        await run.rest.call("PATCH", TENANT, {"spec": {"authentication": {}}})
        await answered(run, addresses, None, (401, "unverified"))
        one, two, other = await issued(run, "app1"), await issued(run, "app1"), await issued(run, "app2")
        await answered(run, addresses, one["token"], (200, ""))
        assert await answers(run, addresses) == {(401, "missing")}
        assert await answers(run, addresses, other["token"]) == {(403, "model")}
        assert await answers(run, addresses, one["token"][:-8] + "AAAAAAAA") == {(401, "unverifiable")}
        await run.rest.call("POST", f"{CALLERS}/app1/revocations", {"id": one["id"]})
        await answered(run, addresses, one["token"], (401, "revoked"))
        assert await answers(run, addresses, two["token"]) == {(200, "")}
        for suspended, wanted in ((True, (403, "suspended")), (False, (200, ""))):
            await run.rest.call("PATCH", f"{CALLERS}/app1", {"spec": {"suspended": suspended}})
            await answered(run, addresses, two["token"], wanted)
        await keys_are_rotated(run, addresses, two["token"])
        await public_models_and_tenants_that_no_longer_ask(run, addresses)


async def keys_are_rotated(run: Running, addresses: list[str], token: str) -> None:
    """A former key verifies until it is put out of use."""
    status, answer = await run.rest.call("POST", f"{TENANT}/keys/rotate", {})
    assert status == 200, answer
    newer = await issued(run, "app1")
    await answered(run, addresses, newer["token"], (200, ""))
    assert await answers(run, addresses, token) == {(200, "")}
    await run.rest.call("POST", f"{TENANT}/keys/rotate", {"now": True})
    for former in (token, newer["token"]):
        await answered(run, addresses, former, (401, "unverifiable"))


async def public_models_and_tenants_that_no_longer_ask(run: Running, addresses: list[str]) -> None:
    """What anyone may call needs no token."""
    changes: list[tuple[str, dict[str, Any], Callable[[int], bool]]] = [
        (RANKER, {"spec": {"access": "public"}}, lambda status: status == 200),
        (RANKER, {"spec": {"access": "tenant"}}, lambda status: status == 401),
        (TENANT, {"spec": {"authentication": None}}, lambda status: status == 200),
    ]
    for path, change, is_right in changes:
        status, answer = await run.rest.call("PATCH", path, change)
        assert status == 200, answer

        async def is_in_effect(is_right: Callable[[int], bool] = is_right) -> bool:
            return all(is_right(status) for status, _ in await answers(run, addresses))

        await until(is_in_effect, f"{change} at each gateway pod")
