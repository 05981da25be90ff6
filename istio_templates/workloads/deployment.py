"""Deployment: the pods of one version of a model."""

from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest, ServedModel, VersionFacts
from istio_templates.workloads.agent import with_agent
from istio_templates.workloads.defaults import with_pause, with_ports
from istio_templates.workloads.probes import probes
from istio_templates.workloads.warm_gate import GATE

# Endpoint removal reaches a gateway after Kubernetes and istiod have batched it; until then a leaving pod serves.
DRAIN_SECONDS = 15
GRACE_SECONDS = 60
PROGRESS_SECONDS = 600  # Kubernetes' own default: a rollout without progress for longer is reported as failed
PLAN_ANNOTATION = "tidegate.dev/warmup-plan"


def deployments(model: ServedModel) -> list[Manifest]:
    """Return a Deployment for each version whose pods Tidegate renders."""
    return [_deployment(model, version) for version in model.versions if version.pods is not None]


def _deployment(model: ServedModel, version: VersionFacts) -> Manifest:
    assert version.pods is not None
    obj = names.version_manifest("apps/v1", "Deployment", model, version.name)
    spec: Manifest = {
        "selector": {"matchLabels": {names.MODEL: model.name, names.VERSION: version.name}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(version.pods.spare)},
        "template": _template(model, version, version.pods.template),
    }
    if model.warmup and model.warmup.deadline > PROGRESS_SECONDS:
        spec["progressDeadlineSeconds"] = model.warmup.deadline
    if version.pods.replicas is not None:
        spec["replicas"] = version.pods.replicas
    return {**obj, "spec": spec}


def _rolling(spare: bool) -> Manifest:
    """Return by how many pods a rollout may exceed the desired number, or fall below: one must change first."""
    return {"maxSurge": 1, "maxUnavailable": 0} if spare else {"maxSurge": 0, "maxUnavailable": 1}


def _template(model: ServedModel, version: VersionFacts, wanted: Manifest) -> Manifest:
    metadata = wanted.get("metadata", {})
    spec: Manifest = {"terminationGracePeriodSeconds": GRACE_SECONDS, **wanted.get("spec", {})}
    spec["containers"] = [
        _container(model, container, spec["terminationGracePeriodSeconds"])
        if container["name"] == "model"
        else container
        for container in spec.get("containers", [])
    ]
    metadata = {**metadata, "labels": {**metadata.get("labels", {}), **dict(version.labels)}}
    return _warmed(model, metadata, spec)


def _warmed(model: ServedModel, metadata: Manifest, spec: Manifest) -> Manifest:
    """Return a pod template with what its warm-up needs. Another mode or plan is another template: a rollout."""
    warmup = model.warmup
    if warmup and warmup.plan:
        metadata = {**metadata, "annotations": {**(metadata.get("annotations") or {}), PLAN_ANNOTATION: warmup.hash}}
    if warmup and warmup.mode == "agent":
        spec = with_agent(model.name, warmup, spec)
    if warmup and warmup.mode == "gate":
        others = [gate for gate in spec.get("readinessGates") or [] if gate.get("conditionType") != GATE]
        spec = {**spec, "readinessGates": [*others, {"conditionType": GATE}]}
    return {"metadata": metadata, "spec": spec}


def _container(model: ServedModel, wanted: Manifest, grace: int) -> Manifest:
    """Fill in what the tenant left open: named ports, a readiness probe, and a pause before it stops.

    Kubernetes refuses a pause that is not shorter than the grace period: a tenant's short one shortens it.
    """
    ports = sorted({(route.port, route.protocol) for route in model.routes})
    routed = [{"name": f"{protocol}-{port}", "containerPort": port, "protocol": "TCP"} for port, protocol in ports]
    filled: dict[str, Any] = {
        "name": wanted["name"],
        "image": wanted.get("image"),
        "ports": with_ports(wanted.get("ports"), routed),
        **probes(model.warmup, ports[0][0], wanted),
        "lifecycle": with_pause(wanted.get("lifecycle"), min(DRAIN_SECONDS, grace - 1)),
    }
    return {key: value for key, value in {**filled, **wanted, **filled}.items() if value is not None}
