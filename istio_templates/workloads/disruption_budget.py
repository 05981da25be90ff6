"""PodDisruptionBudget: how many replicas of a version a drained node may take away at once.

Replicas that are not ready, being warmed for instance, never keep a node from being drained.
"""

from istio_templates import names
from istio_templates.facts import Manifest, ServedModel, VersionFacts


def disruption_budgets(model: ServedModel) -> list[Manifest]:
    """Return a budget for each version of which there is more than one replica; a single one cannot be kept."""
    return [_budget(model, version) for version in model.versions if _is_kept(version)]


def _is_kept(version: VersionFacts) -> bool:
    pods = version.pods
    return pods is not None and pods.budget and (pods.replicas is None or pods.replicas > 1)


def _budget(model: ServedModel, version: VersionFacts) -> Manifest:
    obj = names.version_manifest("policy/v1", "PodDisruptionBudget", model, version.name)
    selector = {"matchLabels": {names.MODEL: model.name, names.VERSION: version.name}}
    return {
        **obj,
        "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector},
    }
