"""MLflow over HTTP, at a server on loopback: what is asked, what is bounded, and what an answer is not believed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from istio_templates.errors import TidegateError
from k8s_manager.release.registry.mlflow_server import MOST_BYTES, MOST_VERSIONS, PAGE, MlflowServer
from k8s_manager.release.registry.registry_answer import (
    OddRegistryAnswer,
    RegisteredModelAbsent,
    RegistryUnavailable,
)
from k8s_manager.runtime.settings import MlflowSettings

ROOT = "/api/2.0/mlflow"
Answer = Callable[[web.Request], Any]


def versions(*numbers: int) -> list[dict[str, Any]]:
    return [{"name": "ranker", "version": str(one), "source": f"s3://m/{one}", "status": "READY"} for one in numbers]


def found(request: web.Request, aliases: dict[str, str] | None = None) -> web.Response:
    """Answer as a server with one version."""
    match request.path.removeprefix(ROOT + "/"):
        case "registered-models/get":
            listed = [{"alias": alias, "version": number} for alias, number in (aliases or {}).items()]
            return web.json_response({"registered_model": {"name": "ranker", "aliases": listed}})
        case "model-versions/search":
            return web.json_response({"model_versions": versions(3)})
        case "model-versions/get":
            return web.json_response({"model_version": versions(int(request.query["version"]))[0]})
    return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, status=404)


@asynccontextmanager
async def serving(answer: Answer, seconds: float = 5, **settings: Any) -> AsyncIterator[tuple[MlflowServer, list[Any]]]:
    asked: list[web.Request] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        made = answer(request)
        response: web.StreamResponse = await made if asyncio.iscoroutine(made) else made
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server = MlflowServer(MlflowSettings(f"http://127.0.0.1:{port}/", **settings), seconds)
    try:
        yield server, asked
    finally:
        await server.close()
        await runner.cleanup()


async def test_a_registered_model_is_read_with_what_aliases_point_at_beyond_the_newest(tmp_path: Path):
    (tmp_path / "token").write_text("secret\n")
    async with serving(
        lambda request: found(request, {"champion": "1", "new": "3"}), token_file=tmp_path / "token"
    ) as (server, asked):
        listing = await server.listing("ranker")
    assert [one.number for one in listing.versions] == [1, 3] and listing.aliases == {"champion": 1, "new": 3}
    assert {one.method for one in asked} == {"GET"} and len(asked) == 3
    assert {one.headers["Authorization"] for one in asked} == {"Bearer secret"}
    (search,) = (one for one in asked if one.path.endswith("search"))
    assert search.query["filter"] == "name='ranker'" and search.query["order_by"] == "version_number DESC"


async def test_pages_are_followed_as_far_as_the_newest_versions_reach_and_no_further():
    def endless(request: web.Request) -> web.Response:
        if not request.path.endswith("search"):
            return found(request)
        first = 1000 - int(request.query.get("page_token", "0")) * PAGE
        token = str(int(request.query.get("page_token", "0")) + 1)
        return web.json_response({"model_versions": versions(*range(first - PAGE, first)), "next_page_token": token})

    async with serving(endless) as (server, _):
        listing = await server.listing("ranker")
    assert len(listing.versions) == MOST_VERSIONS and listing.versions[-1].number == 999


async def late(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


ODD: list[tuple[Answer, type[TidegateError], str]] = [
    (lambda _: web.Response(status=500, text="<h1>no</h1>"), RegistryUnavailable, "answers 500"),
    (lambda _: web.json_response({"message": "not you"}, status=403), RegistryUnavailable, "answers 403, not you"),
    (lambda _: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), RegistryUnavailable, "redir"),
    (lambda _: web.Response(text="<html>"), OddRegistryAnswer, "something else than JSON"),
    (lambda _: web.Response(text="[" * 100_000), OddRegistryAnswer, "something else than JSON"),
    (lambda _: web.Response(text="7"), OddRegistryAnswer, "answers 7"),
    (lambda _: web.Response(body=b"\xff\xfe" * 9), OddRegistryAnswer, "something else than JSON"),
    (lambda _: web.Response(text=" " * (MOST_BYTES + 1)), RegistryUnavailable, f"more than {MOST_BYTES} bytes"),
    (lambda _: web.Response(text="", headers={"Content-Encoding": "gzip"}), OddRegistryAnswer, "registered_model"),
    (late, RegistryUnavailable, "is not answered within 0.2 s"),
    (
        lambda _: web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404),
        RegisteredModelAbsent,
        "registered-models/get",
    ),
]


@pytest.mark.parametrize(("answer", "error", "said"), ODD, ids=[one[2] for one in ODD])
async def test_an_answer_that_is_none_is_an_error_of_one_line(answer: Answer, error: type[TidegateError], said: str):
    async with serving(answer, 0.2) as (server, asked):
        with pytest.raises(error) as raised:
            await server.listing("ranker")
    assert said in str(raised.value) and str(raised.value).isprintable() and len(asked) == 1


async def test_a_server_that_is_not_there_is_away():
    server = MlflowServer(MlflowSettings("http://127.0.0.1:9"), 2)
    with pytest.raises(RegistryUnavailable):
        await server.listing("ranker")
    await server.close()


async def test_a_token_or_authorities_that_cannot_be_read_are_said(tmp_path: Path):
    for given in ({"token_file": tmp_path / "none"}, {"ca_file": tmp_path / "none"}):
        server = MlflowServer(MlflowSettings("http://127.0.0.1:9", **given), 2)
        with pytest.raises(RegistryUnavailable, match="No such file"):
            await server.listing("ranker")
        await server.close()


async def test_a_run_that_is_gone_is_absent():
    async with serving(found) as (server, _):
        with pytest.raises(RegisteredModelAbsent):
            await server.metrics("abc")
