"""Reads ResourceQuotas, so that no replica is asked for that a namespace may not have."""

import logging
from collections.abc import Iterable, Mapping
from math import inf

from istio_templates.errors import TidegateError
from k8s_manager.autoscaling.quotas.namespace_quota import BearableReplicas, Rooms, bearable_in, rooms_of
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
FRESH = 30.0
"""Seconds for which a reading serves: a quota changes seldom, and Kubernetes holds to it in any case."""


class QuotaReader:
    """Reads all quotas of the cluster at once. Where they cannot be read, no headroom is known."""

    def __init__(self, client: KubeClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._read_at, self._rooms = -inf, dict[str, Rooms]()
        self._trouble = ""

    async def rooms(self) -> Mapping[str, Rooms]:
        """Return, by namespace, what its quotas leave of each resource."""
        now = self._clock.now()
        if now - self._read_at >= FRESH:
            self._read_at = now
            self._rooms = await self._read()
        return self._rooms

    async def _read(self) -> dict[str, Rooms]:
        try:
            found, _ = await self._client.list(RESOURCES["ResourceQuota"])
        except TidegateError as error:
            if str(error) != self._trouble:
                log.warning("quotas cannot be read, so autoscaling does not know them: %s", error)
            self._trouble = str(error)
            return {}
        self._trouble = ""
        return rooms_of(found)


class QuotaBounds:
    """How many replicas of each version the quotas bear at most, by the last two readings. A quota knows of a new pod
    before its Deployment does, and in a reading between the two the pod has taken room and is not there."""

    def __init__(self) -> None:
        self._rooms: Mapping[str, Rooms] = {}
        self._before: Mapping[VersionKey, BearableReplicas] = {}
        self._now: Mapping[VersionKey, BearableReplicas] = {}

    def of(self, rooms: Mapping[str, Rooms], targets: Iterable[ScaleTarget]) -> Mapping[VersionKey, BearableReplicas]:
        """Return the higher figure of two readings, the last of which left these rooms; none where nothing bounds."""
        if rooms is not self._rooms:
            found = {one.key: bearable_in(rooms.get(one.key.namespace, {}), one) for one in targets}
            self._rooms, self._before = rooms, self._now
            self._now = {key: most for key, most in found.items() if most}
        both = {**self._before, **self._now}
        return {key: max(most, self._before.get(key, most), key=lambda one: one.replicas) for key, most in both.items()}
