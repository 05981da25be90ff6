"""How the manager shows the API server who it is."""

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from k8s_manager.kube.config import _authorized


@pytest.mark.parametrize("as_given", ["abc", "Bearer abc", "bearer abc"])
async def test_a_token_is_sent_once_with_its_scheme_however_the_configuration_gives_it(as_given):
    settings = Configuration()
    settings.api_key["BearerToken"] = as_given
    seen = []

    async def answer(request):
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession(middlewares=(_authorized(settings),)) as session, session.get(address):
        pass
    await runner.cleanup()
    assert seen == ["Bearer abc"]
