"""Every command works with the least right that its effect needs: each role with each command."""

import asyncio
import json

import pytest
import yaml
from typer.testing import CliRunner

from k8s_manager.cli.main import COMMANDS, build
from tests.features.conftest import make_search
from tests.features.test_access import GRANTS, GROUPS, PEOPLE, made
from tests.features.test_overrides import override
from tests.support.caller_documents import caller
from tests.support.documents import labels, model, tenant
from tests.support.waiting import until

ROLES = ("viewer", "operator", "admin", "auditor", "platform-operator", "platform-admin")
# One letter for each of ROLES, who have their rights in tenant search or (the last three) in the fleet:
# y it works, n it says which right is missing, h as if there were no such tenant.
READ, OPERATE, EDIT = "yyyyyy", "nyynyy", "nnynny"
FLEET_READ, FLEET_OVERRIDE, MANAGE = "nnnyyy", "nnnnyy", "nnnnny"
OTHERS_READ, OTHERS_OPERATE = "hhhyyy", "hhhnyy"
DOCUMENT, FLEETS, OWN, CALLER, FOLDER = "model.yaml", "all.yaml", "own.yaml", "caller.yaml", "copies"
WHY = ("--reason", "a test")
TABLE = [
    ("whoami", READ),
    ("console", READ),
    ("get tenant", READ),
    ("get tenant search", READ),
    ("get tenant ads", OTHERS_READ),
    ("get model", READ),
    ("describe model search/ranker", READ),
    ("wait model/search/ranker --for=condition=Accepted --timeout=20s", READ),
    ("rollout status search/ranker --no-watch", READ),
    ("get model search/ranker", READ),
    ("get model ads/none", "hhhnnn"),
    ("get model -t search", READ),
    ("get override", READ),
    ("get override night", READ),
    ("get override search/own", READ),
    ("get override -t search", READ),
    ("get gateway", FLEET_READ),
    ("get gateway shared", FLEET_READ),
    ("get grant", MANAGE),
    ("get caller -t search", READ),
    ("get caller search/app1", READ),
    ("describe caller search/app1", READ),
    ("history caller search/app1", READ),
    ("plan -f caller.yaml", EDIT),
    ("apply -f caller.yaml --dry-run", EDIT),
    ("delete caller search/app1 --dry-run", EDIT),
    ("caller token search/app1 --for 1h", EDIT),
    ("caller token ads/app1 --for 1h", "hhhnnn"),
    ("caller revoke search/app1 t1 --dry-run", EDIT),
    ("caller suspend search/app1 --dry-run", EDIT),
    ("caller resume search/app1 --dry-run", EDIT),
    ("caller rotate-keys search", EDIT),
    ("limit search/ranker", READ),
    ("explain search/ranker", READ),
    ("explain search/ranker --about ready", READ),
    ("explain ads/ranker", "hhhnnn"),
    ("events --no-follow", READ),
    ("logs search/ranker", READ),
    ("usage", READ),
    ("usage search", READ),
    ("usage search/ranker", READ),
    ("usage ads", OTHERS_READ),
    ("claims", READ),
    ("git", FLEET_READ),
    ("audit", MANAGE),
    ("audit --by anna --about search/ranker --since 1h --outcome refused --limit 5", MANAGE),
    (f"backup {FOLDER}", MANAGE),
    ("history model search/ranker", READ),
    ("history tenant search", READ),
    ("history override search/own", READ),
    ("history override night", FLEET_READ),
    ("history gateway shared", FLEET_READ),
    ("rollback model search/ranker 1 --dry-run", EDIT),
    ("rollback override search/own 1 --dry-run", OPERATE),
    ("rollback tenant search 1 --dry-run", MANAGE),
    ("scale search/ranker v1 1 --dry-run", OPERATE),
    ("autoscale search/ranker v1 --max 3 --dry-run", OPERATE),
    ("traffic search/ranker v1=100 --force --dry-run", OPERATE),
    ("pause search/ranker --reason because --dry-run", OPERATE),
    ("resume search/ranker --dry-run", OPERATE),
    ("release search/ranker", READ),
    ("release search/ranker abort --dry-run", OPERATE),
    ("selection explain search/ranker", READ),
    ("selection dry-run search/ranker --strategy dataDriven", READ),
    ("versions list", READ),
    ("versions list search/ranker", READ),
    ("versions show search/ranker v9", READ),
    ("versions register search/ranker v9 --image x:9 --dry-run", OPERATE),
    ("versions evaluate search/ranker v9 auc 0.9 --dataset holdout --samples 10 --dry-run", OPERATE),
    ("versions block search/ranker v9 --reason because --dry-run", OPERATE),
    ("versions unblock search/ranker v9 --dry-run", OPERATE),
    ("versions pin search/ranker v9 --dry-run", OPERATE),
    ("versions approve search/ranker v9 --dry-run", OPERATE),
    ("versions unpin search/ranker v9 --dry-run", OPERATE),
    ("versions delete search/ranker v9 --dry-run", OPERATE),
    ("versions prune search/ranker --dry-run", READ),
    ("plan -f model.yaml", EDIT),
    ("plan -f own.yaml", OPERATE),
    ("plan -f all.yaml", MANAGE),
    ("diff -f model.yaml", EDIT),
    ("apply -f model.yaml --dry-run", EDIT),
    ("apply -f own.yaml --dry-run", OPERATE),
    ("apply -f all.yaml --dry-run", MANAGE),
    ("override list", READ),
    ("override list -t search", READ),
    ("override list -t ads", OTHERS_READ),
    ("override set search/ranker --total 30 --reason test --dry-run", OPERATE),
    ("override set --tenant search --total 30 --reason test --dry-run", OPERATE),
    ("override set --tenant search --label tier=gold --per-replica-qps 3 --reason test --dry-run", OPERATE),
    ("override set --tenant ads --total 30 --reason test --dry-run", OTHERS_OPERATE),
    ("override set --gateway shared --total 30 --reason test --dry-run", FLEET_OVERRIDE),
    ("override set --everything --freeze --reason test --dry-run", FLEET_OVERRIDE),
    ("override end night", FLEET_OVERRIDE),
    ("override end search/own", OPERATE),
    ("delete override search/own --dry-run", OPERATE),
    ("delete override night --dry-run", FLEET_OVERRIDE),
    ("delete model search/ranker --dry-run", EDIT),
    ("delete tenant search --cascade --dry-run", MANAGE),
    ("claims give x.example.com search", "nnnnny"),
    ("claims release search.models.example.com", "nnnnny"),
]
LOCAL = {"serve", "standalone", "render", "push", "import", "simulate", "warmup", "measure", "doctor", "token"}
LOCAL |= {"login", "config", "completion", "collect", "collect shipper", "top"}
LOCAL |= {"collect flink-sql", "collect kafka", "collect remote-write"}
"""Commands that run here, or ask the manager for what `get model` and `scale` ask for."""


@pytest.fixture
async def rest(fleet, tmp_path):
    people = made(tmp_path, **{name: GROUPS.get(name, []) for name in PEOPLE})
    async with fleet.manager() as manager, fleet.rest(manager, people, calls_per_second=300) as calls:
        await make_search(fleet)
        for path in ("/v1/tenants/search", "/v1/tenants/search/models/ranker"):
            await until(lambda path=path: has_history(calls, path), f"the first revision of {path}")
        await fleet.apply(model(rollout={}))
        ranged = tenant("search", rateLimit={"range": {"lowest": 1, "highest": 50}})
        await fleet.apply(ranged, tenant("ads", rateLimit={"range": {"lowest": 1, "highest": 50}}))
        await fleet.pod("search", labels())
        for name, spec in GRANTS.items():
            assert (await calls.call("PUT", f"/v1/grants/{name}", {"spec": spec}))[0] == 201
        night = {"spec": override(target={"tenant": "search"}, total=30)["spec"]}
        assert (await calls.call("PUT", "/v1/overrides/night", night))[0] == 201
        own = {"spec": override(target={"model": "ranker"}, total=20)["spec"]}
        assert (await calls.call("PUT", "/v1/tenants/search/overrides/own", own))[0] == 201
        version = {"model": "ranker", "version": "v9", "image": "x:9"}
        assert (await calls.call("POST", "/v1/tenants/search/modelversions", version))[0] == 201
        assert (await calls.call("PUT", "/v1/tenants/search/modelversions/ranker-v9/pin", {}))[0] == 200
        assert (await calls.call("PUT", "/v1/tenants/search/callers/app1", {"spec": {}}))[0] == 201
        await until(lambda: has_history(calls, "/v1/tenants/search/callers/app1"), "the first revision of the caller")
        for name, documents in {
            DOCUMENT: [model()],
            OWN: [override("new", "search", target={"model": "ranker"}, total=20)],
            FLEETS: [ranged, model()],
            CALLER: [caller("app2")],
        }.items():
            (tmp_path / name).write_text(yaml.safe_dump_all(documents))
        for person in PEOPLE:
            (tmp_path / f"{person}.token").write_text(f"as-{person}")
        calls.fleet, calls.folder = fleet, tmp_path
        yield calls


async def has_history(calls, path: str) -> bool:
    status, answer = await calls.call("GET", f"{path}/history")
    return status == 200 and bool(answer["items"])


async def tidegate(rest, person: str, line: str) -> tuple[int, str]:
    """Run a command as a person; return its exit code and all that it said."""
    words = [
        str(rest.folder / word) if word in (DOCUMENT, FLEETS, OWN, CALLER, FOLDER) else word for word in line.split()
    ]
    server = f"http://127.0.0.1:{rest._session._base_url.port}"
    options = ["--server", server, "--token-file", str(rest.folder / f"{person}.token")]
    done = await asyncio.to_thread(CliRunner().invoke, build(words), [*words, *options])
    return done.exit_code, done.output + (repr(done.exception) if done.exit_code == 1 and done.exception else "")


def test_every_command_stands_in_the_table():
    asked = {line.split()[0] for line, _ in TABLE}
    assert {command for commands in COMMANDS.values() for command in commands} == asked | LOCAL


async def test_each_command_works_for_each_role_or_says_which_right_is_missing(rest):
    async def recorded():
        status, answer = await rest.call("GET", "/v1/tenants/search/overrides/own/history")
        return status == 200 and answer["items"]

    await until(recorded, "the history of the tenant's override")
    wrong = []
    for line, row in TABLE:
        for person, letter in zip(ROLES, row, strict=True):
            if line.startswith(("override end", "claims release", "claims give")) and letter == "y":
                continue  # it would be gone for the next one
            code, said = await tidegate(rest, person, line)
            if fate(code, said) != letter:
                wrong.append((line, person, letter, code, said))
    assert not wrong, "\n".join(map(str, wrong))


def fate(code: int, said: str) -> str:
    if code == 0 or (code == 1 and "Exit(1)" in said) or (code == 1 and said.startswith("---")):
        return "y"
    if "there is no Tenant" in said:
        return "h"
    assert "403" not in said or "a platform admin can grant the role" in said or "ask a platform admin" in said, said
    return "n"


async def test_a_tenants_person_on_call_sets_sees_and_ends_an_override(rest):
    code, said = await tidegate(rest, "operator", "override set search/ranker --total 30 --reason test")
    assert code == 0, said
    name = said.split()[1]
    assert name.startswith("search/search-ranker-") and f"end it with: tidegate override end {name}" in said
    _, listed = await tidegate(rest, "operator", "override list -o json")
    mine = [o for o in json.loads(listed)["items"] if o["metadata"]["namespace"] == "search"]
    assert {o["spec"]["author"] for o in mine} == {"operator", "anna"}
    code, said = await tidegate(rest, "operator", f"override end {name}")
    assert (code, said) == (0, f"override {name} is ended\n")
    code, said = await tidegate(rest, "platform-operator", "override end night")
    assert code == 0, said


async def test_a_model_is_named_to_end_its_override(rest):
    assert (await tidegate(rest, "operator", "override set search/ranker --total 30 --reason test"))[0] == 0
    code, said = await tidegate(rest, "operator", "override end search/ranker")
    assert (code, said) == (0, "override search/ranker is ended\n")
    code, said = await tidegate(rest, "operator", "override end search/nothing")
    assert code == 2 and "there is no LimitOverride search/nothing" in said


async def test_overrides_of_other_tenants_are_not_shown(rest):
    body = {"spec": override(target={"tenant": "ads"}, total=30)["spec"]}
    assert (await rest.call("PUT", "/v1/overrides/ads-night", body))[0] == 201
    everything = {"spec": override(total=30)["spec"]}
    assert (await rest.call("PUT", "/v1/overrides/all", everything))[0] == 201
    for person, there in (("viewer", {"night", "own", "all"}), ("auditor", {"night", "own", "all", "ads-night"})):
        _, listed = await tidegate(rest, person, "get override -o json")
        assert {o["metadata"]["name"] for o in json.loads(listed)["items"]} == there
    assert (await tidegate(rest, "viewer", "get override ads-night"))[0] == 2


async def test_a_set_override_says_what_it_replaces_and_what_goes_before_it(rest):
    _, said = await tidegate(rest, "operator", "override set search/ranker --total 30 --reason test")
    assert "override tidegate-system/night is stronger (30/s by anna" in said
    await tidegate(rest, "platform-operator", "override set search/ranker --total 40 --reason test")
    _, said = await tidegate(rest, "platform-operator", "override set search/ranker --total 35 --reason test --dry-run")
    assert "would hold until" in said and "it replaces what override tidegate-system/search-ranker-" in said
    assert "40/s by platform-operator" in said
