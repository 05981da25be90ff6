"""The Python client: what it returns, and what it raises."""

import asyncio

import pytest

from k8s_manager.client import ApiProblem, TidegateClient, Unanswered, path_of
from tests.features.conftest import make_search
from tests.support.documents import HOST, model
from tests.support.fleet import TOKEN
from tests.support.standalone import free_port


@pytest.fixture
async def client(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        yield TidegateClient(f"http://127.0.0.1:{rest._session._base_url.port}", TOKEN)


async def test_a_document_is_planned_written_as_planned_read_and_deleted(client):
    def work():
        changed = {"spec": model(rateLimit={"perReplicaQps": 30})["spec"]}
        plan = client.plan("model", "search/ranker", changed)
        written = client.put("model", "search/ranker", changed, plan["fingerprint"], "a faster card", "OPS-1")
        assert written["spec"]["rateLimit"]["perReplicaQps"] == 30
        assert client.get("model", "search/ranker")["metadata"]["name"] == "ranker"
        assert [found["metadata"]["name"] for found in client.documents("model", "search")] == ["ranker"]
        assert [found["metadata"]["name"] for found in client.documents("tenant")] == ["search"]
        with pytest.raises(ApiProblem) as caught:
            client.put("model", "search/ranker", {"spec": model(drain="9m")["spec"]}, plan["fingerprint"])
        assert caught.value.status == 412
        assert client.delete("model", "search/ranker") == ["Model search/ranker"]

    await asyncio.to_thread(work)


async def test_who_one_is_and_whose_hosts_are_is_returned(client):
    def work():
        assert client.whoami()["grants"][0]["role"] == "platformAdmin"
        client.give_host("new.example.com", "search", reason="more")
        found = {claim["host"]: claim for claim in client.claims()}
        assert found.keys() == {HOST, "new.example.com"} and found[HOST]["tenant"] == "search"
        client.release_host("new.example.com")
        assert [claim["host"] for claim in client.claims()] == [HOST]

    await asyncio.to_thread(work)


async def test_a_refusal_says_what_is_wrong_field_by_field(client):
    def work():
        with pytest.raises(ApiProblem) as caught:
            client.put("model", "search/ranker", {"spec": {**model()["spec"], "drain": "soon"}})
        assert (caught.value.status, [found.field for found in caught.value.problems]) == (422, ["spec.drain"])
        with pytest.raises(ApiProblem, match="401 Unauthorized"):
            TidegateClient(client.server, "wrong").whoami()
        with pytest.raises(ApiProblem, match="404 Not Found: there is no Model search/none"):
            client.get("model", "search/none")

    await asyncio.to_thread(work)


def test_nobody_who_answers_is_an_error_of_its_own():
    nobody = TidegateClient(f"http://127.0.0.1:{free_port()}", "none")
    with pytest.raises(Unanswered, match="is the manager running"):
        nobody.whoami()
    with pytest.raises(Unanswered):
        nobody.put("gateway", "shared", {})


def test_a_model_is_named_with_its_tenant():
    assert path_of("model", "search/ranker") == "/v1/tenants/search/models/ranker"
    assert path_of("model", "search/") == "/v1/tenants/search/models" and path_of("grant", "") == "/v1/grants"
    with pytest.raises(ValueError, match="TENANT/MODEL"):
        path_of("model", "ranker")
