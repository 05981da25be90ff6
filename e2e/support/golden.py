"""The golden cases on a real cluster: their namespaces, and their objects as they are applied."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.client import KubeClient
from tests.golden.case import CASES, rendered

ISTIO = ("Gateway", "DestinationRule", "VirtualService", "EnvoyFilter")


def namespaces() -> list[str]:
    """Return every namespace in which a case has objects."""
    return sorted({obj["metadata"].get("namespace", "") for case in CASES for obj in rendered(case)} - {""})


@asynccontextmanager
async def in_namespaces(client: KubeClient) -> AsyncIterator[None]:
    """Have the cases' namespaces, and take them away afterwards."""
    for name in namespaces():
        await client.apply(_namespace(name), force=True, manager="golden")
    try:
        yield
    finally:
        for name in namespaces():
            await client.delete(ObjectKey("Namespace", "", name))


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tidegate-e2e": "golden"}}}
