"""The labels by which the pods of a version are selected. Pure."""

from istio_templates import names
from istio_templates.documents.model import Existing, Version

ROLLOUT_HASH = "rollouts-pod-template-hash"
"""The label by which Argo Rollouts tells generations of pods apart: another value at each rollout."""


def workload_labels(model: str, version: str) -> list[tuple[str, str]]:
    """Return the labels of pods that the manager renders, sorted."""
    return sorted({"app": model, "version": version, names.MODEL: model, names.VERSION: version}.items())


def version_labels(model: str, version: Version) -> tuple[tuple[str, str], ...]:
    """Return the labels by which a version's pods are known, sorted."""
    return tuple(sorted(version.existing.labels.items()) if version.existing else workload_labels(model, version.name))


def departed_version(model: str, version: str) -> Version:
    """Return a version that has left its document, as one whose pods exist."""
    return Version(name=version, existing=Existing(labels=dict(workload_labels(model, version))))
