"""What decides on releases in simulated time: a receiver of webhooks, and a cluster that runs Jobs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from istio_templates.errors import Transient
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.text.web_address import WebAddress
from k8s_manager.standalone.apiserver.paths import shape_of
from k8s_manager.standalone.apiserver.registry import Kind
from tests.support.direct_api import Cluster

JOB = Kind("batch/v1", "Job", "jobs", True, False, shape_of("Job"))
KEY = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@dataclass
class Receiver:
    """Answers each message with `said`, after `delay` seconds; None: it is away. `sent` are the messages, with their
    headers."""

    said: Any = field(default_factory=lambda: {"result": "passed"})
    delay: float = 0.0
    sent: list[tuple[dict[str, Any], Mapping[str, str]]] = field(default_factory=list)

    async def post(self, address: WebAddress, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Answer a message."""
        self.sent.append((orjson.loads(body), headers))
        await asyncio.sleep(self.delay)
        if self.said is None:
            raise Transient(f"{address.host}: connection refused")
        return self.said if isinstance(self.said, bytes) else orjson.dumps(self.said)


async def with_jobs(cluster: Cluster) -> None:
    """Have the API server know Jobs; none of them does anything by itself."""
    cluster.session.registrar.kinds[JOB.group_version, JOB.plural] = JOB


def jobs_of(cluster: Cluster) -> list[Manifest]:
    """Return all Jobs."""
    return [obj for place, obj in cluster.state().items() if place.startswith("Job ")]


async def end_job(cluster: Cluster, job: Manifest, condition: str, reason: str = "", last: str = "") -> None:
    """Let a Job complete (`Complete`) or fail (`Failed`); `last` is what its pod wrote last."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    if last:
        await cluster.pod(f"{name}-x", namespace, {"batch.kubernetes.io/job-name": name})
        ended = {"name": "check", "state": {"terminated": {"exitCode": 3, "message": f"first\n{last}\n"}}}
        await cluster.client.merge(
            ObjectKey("Pod", namespace, f"{name}-x"), {"status": {"containerStatuses": [ended]}}, "status"
        )
    found = {"type": condition, "status": "True", "reason": reason, "message": "Job has reached the backoff limit"}
    await cluster.client.merge(ObjectKey("Job", namespace, name), {"status": {"conditions": [found]}})
