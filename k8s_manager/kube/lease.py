"""Which of several managers leads: a Lease that the leader renews (coordination.k8s.io, as client-go elects).

No manager compares clocks. A candidate takes the Lease when it has observed it unchanged for a whole `seconds` on its
own monotonic clock. The leader counts from before it sent its last successful renewal, stops leading at two thirds, and
then cancels what it has under way: when another manager takes over, nothing of the former leader is under way any more.
The same moment closes the fence (`k8s_manager.kube.fence`), for a leader that was stopped and does not know yet.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.fence import Fence
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import LEADER

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObservedLease:
    """A Lease as last observed, and since when it has not changed."""

    version: str
    since: float


class Lease:
    """One candidate for one Lease of `seconds`."""

    def __init__(self, client: KubeClient, clock: Clock, key: ObjectKey, identity: str, seconds: float) -> None:
        self._client, self._clock, self._key, self._identity = client, clock, key, identity
        self.seconds = seconds
        self._seen: ObservedLease | None = None
        self._held: Manifest | None = None
        self.fence = Fence(clock)

    @property
    def pause(self) -> float:
        """Seconds between two looks at the Lease, and the longest that one may take."""
        return self.seconds / 6

    async def run(self, lead: Callable[[], Awaitable[None]], follow: Callable[[], Awaitable[None]]) -> None:
        """Follow until this manager holds the Lease, lead as long as it does; for ever. Gives the Lease back when
        cancelled."""
        while True:
            await _while(follow, self._acquired())
            log.info("%s leads", self._identity)
            LEADER.set(1)
            try:
                await _while(lead, self._lost())
            finally:
                LEADER.set(0)
                await asyncio.shield(self._give_back())
            log.warning("%s leads no more", self._identity)

    async def _acquired(self) -> None:
        while not await self._try():
            await self._clock.wait(asyncio.Event(), self.pause)

    async def _lost(self) -> None:
        while (left := self.fence.left) > 0:
            await self._clock.wait(asyncio.Event(), min(self.pause, left))
            if not self.fence.is_open():
                return
            try:
                async with asyncio.timeout(self.fence.left):
                    if not await self._try() and self._held is None:
                        return
            except TimeoutError:
                return

    async def _try(self) -> bool:
        """Take or renew the Lease if this manager may; tell whether that worked."""
        before = self._clock.now()
        try:
            async with asyncio.timeout(self.pause):
                live = await self._read()
                if not (self._may_make() if live is None else self._may_take(live)):
                    self._held = None
                    self.fence.close()
                    return False
                self._held = await self._write(live)
        except (TidegateError, TimeoutError) as error:
            log.warning("%s: %s; it is tried again", self._key, error or "no answer in time")
            return False
        self.fence.extend(before + self.seconds * 2 / 3)
        return True

    async def _read(self) -> Manifest | None:
        live = await read_live(self._client, self._key)
        return None if live is None else {**live, "spec": _sound(live.get("spec"))}

    def _may_make(self) -> bool:
        """Tell whether a Lease that is not there may be made: the holder of one that was deleted has to notice
        first."""
        return self._held is not None or self._seen is None or self._clock.now() - self._seen.since >= self.seconds

    def _may_take(self, live: Manifest) -> bool:
        if live["spec"].get("holderIdentity") in (self._identity, "", None):
            return True
        version = live["metadata"]["resourceVersion"]
        if self._seen is None or self._seen.version != version:
            self._seen = ObservedLease(version, self._clock.now())
        theirs = max(float(live["spec"].get("leaseDurationSeconds") or 0), self.seconds)
        return self._clock.now() - self._seen.since >= theirs

    async def _write(self, live: Manifest | None) -> Manifest:
        now = micro_time(self._clock.utc())
        spec = {"holderIdentity": self._identity, "leaseDurationSeconds": round(self.seconds), "renewTime": now}
        if live is None:
            metadata = {"name": self._key.name, "namespace": self._key.namespace}
            spec |= {"acquireTime": now, "leaseTransitions": 0}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            return await self._client.create(lease)
        if live["spec"].get("holderIdentity") != self._identity:
            spec |= {"acquireTime": now, "leaseTransitions": live["spec"].get("leaseTransitions", 0) + 1}
        return await self._client.replace({**live, "spec": {**live["spec"], **spec}})

    async def _give_back(self) -> None:
        """Let the next one lead at once."""
        self.fence.close()
        held, self._held = self._held, None
        if held is None:
            return
        try:
            async with asyncio.timeout(self.pause):
                await self._client.replace({**held, "spec": {**held["spec"], "holderIdentity": ""}})
        except (TidegateError, TimeoutError) as error:
            log.warning("%s was not given back: %s; the next leader waits until it expires", self._key, error)


def _sound(spec: Any) -> Manifest:
    """Return the spec of a Lease without what cannot be read: others may write there too."""
    found = spec if isinstance(spec, dict) else {}
    numbers = ("leaseDurationSeconds", "leaseTransitions")
    kept = {name: value for name, value in found.items() if name not in (*numbers, "holderIdentity")}
    kept |= {name: found[name] for name in numbers if type(found.get(name)) is int and abs(found[name]) < 2**31}
    return kept | ({"holderIdentity": found["holderIdentity"]} if isinstance(found.get("holderIdentity"), str) else {})


def micro_time(moment: datetime) -> str:
    """Return a moment as Leases hold it (MicroTime)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _while(work: Callable[[], Awaitable[None]], end: Awaitable[None]) -> None:
    """Run `work` until `end` comes; an error of either is raised."""
    tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(end)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
