"""A real Envoy ends old HTTP/1.1 connections with an answer that says so, and none while it is idle."""

import asyncio
import copy

import pytest

from istio_templates.envoy_filter import SAFE_CONNECTION_AGE, with_abrupt_ends
from istio_templates.facts import Manifest
from k8s_manager.offline.offline_world import manifests
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.support.documents import gateway, model, tenant
from tests.support.envoy import config_of, running_envoy

HOST = "search.models.example.com"


def aged(objects: list[Manifest], abrupt: bool) -> list[Manifest]:
    """Return rendered objects with connections that are old after half a second."""
    found = []
    for whole in copy.deepcopy(objects):
        obj = with_abrupt_ends(whole) if abrupt and whole["kind"] == "EnvoyFilter" else whole
        for patch in (obj.get("spec") or {}).get("configPatches") or ():
            settings = (patch["patch"].get("value") or {}).get("typed_config") or {}
            if "common_http_protocol_options" in settings:
                assert (SAFE_CONNECTION_AGE in settings) is not abrupt
                settings["common_http_protocol_options"]["max_connection_duration"] = "0.5s"
                settings["drain_timeout"] = "0.1s"
        found.append(obj)
    return found


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Return the head of the answer to one request, in lower case; empty where the connection is closed."""
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


@pytest.mark.xdist_group("envoy")
@pytest.mark.parametrize("abrupt", [False, True], ids=["as rendered", "as before"])
async def test_an_idle_connection_that_is_old_still_takes_the_next_request(abrupt: bool, tmp_path):
    objects = aged(manifests([gateway(managed={"replicas": 1}), tenant(), model()]), abrupt)
    labels, namespace = next(
        (obj["spec"]["workloadSelector"]["labels"], obj["metadata"]["namespace"])
        for obj in objects
        if obj["kind"] == "EnvoyFilter"
    )
    async with running_envoy(tmp_path) as envoy:
        await envoy.load(snapshot(config_of(objects), envoy.pod(labels, namespace)))
        assert envoy.ads.rejections == []
        reader, writer = await asyncio.open_connection(envoy.address, 8080)
        assert "connection: close" not in await answered(reader, writer)
        closed = asyncio.ensure_future(reader.read(1)) if abrupt else None
        if closed is not None:
            assert await closed == b"", "without the setting Envoy closes it while it is idle, and says nothing"
        else:
            await asyncio.sleep(1.5)
            assert "connection: close" in await answered(reader, writer)
        writer.close()
