"""Status of a ModelVersion: which version it is about, and whether its model serves that. Pure."""

from typing import NamedTuple

from istio_templates.documents import ModelVersionSpec
from istio_templates.documents.versions.model_version import version_of
from istio_templates.facts import Manifest, ServedModel
from k8s_manager.status.document_status import DocumentInputs, accepted, complete
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored


class VersionInputs(NamedTuple):
    """What the status of a registered version is made from: whether its model is there, and the per cent of its
    requests that this version gets (None: the model does not list it)."""

    spec: ModelVersionSpec
    is_model_there: bool
    weight: int | None


def version_inputs(stored: Stored, spec: ModelVersionSpec, served: ServedModel | None) -> VersionInputs:
    """Return the inputs; `served` is the accepted model, if there is one."""
    name = version_of(stored.key.name, spec.model)
    weight = next((one.weight for one in served.versions if one.name == name), None) if served else None
    return VersionInputs(spec, served is not None, weight)


def version_status(stored: Stored, document: DocumentInputs, inputs: VersionInputs) -> Manifest:
    """Return the status of a registered version."""
    version = version_of(stored.key.name, inputs.spec.model)
    if version is None or not document.admission.accepted:
        return complete(stored, {}, [accepted(document.admission)])
    is_candidate = inputs.spec.blocked is None and not inputs.weight
    body = {"version": version, "candidate": is_candidate, **({"weight": inputs.weight} if inputs.weight else {})}
    return complete(stored, body, [accepted(document.admission), _served(version, inputs)])


def _served(version: str, inputs: VersionInputs) -> Condition:
    model, blocked = inputs.spec.model, inputs.spec.blocked
    if inputs.weight:
        why = f"; it is blocked all the same ({blocked.reason}), move the traffic away" if blocked else ""
        said = f"{inputs.weight} % of the requests of model {model} go to version {version}{why}"
        return Condition("Served", True, "Served", said)
    if blocked:
        said = f"version {version} is blocked: {blocked.reason}; unblock it to let it be chosen"
        return Condition("Served", False, "Blocked", said)
    if not inputs.is_model_there:
        said = f"there is no accepted model {model} in this namespace yet; create it, or correct spec.model"
        return Condition("Served", False, "NoModel", said)
    if inputs.weight is None:
        said = f"model {model} lists no version {version}; add it to spec.versions to let it serve"
        return Condition("Served", False, "NotListed", said)
    return Condition("Served", False, "NoTraffic", f"model {model} lists version {version} without any traffic")
