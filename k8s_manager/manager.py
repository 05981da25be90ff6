"""The manager: everything that runs, in one list."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from istio_templates.facts import ObjectKey
from k8s_manager.api.app import build
from k8s_manager.api.audit import Audit, sink_of
from k8s_manager.api.audit_memory import AuditMemory
from k8s_manager.api.authn.authenticators import Authenticators
from k8s_manager.api.authn.key_fetch import fetcher
from k8s_manager.api.authn.own_token import Token, given_token
from k8s_manager.api.authn.token_kinds import proofs
from k8s_manager.api.guard import Directory, Guard
from k8s_manager.api.listener.server import serve
from k8s_manager.api.services.backend import Backend, backend_of
from k8s_manager.api.streams.change_hub import ChangeHub
from k8s_manager.api.streams.event_stream import StreamTerms
from k8s_manager.autoscaling.autoscale_loop import AutoscaleLoop
from k8s_manager.autoscaling.replica_floors import ReplicaFloors
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.console.console import with_console
from k8s_manager.console.oidc_sign_in import OidcClient
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.dataplane.envoy_counters import CounterLoop
from k8s_manager.dataplane.first_request import FirstRequestLoop
from k8s_manager.dataplane.gateway_reader import GatewayReader
from k8s_manager.doctor.manager_report import ManagerReports
from k8s_manager.drift.repair import DriftEvents
from k8s_manager.external_metrics.external_metrics import ExternalMetrics, external_metrics
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.gitops.tree_loop import Remote, TreeLoop, tree_loop
from k8s_manager.gitops.tree_target import TreeTarget
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.event import EventOutbox
from k8s_manager.kube.fence import Fence, FencedClient
from k8s_manager.kube.lease import Lease
from k8s_manager.kube.resources import DOCUMENTS, RESOURCES, selector_of
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.limits import limit_loop
from k8s_manager.limits.limit_loop import LimitLoop
from k8s_manager.limits.prometheus_replicas import SampleLoop
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.measurements import Measurements, measurements_of
from k8s_manager.pipeline.apply import ApplyTarget, ClusterTarget
from k8s_manager.pipeline.figure_records import FigureRecords
from k8s_manager.preview.forecast import LimitForecaster
from k8s_manager.reconcile import KINDS, MainLoop, Writers
from k8s_manager.release.external.external_checks import external_checks
from k8s_manager.release.external.webhook_call import WebhookTransport
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.registry.mlflow_server import MlflowServer, RegistryServer
from k8s_manager.release.registry.registry_loop import RegistryLoop
from k8s_manager.release.release_loop import ReleaseLoop
from k8s_manager.release.release_source import ReleaseSource
from k8s_manager.runtime.clock import Clock, SystemClock
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.settings import Settings
from k8s_manager.runtime.token_bucket import Rate
from k8s_manager.status.finalizers import Finalizers
from k8s_manager.status.status_writer import StatusWriter
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder
from k8s_manager.warmup_gate import gate_loop
from k8s_manager.warmup_gate.gate_closer import GateCloser
from k8s_manager.warmup_gate.gate_loop import GateLoop

log = logging.getLogger(__name__)
GARBAGE = (1_000, 5, 1_000)
"""How many more objects than go have to come before the youngest are looked through, and so on for the older ones."""


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of one manager."""

    main: MainLoop
    limits: LimitLoop
    config_probe: ConfigProbeLoop
    counters: CounterLoop
    gates: GateLoop
    firsts: FirstRequestLoop
    samples: SampleLoop
    autoscale: AutoscaleLoop
    releases: ReleaseLoop
    live: LiveFigures
    registries: RegistryLoop
    history: HistoryRecorder
    tree: TreeLoop | None


@dataclass(frozen=True, slots=True)
class Manager:
    """The parts of one manager, assembled and not yet running."""

    store: Store
    loops: Loops
    watchers: list[Watcher]
    backend: Backend
    lease: Lease | None
    metrics: ExternalMetrics | None

    def parts(self) -> list[Awaitable[None]]:
        """Return everything that runs, but the REST API."""
        work = self.lease.run(self._lead, self._follow) if self.lease else self._lead()
        return [*(watcher.run() for watcher in self.watchers), self.loops.samples.run(), work]

    async def _lead(self) -> None:
        await self._both(leads=True)

    async def _follow(self) -> None:
        await self._both(leads=False)

    async def _both(self, leads: bool) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loops.main.run(leads))
            group.create_task(self.loops.limits.run(leads))
            group.create_task(self.loops.config_probe.run(leads))
            group.create_task(self.loops.counters.run())
            group.create_task(self.loops.gates.run(leads))
            group.create_task(self.loops.firsts.run(leads))
            group.create_task(self.loops.autoscale.run(leads))
            group.create_task(self.loops.releases.run(leads))
            group.create_task(self.loops.live.run())
            group.create_task(self.loops.registries.run(leads))
            group.create_task(self.loops.history.run(leads))
            group.create_task(self.backend.transfers.run(leads))
            group.create_task(self.backend.deletion.run(leads))
            if self.loops.tree:
                group.create_task(self.loops.tree.run(leads))
            if self.metrics:
                group.create_task(self.metrics.registration.run(leads))


@dataclass(frozen=True, slots=True)
class Triggers:
    """What begins a pass of each loop, one for each: the store sets it at every change of the loop's kinds, other loops
    when they have something for it."""

    documents: asyncio.Event
    limits: asyncio.Event
    gates: asyncio.Event
    history: asyncio.Event
    probe: asyncio.Event

    @classmethod
    def of(cls, store: Store) -> "Triggers":
        """Subscribe every loop to its kinds; the config probe follows the limit loop alone."""
        return cls(
            documents=store.signal(frozenset(KINDS)),
            limits=store.signal(limit_loop.KINDS),
            gates=store.signal(gate_loop.KINDS),
            history=store.signal(frozenset(DOCUMENTS)),
            probe=asyncio.Event(),
        )


def assemble(
    client: KubeClient,
    clock: Clock,
    settings: Settings,
    remote: Remote | None = None,
    signals: SignalSource | None = None,
    outcomes: ReleaseSource | None = None,
    webhooks: WebhookTransport | None = None,
    registry: RegistryServer | None = None,
) -> Manager:
    """Assemble a manager. What a leader changes goes through its fence; the API of any manager writes documents. The
    repository of the manifests is `remote`; the source of what autoscaling reads `signals`, and of what releases read
    `outcomes`, or those that the settings name; `webhooks` sends what releases ask, `registry` has the
    registered models."""
    lease = _lease(client, clock, settings)
    leader = FencedClient(client, lease.fence if lease else Fence(None))
    events, store = Events(clock), Store(KINDS, clock)
    measured = measurements_of(client, store, clock, settings, signals, outcomes)
    triggers = Triggers.of(store)
    changed = triggers.documents
    samples = SampleLoop(measured.replicas, clock, settings, triggers.limits)
    counts = ShadowCounts(clock, triggers.limits)
    limits = LimitLoop(
        leader, store, clock, settings, events, samples, counts, triggers.limits, changed, triggers.probe
    )
    counters = CounterLoop(store, limits, counts, clock, settings, changed)
    effects = Effects(clock, changed)
    probe = ConfigProbeLoop(store, limits, clock, settings, events, triggers.probe, changed)
    firsts = FirstRequestLoop(store, limits, clock, settings)
    gates = _gate_loop(client, leader, store, clock, settings, events, firsts, triggers.gates)
    floors = ReplicaFloors()
    autoscale = AutoscaleLoop(leader, store, measured.signals, clock, settings, events, changed, floors)
    wake = asyncio.Event()
    externals = external_checks(leader, store, webhooks, clock, settings, events, wake)
    releases = ReleaseLoop(leader, store, measured.outcomes, externals, floors, clock, settings, events, wake)
    registry = registry or (MlflowServer(settings.mlflow) if settings.mlflow else None)
    registries = RegistryLoop(leader, store, registry, clock, settings, events, changed)
    history = HistoryRecorder(client, leader, store, clock, settings.history_quiet, triggers.history)
    cluster = ClusterTarget(leader, store, clock, effects, settings.in_flight)
    tree = tree_loop(leader, store, history, clock, settings.git, changed, remote) if settings.git else None
    writers = _writers(leader, store, clock, events, effects, TreeTarget(cluster, tree, store) if tree else cluster)
    live = measured.live
    loop = MainLoop(
        store, writers, limits, probe, counters, gates, autoscale, releases, live, registries, clock, settings, effects,
        client.spans,
    )  # fmt: skip
    watchers = [Watcher(client, store, RESOURCES[kind], clock, selector_of(kind)) for kind in KINDS]
    loops = Loops(
        loop, limits, probe, counters, gates, firsts, samples, autoscale, releases, live, registries, history, tree
    )
    forecaster = LimitForecaster(limits.observer_copy, counts)
    backend = _backend(client, store, events, watchers, loops, measured, forecaster, clock, settings)
    metrics = external_metrics(client, leader, store, clock, settings)
    return Manager(store, loops, watchers, backend, lease, metrics)


def _backend(
    client: KubeClient,
    store: Store,
    events: Events,
    watchers: list[Watcher],
    loops: Loops,
    measured: Measurements,
    forecaster: LimitForecaster,
    clock: Clock,
    settings: Settings,
) -> Backend:
    loop = loops.main
    reader = WorldReader(store, loop.gatherer.documents, settings.keda)
    return backend_of(
        client,
        store,
        loop,
        reader,
        loop.traffic,
        loop.plan_checks,
        loops.limits.views,
        loops.config_probe,
        loops.gates,
        loops.autoscale.views,
        loops.releases,
        loops.live,
        events,
        watchers,
        loops.history,
        loops.tree,
        loop.figures,
        measured.requests,
        measured.usage,
        ManagerReports(client, store, clock, _lease_key(settings), settings.identity),
        GatewayReader(loop, reader, loops.config_probe, loops.counters, loops.limits.rolled_back, clock),
        forecaster,
        clock,
        settings.change_patience,
    )


def _gate_loop(
    client: KubeClient,
    leader: FencedClient,
    store: Store,
    clock: Clock,
    settings: Settings,
    events: Events,
    firsts: FirstRequestLoop,
    trigger: asyncio.Event,
) -> GateLoop:
    """Return the loop that opens gates through the fence; `client` closes them, which a manager may that does not
    lead."""
    effects = Effects(clock, trigger)
    return GateLoop(leader, store, clock, settings, events, firsts, effects, GateCloser(client, store, clock, effects))


def _writers(
    leader: FencedClient, store: Store, clock: Clock, events: Events, effects: Effects, target: ApplyTarget
) -> Writers:
    outbox = EventOutbox(leader, effects)
    statuses = StatusWriter(leader, store, clock, events, outbox, effects)
    finalizers, records = Finalizers(leader, store, effects), FigureRecords(leader, store, effects)
    return Writers(target, statuses, finalizers, DriftEvents(outbox, clock), records, outbox)


def _lease(client: KubeClient, clock: Clock, settings: Settings) -> Lease | None:
    """Return the candidate for the lease; None where this manager is the only one."""
    key = _lease_key(settings)
    return Lease(client, clock, key, settings.identity, settings.lease_seconds) if key else None


def _lease_key(settings: Settings) -> ObjectKey | None:
    return ObjectKey("Lease", *settings.lease) if settings.lease else None


def application(
    manager: Manager,
    taken: Authenticators,
    clock: Clock,
    settings: Settings,
    stop: asyncio.Event,
    spans: SpanRecorder = NO_SPANS,
) -> FastAPI:
    """Return the REST API of a manager. Its streams end at `stop`."""
    pace = Rate(settings.calls_per_second, 2 * settings.calls_per_second)
    strangers = Rate(settings.strangers_per_second, 5 * settings.strangers_per_second)
    guard = Guard(taken, Directory(manager.store, settings.prefixed_names), clock, pace, strangers)
    memory = AuditMemory(clock, settings.identity, has_peers=settings.lease is not None)
    trail = Audit(clock, sink_of(settings.audit), None if settings.audit == "off" else memory)
    terms, backend = StreamTerms(settings.proved_again, stop), manager.backend
    app = build(backend, guard, trail, terms, spans)
    app.state.changes = ChangeHub(backend.events, backend.documents.tenant_of, guard, clock, terms)
    app.state.metrics_token = given_token(settings.metrics_token_file) if settings.metrics_token_file else None
    return app


def served(app: FastAPI, clock: Clock, settings: Settings) -> ASGIApp:
    """Return the REST API with its console beside it, unless the settings say otherwise."""
    if not settings.console:
        return app
    if settings.oidc is None or settings.console_client is None:
        return with_console(app, app.state.changes, clock)
    client = OidcClient(settings.oidc, settings.console_client, settings.console_secret_file, settings.console_url)
    return with_console(app, app.state.changes, clock, client, fetcher(settings.oidc_ca_file))


async def run(settings: Settings) -> None:
    """Run the manager until SIGTERM or SIGINT."""
    stop = stop_signal()
    async with (
        recording(settings.traces_url, "tidegate", settings.identity) as spans,
        await connect(settings.kubeconfig, spans) as client,
    ):
        clock, token = SystemClock(), Token() if settings.has_own_token else None
        manager = assemble(client, clock, settings)
        app = application(manager, proofs(settings, client, clock, token), clock, settings, stop, spans)
        api = serve(served(app, clock, settings), settings.listen, stop, settings.tls, settings.connections)
        finding = [token.find(settings, client)] if token else []
        metrics = [manager.metrics.run(stop)] if manager.metrics else []
        await until(stop, *manager.parts(), settle(manager.store), *finding, api, *metrics)
    log.info("stopped")


async def settle(store: Store) -> None:
    """Once everything is read, keep the garbage collector away from it: a full collection would stop the loop.

    Later ones are made rare: what comes and goes is young, and hardly any of it refers to itself.
    """
    await store.synced.wait()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


def stop_signal() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until(stop: asyncio.Event, *parts: Awaitable[None]) -> None:
    """Run all parts until `stop`, or until one of them fails."""
    tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(part) for part in parts]
    waiter: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        while not waiter.done():
            await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in tasks if task.done()]:
                task.result()
                tasks.remove(task)
    finally:
        for future in (waiter, *tasks):
            future.cancel()
        await asyncio.gather(waiter, *tasks, return_exceptions=True)
