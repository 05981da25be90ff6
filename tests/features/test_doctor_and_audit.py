"""What the manager finds of its cluster, and its audit trail, over the REST API and the command line."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from k8s_manager.cli.main import build
from tests.features.conftest import make_search
from tests.features.test_access import as_, made
from tests.support.documents import tenant
from tests.support.fleet import SETTINGS

RANKER = "/v1/tenants/search/models/ranker"


@pytest.fixture
async def rest(fleet, tmp_path):
    people = made(tmp_path, anna=[], stranger=[])
    trail = str(tmp_path / "audit.log")
    async with fleet.manager() as manager, fleet.rest(manager, people, audit=trail) as calls:
        await make_search(fleet)
        await fleet.apply(tenant(owners=["user:anna"]))
        calls.manager, calls.people, calls.folder = manager, people, tmp_path
        yield calls


async def tidegate(rest, line: str, token: str = "of-the-tests") -> tuple[int, str, str]:
    """Run a command; return its exit code, what it printed, and what it said beside that."""
    (rest.folder / "token").write_text(token)
    server = f"http://127.0.0.1:{rest._session._base_url.port}"
    words = [*line.split(), "--server", server, "--token-file", str(rest.folder / "token")]
    done = await asyncio.to_thread(CliRunner().invoke, build(words), words)
    return done.exit_code, done.stdout, done.stderr


async def audit(rest, query: str = "") -> dict:
    status, answer = await rest.call("GET", f"/v1/audit{query}")
    assert status == 200, answer
    return answer


async def test_the_manager_says_what_is_missing_by_its_own_eyes(rest):
    status, report = await rest.call("GET", "/v1/doctor")
    assert status == 200 and report["worst"] == "failure" and report["omitted"] == 0
    by_level = {level: [one for one in report["items"] if one["level"] == level] for level in ("failure", "unknown")}
    assert [one["check"] for one in by_level["failure"]] == ["Gateways"]
    assert by_level["failure"][0]["remedy"].startswith("start the gateway's pods")
    assert {one["check"] for one in by_level["unknown"]} == {"Istio", "Validation", "Rights", "Autoscaling"}
    assert report["at"] < report["freshUntil"]
    assert (await rest.call("GET", "/v1/doctor"))[1] == report, "one look is the answer for a while"


async def test_doctor_asks_a_manager_where_there_is_no_kubeconfig(rest):
    code, said, beside = await tidegate(rest, "doctor --manager")
    assert code == 2 and "has no pod with istio=shared" in said and "unknown" in said
    assert "looked at 20" in beside and "by manager" in beside
    code, said, _ = await tidegate(rest, "doctor --manager -o json")
    assert code == 2 and json.loads(said)["worst"] == "failure"
    code, _, beside = await tidegate(rest, "doctor --manager", "as-anna")
    assert code == 2 and "may not read for the whole fleet" in beside


async def test_the_trail_is_read_by_who_what_and_how_it_ended(rest):
    body = {"replicas": 3}
    assert (await rest.call("PUT", f"{RANKER}/versions/v1/scale", body, as_("anna")))[0] == 200
    assert (await rest.call("DELETE", "/v1/gateways/shared", None, as_("anna")))[0] == 403
    assert (await rest.call("GET", "/v1/gateways", None, {"Authorization": "Bearer none"}))[0] == 401
    everything = (await audit(rest))["items"]
    assert [(line["user"], line["status"]) for line in everything] == [(None, 401), ("anna", 403), ("anna", 200)]
    assert everything[2]["object"] == "Model search/ranker" and everything[2]["source"] == "token"
    for query, statuses in (
        ("?by=anna", [403, 200]),
        ("?by=token:ANNA&outcome=done", [200]),
        ("?about=search/ranker", [200]),
        ("?about=gateways&outcome=refused", [401, 403]),
        ("?from=2000-01-01T00:00:00Z&to=2001-01-01", []),
        ("?to=99999999999&limit=1", [401]),
    ):
        assert [line["status"] for line in (await audit(rest, query))["items"]] == statuses, query
    first = await audit(rest, "?limit=2")
    assert [line["status"] for line in (await audit(rest, f"?continue={first['continue']}"))["items"]] == [200]


async def test_the_trail_says_whose_it_is_and_what_it_may_lack(rest, fleet):
    answer = await audit(rest)
    assert answer["partial"] and answer["manager"]
    assert answer["gaps"] == [f"this manager remembers its calls since {answer['since']}"]
    assert (await audit(rest, f"?from={answer['since']}"))["gaps"] in ([], answer["gaps"])
    lease = {"lease": ("tidegate-system", "tidegate"), "audit": str(rest.folder / "other.log")}
    async with fleet.rest(rest.manager, **lease) as beside:
        assert "calls that other managers answered stand in their own trails" in (await audit(beside))["gaps"]
        token = (await audit(rest, "?limit=1")).get("continue", "bm9uZS8x")
        status, problem = await beside.call("GET", f"/v1/audit?continue={token}")
        assert status == 422 and problem["problems"][0]["field"] == "continue"
    async with fleet.rest(rest.manager, audit=SETTINGS.audit) as off:
        answer = await audit(off)
        assert answer["items"] == [] and "switched off" in answer["gaps"][0]


async def test_a_moment_or_an_outcome_that_is_none_is_refused_with_its_name(rest):
    for query, field in (("?from=yesterday", "from"), ("?to=x", "to"), ("?outcome=lost", "outcome")):
        status, problem = await rest.call("GET", f"/v1/audit{query}")
        assert status == 422 and problem["problems"][0]["field"] == field, query


async def test_the_trail_is_a_table_and_json_on_the_command_line(rest):
    await rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": 3}, as_("anna"))
    await rest.call("GET", "/v1/gateways", None, {"Authorization": "Bearer [red]none"})
    code, said, beside = await tidegate(rest, "audit --since 1h")
    assert code == 0 and "incomplete: this manager remembers its calls since" in beside
    head, newest, oldest = said.splitlines()
    assert head.split() == ["TIME", "WHO", "OUTCOME", "CALL", "ABOUT"]
    assert "unknown (127.0.0.1)" in newest and "refused (401)" in newest
    assert "anna" in oldest and f"PUT {RANKER}/versions/v1/scale" in oldest and "Model search/ranker" in oldest
    code, said, beside = await tidegate(rest, "audit --limit 1 -o json")
    assert code == 0 and [line["status"] for line in json.loads(said)["items"]] == [401]
    assert "there are older ones" in (await tidegate(rest, "audit --limit 1"))[2]
    assert (await tidegate(rest, "audit --since soon"))[0] == 2
