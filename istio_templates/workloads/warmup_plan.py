"""ConfigMap: a model's warm-up plan with all that belongs to it, as the keeper of the gate and the agent read it.

It is what is in force: a document that is refused leaves it as it is.
"""

import json

from istio_templates import names
from istio_templates.facts import Manifest, ServedModel

LABEL = "tidegate.dev/warmup"  # of ConfigMaps: plans that Tidegate renders (the mode), and files that plans refer to
PLAN_KEY = "plan.json"
VERSIONS_KEY = "versions.json"


def warmup_plan(model: ServedModel) -> Manifest:
    """Return the plan of a model, with the labels of the pods that it is for."""
    assert model.warmup is not None
    labels = {**names.owned_by_model(model), LABEL: model.warmup.mode}
    obj = names.manifest("v1", "ConfigMap", names.warmup_object(model.name), model.tenant.namespace, labels)
    versions = [dict(version.labels) for version in model.versions]
    return {
        **obj,
        "data": {PLAN_KEY: model.warmup.plan, VERSIONS_KEY: json.dumps(versions, sort_keys=True)},
    }
