"""`tidegate caller`: a token for a script, an end to it, and words that say what came of it."""

import asyncio
import json

import jwt
import pytest
from typer.testing import CliRunner

from k8s_manager.cli.main import build
from tests.features.conftest import make_search
from tests.support.caller_documents import caller
from tests.support.documents import tenant
from tests.support.fleet import TOKEN
from tests.support.waiting import until


@pytest.fixture
async def tidegate(fleet, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEGATE_TOKEN", TOKEN)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        await fleet.apply(tenant(authentication={}))
        monkeypatch.setenv("TIDEGATE_SERVER", f"http://127.0.0.1:{rest._session._base_url.port}")

        async def run(*words: str):
            return await asyncio.to_thread(CliRunner().invoke, build(words), words)

        file = tmp_path / "caller.json"
        file.write_text(json.dumps(caller(models=["ranker"], owners=["team-shop"])))
        done = await run("apply", "-f", str(file))
        assert done.exit_code == 0, done.output
        run.rest = rest
        yield run


async def spec(tidegate):
    return (await tidegate.rest.call("GET", "/v1/tenants/search/callers/app1"))[1]["spec"]


async def test_callers_are_listed_and_described(tidegate):
    async def is_active() -> bool:
        return "Active" in (await tidegate("get", "callers", "-t", "search")).output

    await until(is_active, what="the caller being active")
    listed = (await tidegate("get", "callers", "-t", "search")).output
    assert "app1" in listed and "ranker" in listed
    described = await tidegate("describe", "caller", "search/app1")
    assert described.exit_code == 0 and "it may call 1 model" in described.output


async def test_a_token_stands_alone_on_standard_output(tidegate):
    done = await tidegate("caller", "token", "search/app1", "--for", "90d")
    assert done.exit_code == 0, done.output
    (token,) = done.stdout.splitlines()
    found = jwt.decode(token, options={"verify_signature": False})
    assert found["sub"] == "app1" and found["jti"] in done.stderr and "is not shown again" in done.stderr
    assert token not in done.stderr
    assert f"tidegate caller revoke search/app1 {found['jti']}" in done.stderr
    whole = json.loads((await tidegate("caller", "token", "search/app1", "--for", "1h", "-o", "json")).stdout)
    assert whole.keys() == {"token", "id", "expires"}


async def test_a_token_is_revoked_by_its_id(tidegate):
    dry = await tidegate("caller", "revoke", "search/app1", "t1", "--dry-run")
    assert dry.exit_code == 0 and "(dry run)" in dry.output and "revokedTokens" not in await spec(tidegate)
    done = await tidegate("caller", "revoke", "search/app1", "t1", "--expires", "2999-01-01T00:00:00Z")
    assert done.output == "search/app1 has no token t1 any more\n"
    assert (await spec(tidegate))["revokedTokens"] == [{"id": "t1", "expires": "2999-01-01T00:00:00Z"}]


async def test_a_caller_is_suspended_and_resumed(tidegate):
    done = await tidegate("caller", "suspend", "search/app1", "--reason", "calls in a loop")
    assert done.output == "search/app1 may call no model\n" and (await spec(tidegate))["suspended"] is True
    refused = await tidegate("caller", "token", "search/app1", "--for", "1h")
    assert refused.exit_code == 2 and "resume it, then issue a token" in refused.output
    done = await tidegate("caller", "resume", "search/app1")
    assert done.output == "search/app1 may call again\n" and "suspended" not in await spec(tidegate)


async def test_keys_are_rotated_and_all_tokens_ended(tidegate):
    assert (await tidegate("caller", "token", "search/app1", "--for", "1h")).exit_code == 0
    dry = await tidegate("caller", "rotate-keys", "search", "--dry-run")
    assert "would be signed by a new key" in dry.output
    done = await tidegate("caller", "rotate-keys", "search")
    assert "signs for search" in done.output and "verifies older tokens until" in done.output
    done = await tidegate("caller", "rotate-keys", "search", "--now")
    assert "every token issued before is good no more" in done.output and "verifies" not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("token", "search/app1", "--for", "10 years"), "is no lifetime"),
        (("token", "app1", "--for", "1h"), "is not TENANT/CALLER"),
        (("token", "search/none", "--for", "1h"), "there is no Caller search/none"),
        (("rotate-keys",), "name the TENANT"),
        (("rotate-keys", "none"), "there is no Tenant none"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_done(tidegate, words, said):
    done = await tidegate("caller", *words)
    assert done.exit_code == 2 and said in " ".join(done.output.replace("│", " ").split())
