"""Deployment: the pods of one version of a model."""

from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest, ServedModel, VersionFacts

# Endpoint removal reaches a gateway after Kubernetes and istiod have batched it; until then a leaving pod serves.
DRAIN_SECONDS = 15
GRACE_SECONDS = 60


def deployments(model: ServedModel) -> list[Manifest]:
    """Return a Deployment for each version whose pods are ours."""
    return [_deployment(model, version) for version in model.versions if version.pods is not None]


def _deployment(model: ServedModel, version: VersionFacts) -> Manifest:
    assert version.pods is not None
    labels = {**names.owned_by_model(model), names.VERSION: version.name}
    obj = names.manifest(
        "apps/v1", "Deployment", names.deployment(model.name, version.name), model.tenant.namespace, labels
    )
    spec: Manifest = {
        "selector": {"matchLabels": {names.MODEL: model.name, names.VERSION: version.name}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": _template(model, version, version.pods.template),
    }
    if version.pods.replicas is not None:
        spec["replicas"] = version.pods.replicas
    return {**obj, "spec": spec}


def _template(model: ServedModel, version: VersionFacts, wanted: Manifest) -> Manifest:
    metadata = wanted.get("metadata", {})
    spec: Manifest = {"terminationGracePeriodSeconds": GRACE_SECONDS, **wanted.get("spec", {})}
    spec["containers"] = [
        _container(model, container, spec["terminationGracePeriodSeconds"])
        if container["name"] == "model"
        else container
        for container in spec.get("containers", [])
    ]
    return {
        "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **dict(version.labels)}},
        "spec": spec,
    }


def _container(model: ServedModel, wanted: Manifest, grace: int) -> Manifest:
    """Fill in what the tenant left open: named ports, a readiness probe, and a pause before it stops.

    Kubernetes refuses a pause that is not shorter than the grace period: a tenant's short one shortens it.
    """
    ports = sorted({(route.port, route.protocol) for route in model.routes})
    defaults: dict[str, Any] = {
        "name": wanted["name"],
        "image": wanted.get("image"),
        "ports": [{"name": f"{protocol}-{port}", "containerPort": port, "protocol": "TCP"} for port, protocol in ports],
        "readinessProbe": {"tcpSocket": {"port": ports[0][0]}, "periodSeconds": 2},
    }
    if (pause := min(DRAIN_SECONDS, grace - 1)) > 0:
        defaults["lifecycle"] = {"preStop": {"sleep": {"seconds": pause}}}
    return {**defaults, **wanted}
