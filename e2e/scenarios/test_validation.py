"""Kubernetes and istiod's webhook take every rendered object of every golden case, and have nothing to add."""

import json
import os
import subprocess
from collections.abc import AsyncIterator

import orjson
import pytest

from e2e.support.site import Site, kubeconfig
from istio_templates.facts import Manifest
from istio_templates.names import key_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.resources import path_of
from tests.golden.case import CASES, rendered

# IST0133: the limits cannot be said otherwise. IST0102: a gateway's namespace asks for no sidecars; its pods ask for
# their proxy themselves.
UNAVOIDABLE = {"IST0133": "EnvoyFilter exposes internal implementation details", "IST0102": "not enabled for injection"}
LACKING = {"ScaledObject"}
"""Kinds of operators that this cluster does not have; their cases are held against what the operator defines."""
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


@pytest.fixture
async def client(golden_namespaces: None) -> AsyncIterator[KubeClient]:
    async with await connect(kubeconfig()) as found:
        yield found


async def said_of(client: KubeClient, obj: Manifest) -> list[str]:
    """Apply an object in a dry run, admission included; return what the server refuses or warns of."""
    url = f"{client.server}{path_of(key_of(obj))}?fieldManager=golden&force=true&dryRun=All"
    async with client.session.patch(url, data=orjson.dumps(obj), headers=_APPLY) as answer:
        body = await answer.json()
        refused = [body.get("message", "")] if answer.status >= 300 else []
        warnings = answer.headers.getall("Warning", [])
        return [*refused, *(text for text in warnings if UNAVOIDABLE["IST0133"] not in text)]


async def test_every_object_of_every_case_is_accepted_without_a_warning(client: KubeClient):
    told, looked_at = {}, 0
    for case in CASES:
        for obj in rendered(case):
            if obj["kind"] in LACKING:
                continue
            looked_at += 1
            if said := await said_of(client, obj):
                told[f"{case}: {key_of(obj)}"] = said
    assert told == {}
    assert looked_at > 10 * len(CASES)


async def test_the_webhook_is_really_asked(client: KubeClient):
    (service,) = [obj for obj in rendered("http-model") if obj["kind"] == "VirtualService"]
    destination = service["spec"]["http"][0]["route"][0]
    broken = {**service, "spec": {**service["spec"], "http": [{"route": [{**destination, "weight": -5}]}]}}
    (said, *_) = await said_of(client, broken)
    assert "admission webhook" in said and "denied" in said


async def test_istioctl_finds_nothing_in_what_a_team_gets(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    for namespace in (tenant, "shared-gw"):
        command = [
            os.environ.get("E2E_ISTIOCTL", "istioctl"),
            "analyze",
            "--kubeconfig",
            str(kubeconfig()),
            "-n",
            namespace,
        ]
        ended = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=False)
        found = [message for message in json.loads(ended.stdout or "[]") if message["code"] not in UNAVOIDABLE]
        assert (ended.returncode, found) == (0, []), ended.stderr
