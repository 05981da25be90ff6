"""A gateway pod's log as the node gives it.

A node gives the newest file of a container only: what stands in the files before it, which the kubelet has rotated
away, and in those of a container that ended, cannot be read any more.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.collector.gateway_logs import PROXY
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.timestamp import timestamp_at

FIRST_LINE = 60.0
"""Seconds within which a proxy that starts has written its first line."""


class PodLogSource:
    """The log of one pod."""

    def __init__(self, client: KubeClient, store: Store, pod: ObjectKey) -> None:
        self._client, self._store, self._pod = client, store, pod

    async def missing_until(self, wanted: int) -> float | None:
        """Return until when (epoch seconds) lines since `wanted` may be missing; None where all are there."""
        oldest = await self._client.log_beginning(self._pod, PROXY)
        if oldest is None or oldest <= wanted:
            return None
        return None if _is_first(self._store.get(self._pod) or {}, oldest) else oldest

    async def pieces(self, since: int) -> AsyncIterator[bytes]:
        """Yield what was written since a moment, and what comes, as `KubeClient.log` does."""
        async for piece in self._client.log(self._pod, PROXY, timestamp_at(since)):
            yield piece


def _is_first(pod: Manifest, line: float) -> bool:
    """Tell whether a line that was written then is the first of the pod's proxy."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    proxy: Manifest = next((status for status in statuses if status.get("name") == PROXY), {})
    state = proxy.get("state") or {}
    started = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    if proxy.get("restartCount"):
        return False
    # A pod that is not known to run has begun to write only now.
    return started is None or line <= datetime.fromisoformat(started).timestamp() + FIRST_LINE
