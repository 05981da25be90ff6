"""Which collectors there are, so that they share the pods: each renews a Lease of its own (coordination.k8s.io).

No collector compares clocks: another one is there while its Lease changes, by this one's own monotonic clock.
"""

import asyncio
import logging
from dataclasses import dataclass

from istio_templates.errors import NotFound, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import WriteConflict
from k8s_manager.kube.lease import micro_time
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
LABEL, VALUE = "tidegate.dev/lease", "collector"
PREFIX = "tidegate-collector-"
SECONDS = 15.0
"""Seconds without a change of its Lease after which a collector counts as gone."""
PAUSE = 3.0
FORGOTTEN = 20
"""A Lease that has not changed for so many times SECONDS is deleted."""


@dataclass(frozen=True, slots=True)
class SeenMember:
    """The Lease of a collector as last observed, and since when it has not changed."""

    version: str
    since: float


class Membership:
    """One collector among those of a namespace. Until their Leases have been read there are no members. One that cannot
    renew its Lease for as long as others wait has none either: its pods are followed by others then."""

    def __init__(self, client: KubeClient, clock: Clock, namespace: str, identity: str) -> None:
        self._client, self._clock = client, clock
        self.identity, self._namespace = identity, namespace
        self._seen: dict[str, SeenMember] = {}
        self.members: frozenset[str] = frozenset()
        """The collectors that share the pods now; empty until they are known."""

    async def run(self) -> None:
        """Renew the own Lease and look for others until cancelled; then give it up."""
        renewed = self._clock.now()
        try:
            while True:
                began = self._clock.now()
                try:
                    async with asyncio.timeout(SECONDS / 3):
                        await self._renew()
                        renewed = began
                        await self._look()
                except (TidegateError, TimeoutError) as error:
                    log.warning("Leases of collectors in %s: %s; they are tried again", self._namespace, error)
                    if self._clock.now() - renewed > SECONDS - PAUSE:
                        self.members = frozenset()
                await self._clock.wait(asyncio.Event(), PAUSE)
        finally:
            await asyncio.shield(self._give_up())

    def _key(self, identity: str) -> ObjectKey:
        return ObjectKey("Lease", self._namespace, f"{PREFIX}{identity}")

    async def _renew(self) -> None:
        key = self._key(self.identity)
        renewed = micro_time(self._clock.utc())
        spec = {"holderIdentity": self.identity, "leaseDurationSeconds": round(SECONDS), "renewTime": renewed}
        try:
            await self._client.merge(key, {"spec": spec})
        except NotFound:
            metadata = {"name": key.name, "namespace": key.namespace, "labels": {LABEL: VALUE}}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            await self._client.create(lease)

    async def _look(self) -> None:
        leases, _ = await self._client.list(RESOURCES["Lease"], f"{LABEL}={VALUE}", self._namespace)
        now, found = self._clock.now(), dict[str, SeenMember]()
        for lease in leases:
            name, version = _holder(lease), lease["metadata"]["resourceVersion"]
            if name is None:
                continue
            before = self._seen.get(name)
            found[name] = before if before and before.version == version else SeenMember(version, now)
        self._seen = found
        alive = {name for name, seen in found.items() if now - seen.since < SECONDS} | {self.identity}
        if alive != self.members:
            log.info("collectors: %s", ", ".join(sorted(alive)))
        self.members = frozenset(alive)
        for name, seen in found.items():
            if now - seen.since > FORGOTTEN * SECONDS:
                await self._forget(name, seen.version)

    async def _forget(self, name: str, version: str) -> None:
        try:
            await self._client.delete(self._key(name), version=version)
        except (NotFound, WriteConflict):
            log.debug("the Lease of %s was deleted or renewed meanwhile", name)

    async def _give_up(self) -> None:
        try:
            async with asyncio.timeout(PAUSE):
                await self._client.delete(self._key(self.identity))
        except (TidegateError, TimeoutError) as error:
            log.warning("the Lease of this collector stays until it expires: %s", error)


def _holder(lease: Manifest) -> str | None:
    """Return whose Lease it is; None for one that no collector has written."""
    name, spec = str(lease["metadata"]["name"]), lease.get("spec")
    holder = spec.get("holderIdentity") if isinstance(spec, dict) else None
    return str(holder) if name == f"{PREFIX}{holder}" else None
