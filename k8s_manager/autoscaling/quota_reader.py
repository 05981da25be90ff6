"""Reads ResourceQuotas, so that no replica is asked for that a namespace may not have."""

import logging
from collections.abc import Mapping
from fractions import Fraction
from math import inf

from istio_templates.errors import TidegateError
from k8s_manager.autoscaling.namespace_quota import rooms_of
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
        self._read_at, self._rooms = -inf, dict[str, dict[str, Fraction]]()
        self._trouble = ""

    async def rooms(self) -> Mapping[str, Mapping[str, Fraction]]:
        """Return, by namespace, what its quotas leave of each resource."""
        now = self._clock.now()
        if now - self._read_at >= FRESH:
            self._read_at = now
            self._rooms = await self._read()
        return self._rooms

    async def _read(self) -> dict[str, dict[str, Fraction]]:
        try:
            found, _ = await self._client.list(RESOURCES["ResourceQuota"])
        except TidegateError as error:
            if str(error) != self._trouble:
                log.warning("quotas cannot be read, so autoscaling does not know them: %s", error)
            self._trouble = str(error)
            return {}
        self._trouble = ""
        return rooms_of(found)
