"""Releases by the word of Jobs and of a webhook, on real gateways: they promote, or bring requests back."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.scenarios.test_release import ROLLOUT, goes_by, prepared, released
from e2e.support.collectors import with_collectors
from e2e.support.install import settled
from e2e.support.load import Load
from e2e.support.site import MODEL_IMAGE, SYSTEM, Site, bounded, host_of, kubectl, path_of, version
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE = 20.0
SMALL = {"requests": {"cpu": "5m", "memory": "16Mi"}}
ASKS = """
import json, os, time, urllib.request
time.sleep(3)
address = f"http://{os.environ['TIDEGATE_MODEL']}:8080/v2/models/ranker"
found = [json.load(urllib.request.urlopen(address, timeout=5))["version"] for _ in range(5)]
print("answers of", sorted(set(found)))
"""
FAILS = "print('p99 is 420 ms'); raise SystemExit(3)"
GATE, KEY = "release-gate", base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
RECEIVER = """
import base64, hashlib, hmac, json, os, time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["KEY"])

class Gate(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        sent, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        digest = hmac.new(KEY, f"{sent}.{at}.".encode() + body, hashlib.sha256).digest()
        wanted = "v1," + base64.b64encode(digest).decode()
        is_right = hmac.compare_digest(wanted, self.headers["webhook-signature"]) and abs(time.time() - int(at)) < 300
        is_bad = json.loads(body)["tenant"].endswith("-no")
        answer = {"result": "failed", "message": "clicks fell by half"} if is_bad else {"result": "passed"}
        self.send_response(200 if is_right else 403)
        self.end_headers()
        self.wfile.write(json.dumps(answer if is_right else {}).encode())

HTTPServer(("", 8080), Gate).serve_forever()
"""


def receiver() -> str:
    """Return a namespace with a receiver of webhooks, and the Secret with the key that both know."""
    container = {"name": "gate", "image": MODEL_IMAGE, "command": ["/usr/bin/python3", "-c", RECEIVER], "resources": SMALL,
                 "env": [{"name": "KEY", "value": KEY}]}  # fmt: skip
    labels = {"app": "gate"}
    return yaml.safe_dump_all(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATE}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate", "namespace": GATE, "labels": labels},
             "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gate", "namespace": GATE},
             "spec": {"selector": labels, "ports": [{"port": 8080}]}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tidegate-webhooks", "namespace": SYSTEM},
             "stringData": {"key": f"whsec_{KEY}"}},
        ]
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def parts(installed) -> Iterator[None]:
    """Have collectors, which count what versions answer, and a receiver that the manager may ask."""
    hosts = f"TIDEGATE_WEBHOOK_HOSTS=http://gate.{GATE}.svc:8080"
    kubectl("apply", "-f", "-", stdin=receiver())
    kubectl("-n", GATE, "wait", "--for=condition=Ready", "pod/gate", bounded())
    kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", hosts)
    settled()
    with with_collectors():
        yield
    kubectl("-n", SYSTEM, "set", "env", "deployment/tidegate", "TIDEGATE_WEBHOOK_HOSTS-")
    kubectl("-n", SYSTEM, "delete", "secret", "tidegate-webhooks")
    kubectl("delete", "namespace", GATE, "--wait=false")
    settled()


async def test_jobs_and_webhooks_promote_or_bring_back(site: Site, gateways: list[str], tenant: str):
    """Side by side, in a tenant each."""
    webhook = {"webhook": f"http://gate.{GATE}.svc:8080/releases"}
    await asyncio.gather(
        passes(site, gateways, f"{tenant}-job", job(ASKS)),
        fails(site, gateways, f"{tenant}-bad", job(FAILS), "exit code 3: p99 is 420 ms"),
        passes(site, gateways, f"{tenant}-yes", webhook),
        fails(site, gateways, f"{tenant}-no", webhook, "clicks fell by half"),
    )


def job(program: str) -> dict[str, Any]:
    """Return a check by a Job that runs a program."""
    return {
        "job": {
            "image": MODEL_IMAGE,
            "command": ["/usr/bin/python3", "-c", program],
            "timeout": "2m",
            "resources": SMALL,
        }
    }


async def release(site: Site, tenant: str, check: dict[str, Any]) -> None:
    """Begin a release that has a check besides the one on errors."""
    rollout: dict[str, Any] = {**ROLLOUT, "checks": [*ROLLOUT["checks"], {"name": "other", **check}]}
    traffic = [{"version": "v2", "weight": 100}]
    await site.make_model_document(tenant, versions=[version(2), version(2, "v2")], traffic=traffic, rollout=rollout)


async def passes(site: Site, gateways: list[str], tenant: str, check: dict[str, Any]) -> None:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await release(site, tenant, check)
        await goes_by(site, tenant, v1=75, v2=25)
        await goes_by(site, tenant, v1=50, v2=50)
        await goes_by(site, tenant, v2=100)
    assert not load.outcome.strange, load.outcome.counts
    await until(lambda: site.holds("Model", "ranker", "Released", tenant), f"{tenant}'s release being complete")
    await until(lambda: has_no_jobs(tenant), f"{tenant} having no Job")


async def fails(site: Site, gateways: list[str], tenant: str, check: dict[str, Any], said: str) -> None:
    await prepared(site, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await release(site, tenant, check)
        await until(lambda: is_blocked(site, tenant), f"{tenant}'s version being blocked")
        await goes_by(site, tenant, v1=100)
    assert not load.outcome.strange, load.outcome.counts
    found = await released(site, tenant)
    assert found["blocked"][0]["version"] == "v2" and said in found["blocked"][0]["reason"], found
    await until(lambda: has_no_jobs(tenant), f"{tenant} having no Job")


async def is_blocked(site: Site, tenant: str) -> bool:
    return bool((await released(site, tenant)).get("blocked"))


async def has_no_jobs(tenant: str) -> bool:
    return not kubectl("-n", tenant, "get", "jobs", "-o", "name").split()
