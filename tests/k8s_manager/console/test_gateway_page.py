"""The page of a gateway: what each pod runs, slots with their models, certificates."""

import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from tests.features.test_config_probe import SLOT, proved, search
from tests.features.test_gateway_dataplane import dataplane, written
from tests.k8s_manager.console.conftest import Browser
from tests.support.certificates import secret
from tests.support.documents import gateway
from tests.support.waiting import until

__all__ = ["search"]


@pytest.fixture
async def reader(search):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        found = Browser(str(search.calls._session._base_url).rstrip("/"), session)
        await found.sign_in()
        yield found


async def text(reader) -> str:
    seen = await reader.get("/console/gateways/shared")
    assert seen.status == 200, seen.text
    return " ".join(re.sub(r"<[^>]+>", " ", seen.text).split())


async def test_pods_and_slots_are_those_of_the_api(search, reader):
    await proved(search, 20)
    revision, shown = written(await dataplane(search.calls))["revision"], await text(reader)
    assert re.search(rf"{SLOT} replicas as declared 1 {revision} 1 of 1", shown), shown
    assert "search/ranker" in shown and "● Applied" in shown and "more slots are empty" in shown


async def test_a_pod_that_does_not_answer_is_said_to_be_unknown(search, reader):
    await proved(search, 20)
    search.gateway_pod.silent = True

    async def is_said():
        shown = await text(reader)
        return "It does not answer the config probe" in shown and "▲ NoAnswer" in shown and "0 of 1" in shown

    await until(is_said, "the pod that does not answer")


async def test_certificates_show_the_days_that_are_left(search, reader):
    listeners = (await search.get("InferenceGateway", "shared"))["spec"]["listeners"]
    wild = {"port": 9443, "protocol": "HTTPS", "domain": "apps.example.com", "credentialName": "wild"}
    await search.apply(gateway(listeners=[*listeners, {"name": "wild", **wild}]))
    await until(lambda: _says(reader, "create it with a certificate for *.apps.example.com"), "the missing Secret")
    ends = datetime.now(UTC) + timedelta(days=40, hours=1)
    await search.apply(secret(ends, "*.apps.example.com", name="wild", namespace="inference-gw"))
    await until(lambda: _says(reader, "inference-gw/wild ● Valid 40"), "the certificate's days")


async def _says(reader, words: str) -> bool:
    return words in await text(reader)
