"""Everything that handlers of the REST API call, by task."""

from collections.abc import Sequence
from dataclasses import dataclass

from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.api.callers.caller_tokens import CallerTokens
from k8s_manager.api.concurrency.spec_change import SpecChanges
from k8s_manager.api.concurrency.write_locks import WriteLocks
from k8s_manager.api.registry.version_registry import VersionRegistry
from k8s_manager.api.services.admission_check import AdmissionCheck
from k8s_manager.api.services.bundle_planner import BundlePlanner
from k8s_manager.api.services.document_catalog import DocumentCatalog, PlanView
from k8s_manager.api.services.document_deletion import DocumentDeletion
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.host_transfer import HostTransfers
from k8s_manager.api.services.inventory import Inventory
from k8s_manager.api.services.model_actions import ModelActions
from k8s_manager.api.services.model_reader import ModelReader
from k8s_manager.autoscaling.scale_view import ScaleViews
from k8s_manager.callers.key_store import KeyStore
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.dataplane.gateway_reader import GatewayReader
from k8s_manager.doctor.manager_report import ManagerReports
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.gitops.tree_loop import TreeLoop
from k8s_manager.history.recorder import HistoryRecorder
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher
from k8s_manager.limits.limit_view import LimitViews
from k8s_manager.pipeline.figures import FigureTracker
from k8s_manager.preview.dry_run import DryRunner
from k8s_manager.preview.forecast import LimitForecaster
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.release_loop import ReleaseLoop
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.work.work_queue import WorkQueue
from k8s_manager.statistics.pod_logs import PodLogs
from k8s_manager.statistics.request_stats import RequestStats
from k8s_manager.statistics.usage.usage_reader import UsageReader
from k8s_manager.traffic.resolver import TrafficResolver
from k8s_manager.warmup_gate.gate_loop import GateLoop


@dataclass(frozen=True, slots=True)
class Backend:
    """The services of the REST API."""

    documents: DocumentCatalog
    writer: DocumentWriter
    deletion: DocumentDeletion
    bundles: BundlePlanner
    models: ModelReader
    gateways: GatewayReader
    inventory: Inventory
    actions: ModelActions
    registry: VersionRegistry
    tokens: CallerTokens
    transfers: HostTransfers
    events: Events
    history: HistoryRecorder
    tree: TreeLoop | None
    requests: RequestStats
    usage: UsageReader
    logs: PodLogs
    doctor: ManagerReports
    work: WorkQueue


def backend_of(
    client: KubeClient,
    store: Store,
    view: PlanView,
    reader: WorldReader,
    traffic: TrafficResolver,
    plans: PlanChecks,
    limits: LimitViews,
    probe: ConfigProbeLoop,
    gates: GateLoop,
    scales: ScaleViews,
    releases: ReleaseLoop,
    live: LiveFigures,
    events: Events,
    watchers: Sequence[Watcher],
    history: HistoryRecorder,
    tree: TreeLoop | None,
    figures: FigureTracker,
    requests: RequestStats,
    usage: UsageReader,
    doctor: ManagerReports,
    gateways: GatewayReader,
    forecaster: LimitForecaster,
    clock: Clock,
    patience: float,
) -> Backend:
    """Assemble the services; `reader` is the API's own, `traffic`, `plans` and `figures` are those of the main loop."""
    locks, work = WriteLocks(), WorkQueue()
    dry_run = DryRunner(client, store, reader, traffic, plans, figures, forecaster, work)
    catalog = DocumentCatalog(store, view, watchers)
    check = AdmissionCheck(catalog, reader, traffic, plans, view, locks, work)
    models = ModelReader(store, catalog, reader, view, limits, probe, gates, scales, live)
    writer = DocumentWriter(client, store, catalog, check, dry_run, locks, history)
    return Backend(
        documents=catalog,
        writer=writer,
        deletion=DocumentDeletion(
            client, store, catalog, check, dry_run, writer, locks, history, clock, patience, explains_deletes=bool(tree)
        ),
        bundles=BundlePlanner(store, catalog, dry_run, work),
        models=models,
        gateways=gateways,
        inventory=Inventory(store, catalog),
        actions=ModelActions(client, store, catalog, models, writer, reader, releases),
        registry=VersionRegistry(client, catalog, writer),
        tokens=CallerTokens(catalog, SpecChanges(catalog, writer), KeyStore(client, store, clock), clock),
        transfers=HostTransfers(store, catalog, writer, clock, patience),
        events=events,
        history=history,
        tree=tree,
        requests=requests,
        usage=usage,
        logs=PodLogs(client),
        doctor=doctor,
        work=work,
    )
