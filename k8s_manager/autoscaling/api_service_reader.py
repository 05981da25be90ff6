"""Reads who holds the external metrics, which the HPA of a version needs."""

import logging
from math import inf

from istio_templates.errors import TidegateError
from k8s_manager.autoscaling.api_service import API_SERVICE, ApiServiceState, api_service_state
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
FRESH = 10.0
"""Seconds for which a reading serves."""


class ApiServiceReader:
    """Reads the APIService, whether or not the manager serves external metrics itself; `service` is the manager's
    (namespace, name). While it cannot be read, the last reading holds."""

    def __init__(self, client: KubeClient, clock: Clock, service: tuple[str, str]) -> None:
        self._client, self._clock, self._service = client, clock, service
        self._read_at, self._state = -inf, ApiServiceState()
        self._trouble = ""

    async def other_holder(self) -> str:
        """Return the Service (`namespace/name`) of another owner that has the external metrics; empty without one."""
        now = self._clock.now()
        if now - self._read_at >= FRESH:
            self._read_at = now
            self._state = await self._read()
        return "" if self._state.may_be_written else self._state.holder

    async def _read(self) -> ApiServiceState:
        try:
            live = await read_live(self._client, API_SERVICE)
        except TidegateError as error:
            if str(error) != self._trouble:
                log.warning("who holds the external metrics cannot be read: %s", error)
            self._trouble = str(error)
            return self._state
        self._trouble = ""
        return api_service_state(live, self._service)
