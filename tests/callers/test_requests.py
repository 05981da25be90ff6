"""How requests are written changes nothing about who may call what, and models see the caller and no token."""

import asyncio
import json
import re
from pathlib import Path

import grpc
import pytest

from istio_templates.callers.refusals import REFUSALS
from tests.callers.rig import ADS, CHAT, DELEGATED, GUEST, MODELS, OPTIONAL, OWN, PUBLIC, SEARCH, plan_of_all
from tests.support.callers import CheckedGateway, access_of, bearer, checked_gateway, planned, with_access
from tests.support.documents import gateway, model, tenant
from tests.support.envoy import ENVOYS
from tests.support.grpc_model import Echo

pytestmark = pytest.mark.xdist_group("envoy")
MESSAGES = {one.message for one in REFUSALS}


async def raw(found: CheckedGateway, head: str) -> tuple[int, str]:
    """Send a request as it stands; return the status and all that was answered."""
    reader, writer = await asyncio.open_connection(found.envoy.address, 8080)
    writer.write(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer


def request(target: str, host: str, *headers: str) -> str:
    return "\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers])


SPELLINGS = [
    (OWN.path, OWN.host.upper()),
    (OWN.path, f"{OWN.host}:8080"),
    (OWN.path, f"{OWN.host.title()}:80"),
    (OWN.path, f"{OWN.host}."),
    (OWN.path, f"{PUBLIC.host},{OWN.host}"),
    (f"/{OWN.path}", OWN.host),
    (OWN.path.replace("/", "//"), OWN.host),
    (OWN.path.replace("/", "%2F"), OWN.host),
    (OWN.path.replace("/models/", "/models%2f"), OWN.host),
    (OWN.path.replace("ranker", "%72anker"), OWN.host),
    (OWN.path.replace("/ranker", ";a=b/ranker"), OWN.host),
    (f"{OWN.path};{PUBLIC.path}", OWN.host),
    (f"{OWN.path}/..%2ffaq", OWN.host),
    (f"{OWN.path}/%2e%2e/ranker", OWN.host),
    (f"{PUBLIC.path}/../ranker", OWN.host),
    (f"{PUBLIC.path}/..;/ranker", OWN.host),
    (f"{PUBLIC.path}\\..\\ranker", OWN.host),
    (f"{OWN.path}?x={PUBLIC.path}", OWN.host),
    (f"{OWN.path}#{PUBLIC.path}", OWN.host),
    (f"http://{OWN.host}{OWN.path}", "plain.models.example.com"),
    (f"http://{OWN.host}{OWN.path}", PUBLIC.host),
    (DELEGATED.path.upper(), DELEGATED.host),
    (f"{PUBLIC.path}/..{DELEGATED.path}", DELEGATED.host),
]


@pytest.mark.parametrize("version", ENVOYS)
async def test_no_spelling_of_host_or_path_goes_round_the_check(version: str, tmp_path: Path):
    async with checked_gateway(tmp_path, *MODELS, binary=ENVOYS[version]) as found:
        await found.load(plan_of_all())
        for target, host in SPELLINGS:
            status, _ = await raw(found, request(target, host))
            reached = set(found.models.reached) - {PUBLIC.model}
            assert not reached, (target, host, status)
        for target, host in SPELLINGS[:3]:
            assert (await raw(found, request(target, host, f"Authorization: Bearer {SEARCH.token()}")))[0] == 200


GOOD, OTHER = SEARCH.token(), SEARCH.token(sub="app2", jti="id-2")
TWICE = [
    ["Authorization: Bearer x", f"Authorization: Bearer {GOOD}"],
    [f"Authorization: Bearer {GOOD}", "Authorization: Bearer x"],
    [f"Authorization: Bearer {GOOD}", f"authorization: bearer {OTHER}"],
    [f"Authorization: Bearer {GOOD}, Bearer {OTHER}"],
    [f"Authorization: Bearer {GOOD},{OTHER}"],
    [f"Authorization: Bearer {GOOD}", "Api-Key: x"],
    [f"Api-Key: {GOOD}", f"Api-Key: {OTHER}"],
    [f"Api-Key: {GOOD}", "Authorization: Bearer x"],
    [f"Authorization: Bearer\t{GOOD}"],
    [f"Authorization: {GOOD}"],
    ["Authorization:"],
    [f"Authorization: Bearer {GOOD}", "x-tidegate-caller-0: app2", "x-tidegate-token-0: id"],
]


@pytest.mark.parametrize("version", ENVOYS)
async def test_of_headers_that_stand_twice_all_are_good_or_none_counts(version: str, tmp_path: Path):
    async with checked_gateway(tmp_path, *MODELS, binary=ENVOYS[version]) as found:
        await found.load(plan_of_all())
        for headers in TWICE:
            before = found.models.reached.total()
            status, answer = await raw(found, request(OWN.path, OWN.host, *headers))
            assert status in (200, 401, 403), (headers, answer)
            assert found.models.reached.total() - before == (status == 200), headers
            if status == 200:
                seen = found.models.headers
                assert seen["x-tidegate-caller"] == "app1", headers
                assert not seen.keys() & {"authorization", "api-key"}, headers
                assert not [name for name in seen if re.search("tidegate-(caller|token)-", name)]


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("header", ["authorization", "api-key", "x-key"])
async def test_a_model_sees_the_token_only_where_its_tenant_wants_that(forward: bool, header: str, tmp_path: Path):
    more = {"headers": ("x-key",), "forward": forward}
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(plan_of_all(search=more, ads=more))
        for place, signer in ((OWN, SEARCH), (OPTIONAL, ADS)):
            carried = f"Bearer {signer.token()}" if header == "authorization" else signer.token()
            assert (await found.ask(place.host, place.path, {header: carried})).status == 200
            assert (found.models.headers.get(header) == carried) is forward
            assert found.models.headers["x-tidegate-caller"] == "app1"


async def test_an_answer_has_nothing_of_the_request_and_the_shape_that_its_client_reads(tmp_path: Path):
    sent = {**bearer(f"canary-{SEARCH.token(iss='canary')}"), "x-canary": "canary", "accept": "text/canary"}
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(plan_of_all())
        for place in (OWN, CHAT, DELEGATED, OPTIONAL):
            status, whole = await raw(
                found,
                request(f"{place.path}?canary", place.host, *(f"{name}: {value}" for name, value in sent.items())),
            )
            assert status == 401 and "canary" not in whole
        plain = await found.ask(OWN.host, OWN.path)
        assert json.loads(plain.body).keys() == {"reason", "message"}
        openai = await found.ask(CHAT.host, f"{CHAT.path}?api-version=1")
        error = json.loads(openai.body)["error"]
        assert error.keys() == {"message", "type", "code"} and error["type"] == "authentication_error"
        denied = await found.ask(CHAT.host, CHAT.path, bearer(SEARCH.token(sub="ghost")))
        assert denied.status == 403 and json.loads(denied.body)["error"]["type"] == "permission_error"
        assert plain.kind == openai.kind == "application/json"


GRPC = {"host": "search.models.example.com", "path": "/inference.Echo", "protocol": "grpc", "port": 8001}


@pytest.mark.parametrize("version", ENVOYS)
async def test_grpc_is_checked_by_its_metadata_and_answered_by_its_status(version: str, tmp_path: Path):
    bare = planned([gateway(), tenant(), model(routes=[GRPC])])
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with checked_gateway(tmp_path, binary=ENVOYS[version]) as found:
            found.models.ports["search/ranker"] = port
            await found.load(
                with_access(
                    bare, access_of(bare, "search", SEARCH, plan_of_all().access["search"].authentication.callers)
                )
            )
            target, options = f"{found.envoy.address}:8080", [("grpc.default_authority", GRPC["host"])]
            async with grpc.aio.insecure_channel(target, options) as channel:
                call = channel.unary_unary("/inference.Echo/Infer")

                async def answer(**metadata: str) -> tuple[grpc.StatusCode, str]:
                    named = [(name.replace("_", "-"), value) for name, value in metadata.items()]
                    try:
                        assert await call(b"asked", metadata=named, timeout=20) == b"asked"
                    except grpc.aio.AioRpcError as error:
                        return error.code(), error.details()
                    return grpc.StatusCode.OK, ""

                assert await answer(authorization=f"Bearer {GOOD}") == (grpc.StatusCode.OK, "")
                assert await answer(api_key=GOOD) == (grpc.StatusCode.OK, "")
                for metadata, code in (
                    ({}, grpc.StatusCode.UNAUTHENTICATED),
                    ({"authorization": f"Bearer {SEARCH.token(aud='ads')}"}, grpc.StatusCode.UNAUTHENTICATED),
                    ({"authorization": f"Bearer {SEARCH.token(jti='bad-id')}"}, grpc.StatusCode.UNAUTHENTICATED),
                    ({"authorization": f"Bearer {GUEST.token()}"}, grpc.StatusCode.UNAUTHENTICATED),
                    ({"authorization": f"Bearer {SEARCH.token(sub='ghost')}"}, grpc.StatusCode.PERMISSION_DENIED),
                    ({"authorization": f"Bearer {SEARCH.token(sub='app3')}"}, grpc.StatusCode.PERMISSION_DENIED),
                ):
                    found_code, message = await answer(**metadata)
                    assert found_code == code and message in MESSAGES, (metadata, message)
    finally:
        await server.stop(None)
