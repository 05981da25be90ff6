"""What the gateway pods of a release count of its two versions, at the moment: mirrored requests, which they log
nowhere, and others sooner than their logs are counted.

Both versions are read in the same way, in the clusters that gateway pods have of them. Counters are compared with those
of the last look before a step, or of the first one at it: a manager that begins in the middle of one counts from there.
A pod that answered then without a cluster had no request to it, and counts from none.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from collectors import cluster_counters
from collectors.access_log.latency import bucket_of
from collectors.cluster_counters import ClusterCounts, increase, latency_classes, summed
from collectors.replicas import PodState
from istio_templates import names
from istio_templates.facts import GatewayPool
from k8s_manager.release.decision.observation import StepStatistics, VersionStatistics
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.runtime.clock import Clock

AT_ONCE = 16
"""Gateway pods that are read at once."""
NAMED = 3
"""Gateway pods that a sentence names."""
Counters = Mapping[str, ClusterCounts]
Source = tuple[str, str]
"""A gateway pod and a cluster."""
Release = tuple[ModelPlace, str, str, float]
"""A model, its stable version and the new one, and when the release began: a retry is another one."""
RECENT = 15.0
"""Seconds before a step within which a look is one that its counts may begin from."""
PodsOf = Callable[[GatewayPool], Sequence[PodState]]


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """What is to be known of a step since a moment (epoch seconds): the stable and the new version, the gateways that
    send requests to them, the ports of the model's routes, and when the release began (epoch seconds)."""

    place: ModelPlace
    stable: str
    version: str
    since: float
    gateways: tuple[GatewayPool, ...]
    ports: frozenset[int]
    started: float = 0.0

    @property
    def release(self) -> Release:
        """Which release asks."""
        return self.place, self.stable, self.version, self.started

    def clusters(self, version: str) -> list[str]:
        """Return the names by which Envoy knows the replicas of a version."""
        return [names.cluster(*self.place, port, version) for port in sorted(self.ports)]


class ClusterReader(Protocol):
    """Reads the counters of one gateway pod."""

    async def __call__(self, address: str, clusters: Collection[str]) -> Counters | None:
        """Return what a pod at an address has counted of clusters; None where it does not answer."""


def pod_reader(session: aiohttp.ClientSession, port: int) -> ClusterReader:
    """Return the reader of gateway pods over HTTP, at the port of their statistics."""

    async def read(address: str, clusters: Collection[str]) -> Counters | None:
        return await cluster_counters.read(session, address, port, clusters)

    return read


@dataclass(slots=True)
class _StepCounts:
    """What was counted in a step that began at `step`: since when, the last reading of each source, `at` the moment of
    the last look, and what each cluster had since."""

    step: float
    since: float
    at: float
    last: dict[Source, ClusterCounts] = field(default_factory=dict)
    added: dict[str, ClusterCounts] = field(default_factory=dict)

    def take(self, source: Source, counts: ClusterCounts) -> None:
        """Add what a source has counted since its last reading; the first one of a pod is where it begins, of a cluster
        that it does not know yet too."""
        before, cluster = self.last.get(source), source[1]
        if before is not None:
            self.added[cluster] = summed(self.added.get(cluster, ClusterCounts()), increase(before, counts))
        self.last[source] = counts


class GatewayCounts:
    """Counts the requests of the steps that are asked about. It forgets a release that is asked about no more."""

    def __init__(self, pods_of: PodsOf, port: int, clock: Clock) -> None:
        self._pods_of, self._port, self._clock = pods_of, port, clock
        self._steps: dict[Release, _StepCounts] = {}

    async def read(self, asked: Sequence[CountQuestion]) -> Mapping[ModelPlace, StepStatistics | str]:
        """Return the statistics of each step, or why there are none."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            return await self.read_by(pod_reader(session, self._port), asked)

    async def read_by(
        self, reader: ClusterReader, asked: Sequence[CountQuestion]
    ) -> Mapping[ModelPlace, StepStatistics | str]:
        """Return the same by another reader of pods."""
        releases = {one.release for one in asked}
        self._steps = {release: step for release, step in self._steps.items() if release in releases}
        places = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._step(reader, places, one) for one in asked))
        return {one.place: statistics for one, statistics in zip(asked, found, strict=True)}

    async def _step(
        self, reader: ClusterReader, places: asyncio.Semaphore, asked: CountQuestion
    ) -> StepStatistics | str:
        clusters = {*asked.clusters(asked.stable), *asked.clusters(asked.version)}
        pods = {f"{pool.namespace}/{pod.name}": pod for pool in asked.gateways for pod in self._pods_of(pool)}

        async def look(pod: PodState) -> Counters | None:
            async with places:
                return await reader(str(pod.address), clusters)

        answers = dict(zip(pods, await asyncio.gather(*map(look, pods.values())), strict=True))
        if flaw := _flaw(asked, answers):
            return flaw
        now = self._clock.utc().timestamp()
        step = self._steps[asked.release] = self._begun(asked, now)
        step.at = now
        for pod, counters in answers.items():
            if counters is not None:
                for cluster in clusters:
                    step.take((pod, cluster), counters.get(cluster, ClusterCounts()))
        return _statistics(asked, step, now)

    def _begun(self, asked: CountQuestion, now: float) -> _StepCounts:
        """Return the counts of a step; those of one that has begun since the last look go on from there."""
        before = self._steps.get(asked.release)
        if before is not None and before.step == asked.since:
            return before
        if before is None or asked.since - before.at > RECENT:
            return _StepCounts(asked.since, now, now)
        return _StepCounts(asked.since, asked.since, now, before.last)


def _flaw(asked: CountQuestion, answers: Mapping[str, Counters | None]) -> str | None:
    """Return why nothing is known of the requests; None where something is."""
    if not answers:
        gateways = ", ".join(pool.name for pool in asked.gateways)
        return f"gateway {gateways} has no ready pod that could count requests; start one"
    if any(answers.values()):
        return None
    pods = ", ".join(sorted(answers)[:NAMED])
    if all(counters is None for counters in answers.values()):
        return f"gateway pods {pods} do not show their statistics; let the manager reach their port for Prometheus"
    remedy = (
        f"include {names.COUNTED} in their proxyStatsMatcher, or restart a managed gateway: kubectl rollout restart"
    )
    return f"gateway pods {pods} do not count by version; {remedy}"


def _statistics(asked: CountQuestion, step: _StepCounts, now: float) -> StepStatistics:
    stable = _of_version(step, asked.clusters(asked.stable), at_most=False)
    new = _of_version(step, asked.clusters(asked.version), at_most=True)
    return StepStatistics(step.since, now, stable=stable, new=new, mirrored=new)


def _of_version(step: _StepCounts, clusters: Sequence[str], at_most: bool) -> VersionStatistics:
    counts = ClusterCounts()
    for cluster in clusters:
        counts = summed(counts, step.added.get(cluster, ClusterCounts()))
    # An attempt that is tried again is counted twice, and its caller has one answer.
    errors = max(0, counts.server_errors - counts.retries)
    outcomes = {"5xx": errors, "4xx": counts.client_errors, "noAnswer": 0}
    return VersionStatistics(max(0, counts.completed - counts.retries), outcomes, _latency(counts, at_most))


def _latency(counts: ClusterCounts, at_most: bool) -> dict[int, int]:
    """Return latencies in buckets, in favour of the new version: Envoy's classes are wide, and none is to fail for
    that. Those of the new version count as the least (`at_most` their true ones), others as the most of a class."""
    out: dict[int, int] = {}
    for lower, upper, count in latency_classes(counts.latency):
        edge = lower if at_most or upper == float("inf") else upper
        bucket = bucket_of(max(1, round(edge * 1000))) + (1 if at_most and lower else 0)
        out[bucket] = out.get(bucket, 0) + count
    return out
