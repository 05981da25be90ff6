"""What a model does now: its limit, its replicas, how far they are warm."""

from collections.abc import Mapping

from collectors.replicas import present
from istio_templates import names
from istio_templates.documents import ModelSpec, parse
from istio_templates.documents.attachment import route_of
from istio_templates.documents.versions.chosen_version import with_chosen
from istio_templates.errors import NotFound
from istio_templates.facts import Manifest, ObjectKey, WarmupFacts
from k8s_manager.api.services.document_catalog import DocumentCatalog, PlanView
from k8s_manager.autoscaling.decision_record import decisions_of, served_replicas
from k8s_manager.autoscaling.scale_view import ScaleView, ScaleViews
from k8s_manager.dataplane.config_probe import ConfigProbeLoop
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_view import LimitView, LimitViews
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.live.model_figures import ModelFigures
from k8s_manager.release.selection.version_facts import ModelVersionFact
from k8s_manager.release.selection_document import registered_versions
from k8s_manager.release.status_record import rollout_in
from k8s_manager.status.limit_status import pods_status
from k8s_manager.status.rollout_status import complaints
from k8s_manager.traffic.weights import declared
from k8s_manager.warmup_gate.gate_loop import GateLoop
from k8s_manager.warmup_gate.progress import PodProgress
from k8s_manager.world.labels import version_labels


class ModelReader:
    """Reads what loops know of models; every method raises `NotFound` for a model that is not there."""

    def __init__(
        self,
        store: Store,
        catalog: DocumentCatalog,
        reader: WorldReader,
        view: PlanView,
        limits: LimitViews,
        probe: ConfigProbeLoop,
        gates: GateLoop,
        scales: ScaleViews,
        live: LiveFigures,
    ) -> None:
        self._store, self._catalog, self._reader, self._view = store, catalog, reader, view
        self._limits, self._probe, self._gates, self._scales = limits, probe, gates, scales
        self._live = live

    def limit(self, key: ObjectKey) -> tuple[Manifest | None, Mapping[str, LimitView]]:
        """Return the limit in a model's status, and the limit on each of its gateways as it is now."""
        live = self._catalog.live(key)
        route = route_of(live.get("spec") or {}, key._replace(kind="VirtualService"))
        view = self._limits.view(names.route_identity(route))
        return live.get("status", {}).get("limit"), view

    def trouble(self, key: ObjectKey) -> list[str]:
        """Return what is wrong with a model's rollout by its status, as sentences."""
        return list(complaints(self._catalog.live(key).get("status", {}).get("conditions", [])))

    def gateway_pods(self, view: Mapping[str, LimitView]) -> list[Manifest]:
        """Return how far every gateway pod is with a model's limit."""
        return [pod for gateway, limit in view.items() for pod in pods_status(self._probe.of(gateway), limit.slot)]

    def spec(self, key: ObjectKey) -> ModelSpec:
        """Return the spec of a model to go by, with a version that its selection has chosen; raises `NotFound` or,
        where it cannot be read, `Invalid`."""
        live = self._catalog.live(key)
        spec = with_chosen(parse(live), live.get("status") or {}).spec
        assert isinstance(spec, ModelSpec)
        return spec

    def warmth(self, key: ObjectKey) -> tuple[WarmupFacts | None, list[PodProgress]]:
        """Return how a model is warmed up, and how far its replicas have come; raises `NotFound`."""
        self._catalog.live(key)
        served = self._view.plan.models.get((key.namespace, key.name))
        if served is None or served.warmup is None:
            return None, []
        return served.warmup, self._gates.view(key.namespace, {v.name: v.labels for v in served.versions})

    def scaling(self, key: ObjectKey) -> tuple[ScaleView, ...]:
        """Return the last decisions on the replicas of a model's versions; raises `NotFound`."""
        self._catalog.live(key)
        return self._scales.of_model(key.namespace, key.name)

    def decided(self, key: ObjectKey, version: str) -> Manifest:
        """Return the replicas that an autoscaler is served for a version, and the decision behind them, from the
        model's status; raises `NotFound` where there is none."""
        live = self._catalog.live(key)
        found = next((one for one in decisions_of(live) if one.version == version), None)
        if found is None:
            raise NotFound(
                f"version {version} of model {key.namespace}/{key.name} has no decided replicas; give it autoscale "
                "and wait for the first look"
            )
        served = served_replicas(self._store, key.namespace, key.name, found)
        return {"version": version, "replicas": served, "decided": found.replicas, "at": found.at}

    def release(self, key: ObjectKey) -> Manifest | None:
        """Return the release in a model's status; None where there is none. Raises `NotFound`."""
        return rollout_in(self._catalog.live(key))

    def registered(self, key: ObjectKey) -> tuple[ModelVersionFact, ...]:
        """Return the registered versions of a model."""
        found = (
            stored for stored in self._reader.documents.all("ModelVersion") if stored.key.namespace == key.namespace
        )
        return registered_versions(found).get((key.namespace, key.name), ())

    def figures(self, key: ObjectKey) -> ModelFigures:
        """Return the live figures of a model that its selection asks for, as far as they are known."""
        return self._live.of(key.namespace, key.name)

    def replicas(self, key: ObjectKey) -> list[Manifest]:
        """Return the replicas of a model that stay: version, address, whether each takes requests, and its version's
        weight."""
        spec = self.spec(key)
        served = self._view.plan.models.get((key.namespace, key.name))
        weights = declared(spec)
        versions = (
            [(version.name, version.labels, version.weight) for version in served.versions]
            if served
            else [(v.name, version_labels(key.name, v), weights.get(v.name, 0)) for v in spec.versions]
        )
        return [
            {
                "name": pod.name,
                "version": version,
                "address": pod.address or "",
                "ready": pod.ready and (pod.proved or spec.warmup.how != "gate"),
                "weight": weight,
            }
            for version, labels, weight in versions
            for pod in present(self._reader.pods.of_namespace(key.namespace), labels)
            if not pod.leaving
        ]
