"""Secrets that come in with calls and Secrets go nowhere: no log, metric, event, status or answer holds one."""

import asyncio
import base64
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.metrics import REGISTRY
from k8s_manager.world.certificate import AHEAD
from tests.features.conftest import make_search
from tests.support.certificates import secret
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

CANARY = "c4n4ry"
LISTENERS = [
    {"name": "https", "port": 8443, "protocol": "HTTPS", "domain": "apps.example.com", "credentialName": "wild"}
]
RANKER = "/v1/tenants/search/models/ranker"


def words(number: int) -> str:
    """Return a secret of its own for each input, so that a find says where it came from."""
    return f"{CANARY}-{number:03d}"


def jwt(claims: dict) -> str:
    """Return a token that nobody has signed."""
    parts = [{"alg": "none", "kid": words(1)}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


PROOFS = {
    "wrong token": {"Authorization": f"Bearer {words(10)}"},
    "password": {"Authorization": f"Basic {words(11)}"},
    "no scheme": {"Authorization": words(12)},
    "unsigned": {"Authorization": f"Bearer {jwt({'iss': words(13), 'sub': words(14)})}"},
    "another header": {"X-Api-Key": words(15)},
    "cookie": {"Cookie": f"session={words(16)}"},
}
BODIES = {
    "torn": f'{{"spec": {{"token": "{words(20)}',
    "text": f'"{words(21)}"',
    "value of an unknown field": {"spec": {"password": words(22)}},
    "value of a wrong type": {"spec": {"versions": [{"name": "v1", "workload": {"env": {"HF_TOKEN": words(23)}}}]}},
    "value beside a secret": {
        "spec": {
            "versions": [{"name": "v1", "workload": {"env": [{"name": "T", "value": words(24), "valueFrom": {}}]}}]
        }
    },
    "number for a text": {
        "spec": {"versions": [{"name": "v1", "workload": {"env": [{"name": "T", "value": [words(25)]}]}}]}
    },
}


async def everything(fleet, rest, caplog) -> dict[str, str]:
    """Return all that goes out, by where: answers that anyone with a right may read, metrics, statuses, events, logs."""
    out = {"log": caplog.text, "metrics": generate_latest(REGISTRY).decode()}
    for path in (
        "/v1/tenants",
        "/v1/gateways",
        "/v1/events?follow=false",
        RANKER,
        f"{RANKER}/explain",
        "/metrics",
    ):
        status, answer = await rest.call("GET", path)
        assert status == 200 and len(str(answer)) > 100, (path, status, answer)
        out[path] = str(answer)
    for kind in (
        "Tenant",
        "Model",
        "InferenceGateway",
        "Event",
        "EnvoyFilter",
        "Gateway",
        "VirtualService",
        "ConfigMap",
    ):
        out[kind] = json.dumps((await fleet.client.list(RESOURCES[kind]))[0])
    return out


def held(out: dict[str, str]) -> dict[str, str]:
    """Return where a secret was found, with the words around it."""
    return {where: text[max(0, at - 80) : at + 40] for where, text in out.items() if (at := text.find(CANARY)) >= 0}


async def test_no_secret_of_a_call_is_found_in_logs_metrics_events_statuses_or_answers(fleet, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    async with fleet.manager() as manager, fleet.rest(manager, audit=str(tmp_path / "audit")) as rest:
        await make_search(fleet)
        for name, headers in PROOFS.items():
            for path in ("/v1/tenants", f"/v1/tenants?access_token={words(30)}&token={words(31)}", "/metrics"):
                status, answer, _ = await rest.full("GET", path, headers={"Authorization": "", **headers})
                assert status in (200, 401), (name, path, status)
                assert path == "/metrics" or status == 401
                assert CANARY not in str(answer), (name, path, answer)
        for name, body in BODIES.items():
            for query in ("", "?dryRun=true"):
                status, answer = await rest.call("PUT", f"{RANKER}{query}", body)
                assert 400 <= status < 500, (name, status, answer)
                assert CANARY not in str(answer), (name, answer)
        trail = (tmp_path / "audit").read_text()
        assert "search" in trail
        assert held({"audit": trail, **await everything(fleet, rest, caplog)}) == {}


async def test_no_part_of_a_secret_of_the_cluster_is_found_whatever_is_wrong_with_it(fleet, caplog):
    caplog.set_level(logging.DEBUG)
    encoded = base64.b64encode(words(40).encode()).decode()
    ends = datetime.now(UTC) + 2 * AHEAD
    good = secret(ends, "*.apps.example.com", name="wild", namespace="inference-gw")
    swapped = {"tls.crt": encoded, "tls.key": good["data"]["tls.crt"]}
    forms = [
        good | {"data": good["data"] | {"tls.key": encoded, "password": encoded}},
        good | {"data": swapped},
        good | {"data": {"tls.key": encoded}},
        good | {"data": {"tls.crt": "", "tls.key": encoded}},
        secret(datetime.now(UTC) - timedelta(days=1), "else.example.com", name="wild", namespace="inference-gw")
        | {"metadata": {"name": "wild", "namespace": "inference-gw", "annotations": {"note": words(41)}}},
    ]
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await fleet.apply(gateway(listeners=LISTENERS), tenant(hosts=[{"name": "search.apps.example.com"}]))
        await until(lambda: fleet.get("Namespace", "search"), "the namespace")
        await fleet.apply(
            model(routes=[{"host": "search.apps.example.com", "path": "/v2/models/ranker", "port": 8080}])
        )
        reasons = set()
        for form in forms:
            await fleet.apply(form)
            await fleet.settled(0.2)
            reasons.add((await fleet.condition("InferenceGateway", "shared", "CertificatesValid"))["reason"])
            out = await everything(fleet, rest, caplog)
            assert held(out) == {}
            assert all(encoded not in text for text in out.values())
        assert len(reasons) > 2, reasons
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["log", "metrics", "Tenant"])
def test_the_search_finds_what_is_there(where: str):
    assert held({"else": "nothing", where: f"a word, {words(1)}, and more"}) == {where: f"a word, {words(1)}, and more"}
