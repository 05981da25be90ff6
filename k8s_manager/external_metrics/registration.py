"""What the leader writes for the external metrics: the Secret with the certificate, and the APIService with its CA."""

import asyncio
import base64
import binascii
import logging
from dataclasses import dataclass

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.autoscaling.api_service import (
    API_SERVICE,
    INSTEAD,
    ApiServiceState,
    api_service_state,
    desired_api_service,
)
from k8s_manager.external_metrics.tls_material import ServingMaterial, material_in, renewed, secret_of
from k8s_manager.kube.base_version import pinned, read_live
from k8s_manager.kube.fence import FencedClient
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.world.installation import LABELS

log = logging.getLogger(__name__)
EVERY = 30.0
"""Seconds between two looks."""
HELD = (
    "APIService %s is held by %s: external metrics of this cluster are not the manager's, and it does not touch them; "
    f"{INSTEAD}"
)


@dataclass(frozen=True, slots=True)
class ServingPlace:
    """The manager's Service (namespace, name), and the Secret with its certificate, in the same namespace."""

    service: tuple[str, str]

    @property
    def host(self) -> str:
        """The name by which the API server reaches the Service."""
        namespace, name = self.service
        return f"{name}.{namespace}.svc"

    @property
    def secret(self) -> ObjectKey:
        """The Secret."""
        namespace, name = self.service
        return ObjectKey("Secret", namespace, f"{name}-external-metrics")


class ApiRegistration:
    """Keeps certificate and APIService as they should be, while this manager leads. `state` is who held the external
    metrics at the last look; None before the first."""

    def __init__(self, leader: FencedClient, clock: Clock, place: ServingPlace) -> None:
        self._leader, self._clock, self._place = leader, clock, place
        self._reported = ""
        self.state: ApiServiceState | None = None

    async def run(self, leads: bool) -> None:
        """Look again and again while this manager leads, until cancelled."""
        if leads:
            effects = Effects(self._clock, asyncio.Event())
            await poll("external metrics", self.register, EVERY, self._clock, effects)
        else:
            await self._clock.wait(asyncio.Event(), None)

    async def register(self) -> None:
        """Renew the certificate where that is due, then bring the APIService in line, unless another owner has it."""
        live = await read_live(self._leader, API_SERVICE)
        state = self.state = api_service_state(live, self._place.service)
        published = _authorities(live) if live is not None and state.is_ours else ""
        material = await self._renew(published)
        self._report(state)
        if not state.may_be_written or published == material.bundle:
            return
        text = base64.b64encode(material.bundle.encode()).decode()
        desired = desired_api_service(self._place.service, text)
        if live is None:
            await self._leader.create(desired)
        else:
            await self._leader.apply(pinned(desired, live), force=True)
        log.info("APIService %s has the authority of %s", API_SERVICE.name, self._place.secret)

    async def _renew(self, published: str) -> ServingMaterial:
        live = await read_live(self._leader, self._place.secret)
        found = material_in(live) if live is not None else None
        material = renewed(found, self._place.host, published, self._clock.utc())
        if material is found:
            return material
        secret = secret_of(material, self._place.secret, LABELS)
        if live is None:
            await self._leader.create(secret)
        else:
            await self._leader.replace(pinned({**secret, "type": live.get("type", secret["type"])}, live))
        return material

    def _report(self, state: ApiServiceState) -> None:
        """Log who else holds the external metrics, once."""
        holder = "" if state.may_be_written else state.holder
        if holder and holder != self._reported:
            log.warning(HELD, API_SERVICE.name, holder)
        self._reported = holder


def _authorities(api_service: Manifest) -> str:
    """Return the authorities (PEM) by which the API server checks; empty where they cannot be read."""
    try:
        return base64.b64decode((api_service.get("spec") or {}).get("caBundle") or "", validate=True).decode()
    except (ValueError, TypeError, binascii.Error):
        return ""
