"""Every operation of the REST API, called with what it should do: each answer is as its description says."""

import json
import re
from dataclasses import replace

import pytest

from k8s_manager import client
from k8s_manager.api.schemas import claims, documents, fleet, plans
from k8s_manager.world.installation import SYSTEM
from tests.features.conftest import make_search
from tests.features.test_statistics import TOKEN as COLLECTORS
from tests.features.test_statistics import collector_on
from tests.fuzz.__main__ import BODIES, RANGE
from tests.fuzz.__main__ import rest as more_documents
from tests.support.answers import closed, strict_description
from tests.support.documents import model, tenant
from tests.support.fleet import SETTINGS
from tests.support.standalone import free_port
from tests.support.waiting import until

NAMES = {"gateways": "shared", "tenants": "search", "models": "ranker", "overrides": "night", "grants": "sre"}
NAMES |= {"modelversions": "ranker-v9", "callers": "app1"}
THERE = {"tenant": "search", "model": "ranker", "version": "v1", "revision": "1", "host": "free.example.com"}
ORDER = ("PUT", "GET", "PATCH", "POST", "DELETE")


def operations() -> list[tuple[str, str]]:
    paths = strict_description()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    # What autoscale decides on cannot be scaled, and what is blocked cannot be pinned: that comes last.
    last = re.compile("autoscale|/block$")
    return sorted(found, key=lambda one: (ORDER.index(one[0]), -one[1].count("/"), bool(last.search(one[1]))))


def placed(method: str, path: str) -> tuple[str, str]:
    """Return the path with names in it, and the name of its document: reads meet what is there, writes make their own."""
    kind = next((part for part in NAMES if f"/{part}/{{name}}" in path), "")
    own = "ranker-own" if kind == "modelversions" else f"own-{kind}"
    name = own if method in ("PUT", "DELETE") and path.endswith("{name}") else NAMES.get(kind, "")
    filled = re.sub(r"{(\w+)}", lambda part: {**THERE, "name": name}[part[1]], path)
    return filled, name


def body_of(method: str, path: str, name: str):
    if method == "PATCH":
        return {"spec": {}}
    if path.endswith("/rollback"):
        return {"revision": 1}
    return json.loads(json.dumps(BODIES[path]).replace("NAME", name)) if method in ("PUT", "POST") else None


@pytest.fixture
async def rest(fleet, tmp_path):
    port, token = free_port(), tmp_path / "token"
    token.write_text(COLLECTORS)
    settings = replace(SETTINGS, collectors_url=f"http://127.0.0.1:{port}", collectors_token_file=token)
    async with (
        collector_on(fleet, "127.0.0.1", port),
        fleet.manager(settings) as manager,
        fleet.rest(manager) as calls,
    ):
        await make_search(fleet)
        await until(lambda: has_history(calls, "tenants/search"), what="the first revision, before the next change")
        await fleet.apply(model(rollout={}))
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        await fleet.apply(system, tenant(rateLimit=RANGE), tenant("lender"), *more_documents())
        await until(lambda: fleet.get("Gateway", "tenant-lender", "inference-gw"), what="the other tenant")
        for path in (
            "gateways/shared",
            "tenants/search",
            "tenants/search/models/ranker",
            "overrides/night",
            "tenants/search/overrides/night",
            "grants/sre",
            "tenants/search/modelversions/ranker-v9",
            "tenants/search/callers/app1",
        ):
            await until(lambda path=path: has_history(calls, path), what=f"the history of {path}")
        yield calls


async def has_history(calls, path: str) -> bool:
    status, found = await calls.call("GET", f"/v1/{path}/history")
    return status == 200 and bool(found["items"])


async def is_decided(calls, path: str) -> bool:
    status, _ = await calls.call("GET", path)
    return status == 200


async def test_every_operation_answers_as_it_is_described(rest):
    for method, path in operations():
        filled, name = placed(method, path)
        query = "?follow=false" if path == "/v1/events" else "?force=true" if path.endswith("/traffic") else ""
        if path.endswith("/versions/{version}/replicas"):  # the first look at the version follows its autoscale
            await until(lambda filled=filled: is_decided(rest, filled), what="the first look")
        status, answer = await rest.call(method, filled + query, body_of(method, path, name))
        assert status < 300, (method, filled, status, answer)
        if method in ("PUT", "PATCH", "POST") and path.startswith("/v1"):
            await rest.call(method, filled + "?dryRun=true", body_of(method, path, name))
            status, _ = await rest.call(method, filled, "[]")
            assert status == 422, (method, filled)
    done = {(method, path) for method, path, status in rest.answers if 200 <= status < 300}
    assert done == set(operations())


@pytest.mark.parametrize(
    ("typed", "described"),
    [
        (client.WhoAmI, fleet.CallerReport),
        (client.GrantedRole, fleet.RoleGrant),
        (client.GitState, fleet.ManifestDelivery),
        (client.OutOfStep, fleet.TreeGap),
        (client.ClaimedHost, claims.HostOwnership),
        (client.RemoteDocument, documents.ModelDocument),
        (client.PlannedWrite, plans.WritePlan),
    ],
)
def test_the_python_client_has_the_fields_that_are_described(typed, described):
    assert set(typed.__annotations__) == set(described.model_json_schema(by_alias=True)["properties"])


def test_an_undescribed_field_is_wrong_and_a_free_mapping_stays_free():
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}, "b": {"type": "object"}}}
    assert closed(schema)["additionalProperties"] is False
    assert "additionalProperties" not in closed(schema)["properties"]["b"]
