"""The real API server keeps the contract that the embedded one keeps."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.support.site import kubeconfig
from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.resources import RESOURCES
from tests.contract.kubernetes import *  # noqa: F403
from tests.support.fleet import Hands
from tests.support.waiting import until

TOUCHED = ("Service", "Deployment", "VirtualService", "ConfigMap", "Model")


class RealFleet(Hands):
    """What the suite asks of a fleet, on the cluster under test."""

    def __init__(self, client: KubeClient) -> None:
        super().__init__(client)
        self.server, self.session = client.server, client.session

    def forgotten_version(self) -> str:
        """Return a version from before the kinds of documents were there: their history does not reach back to it."""
        return "1"

    async def clean(self) -> None:
        """Remove what a test may have left in its namespace, and its tenant."""
        found = [ObjectKey("Tenant", "", "t")]
        for kind in TOUCHED:
            objects, _ = await self.client.list(RESOURCES[kind], namespace="ns")
            found += [ObjectKey(kind, "ns", obj["metadata"]["name"]) for obj in objects]
        for key in found:
            await self._remove(key)

    async def _remove(self, key: ObjectKey) -> None:
        async def gone() -> bool:
            live: Any = await self.get(*(key.kind, key.name, key.namespace))
            if live is None or key.name == "kube-root-ca.crt" or key.name.startswith("istio-ca-"):
                return True
            try:
                if live["metadata"].get("finalizers"):
                    await self.client.merge(key, {"metadata": {"finalizers": []}})
                await self.client.delete(key)
            except (Absent, WriteConflict):
                return False
            return False

        await until(gone, f"{key} being gone")


@pytest.fixture
async def fleet(without_manager: None) -> AsyncIterator[RealFleet]:
    async with await connect(kubeconfig()) as client:
        fleet = RealFleet(client)
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        yield fleet
        await fleet.clean()
