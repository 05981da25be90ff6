"""Who may read external metrics: the API server proves itself, and its rules say who may."""

import aiohttp
import pytest
import trustme

from tests.k8s_manager.external_metrics.conftest import VALUES
from tests.support.api_server_proof import CONTROLLER, configuration

ROOT = "/apis/external.metrics.k8s.io/v1beta1"


def is_status(body, code: int, reason: str) -> bool:
    head = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return head.items() <= body.items() and bool(body["message"])


@pytest.mark.parametrize("path", [VALUES, ROOT])
async def test_a_client_without_a_certificate_reads_why(metrics, path):
    async with metrics.session() as session:
        status, body = await metrics.ask(session, path)
    assert status == 401 and is_status(body, 401, "Unauthorized")
    assert not metrics.client.reviews


async def test_a_certificate_of_another_authority_ends_the_handshake(metrics):
    async with metrics.session(trustme.CA()) as session:
        with pytest.raises(aiohttp.ClientError):
            await metrics.ask(session)


async def test_a_certificate_with_another_name_proves_nothing(metrics):
    async with metrics.session(metrics.authority, "a-kubelet") as session:
        status, body = await metrics.ask(session)
    assert status == 401 and is_status(body, 401, "Unauthorized")


async def test_any_name_will_do_where_the_api_server_names_none(metrics, fleet):
    await fleet.apply(configuration(metrics.authority, requestheader_allowed_names="[]"))
    await metrics.parts.listener.refresh()
    async with metrics.session(metrics.authority, "a-kubelet") as session:
        assert (await metrics.ask(session))[0] == 200


async def test_the_api_server_has_to_name_a_caller(metrics):
    async with metrics.session(metrics.authority) as session:
        assert (await metrics.ask(session, user=""))[0] == 401


async def test_a_caller_without_the_right_is_refused(metrics):
    metrics.decide()
    async with metrics.session(metrics.authority) as session:
        status, body = await metrics.ask(session, user="eve")
    assert status == 403 and is_status(body, 403, "Forbidden")
    assert "eve" in body["message"] and "search" in body["message"]


async def test_the_right_is_asked_for_as_the_api_server_does_and_kept_for_a_while(metrics):
    metrics.decide()
    headers = {"X-Remote-Extra-Example.com%2Fscopes": "a"}
    async with metrics.session(metrics.authority) as session:
        session.headers.update(headers)
        for _ in range(3):
            assert (await metrics.ask(session))[0] == 200
    (review,) = metrics.client.reviews
    assert review["user"] == CONTROLLER and review["groups"] == ["system:authenticated"]
    assert review["extra"] == {"example.com/scopes": ["a"]}
    assert review["resourceAttributes"] == {
        "group": "external.metrics.k8s.io",
        "version": "v1beta1",
        "resource": "tidegate_replicas",
        "namespace": "search",
        "verb": "list",
    }


async def test_a_caller_is_not_let_in_while_the_api_server_says_nothing(metrics):
    metrics.client.is_silent = True
    async with metrics.session(metrics.authority) as session:
        status, body = await metrics.ask(session)
    assert status == 503 and is_status(body, 503, "ServiceUnavailable")


async def test_other_authorities_count_at_once_also_on_connections_that_are_open(metrics, fleet):
    other = trustme.CA()
    async with metrics.session(metrics.authority) as session:
        assert (await metrics.ask(session))[0] == 200
        await fleet.apply(configuration(other, metrics.authority))
        await metrics.parts.listener.refresh()
        assert (await metrics.ask(session))[0] == 200
        async with metrics.session(other) as second:
            assert (await metrics.ask(second))[0] == 200
        await fleet.apply(configuration(other))
        await metrics.parts.listener.refresh()
        assert (await metrics.ask(session))[0] == 401
        async with metrics.session(other) as third:
            assert (await metrics.ask(third))[0] == 200


async def test_a_configuration_that_cannot_be_read_changes_nothing(metrics, fleet):
    await fleet.apply(configuration(requestheader_client_ca_file="no certificate"))
    await metrics.parts.listener.refresh()
    async with metrics.session(metrics.authority) as session:
        assert (await metrics.ask(session))[0] == 200
