"""Status that documents of every kind have: Accepted, Programmed, and the dates of conditions. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.autoscaling.scale_status import WITHOUT_KEDA
from k8s_manager.kube.errors import Absent, FieldConflict, Forbidden, ForeignObject, Refused, Unavailable
from k8s_manager.kube.resources import ISTIO
from k8s_manager.pipeline.apply import Failure
from k8s_manager.pipeline.termination import Terminating
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored


class DocumentInputs(NamedTuple):
    """State of a document: its admission, a write of its objects that failed, its deletion, what it waits for, whether
    its objects are `written`, and what Git has yet to bring. `certificates` and `drift` are conditions of their own,
    where there are any; `put_off` says which change of an object is delayed."""

    admission: AdmissionResult
    written: bool
    failure: tuple[ObjectKey, Failure] | None = None
    terminating: Terminating | None = None
    waiting: str | None = None
    awaiting_git: Condition | None = None
    certificates: Condition | None = None
    drift: Condition | None = None
    put_off: str | None = None


def rendered_status(
    stored: Stored, inputs: DocumentInputs, body: Manifest, conditions: Iterable[Condition]
) -> Manifest:
    """Return the status of a document from which objects are rendered."""
    common = (accepted(inputs.admission), programmed(inputs))
    return _with_drift(complete(stored, body, [*common, *conditions, *_certificates(inputs)]), stored, inputs.drift)


def unreadable_status(stored: Stored, inputs: DocumentInputs) -> Manifest:
    """Return the status of a document that cannot be parsed."""
    conditions = [accepted(inputs.admission), *_certificates(inputs)]
    return _with_drift(complete(stored, binding_before(stored), conditions), stored, inputs.drift)


def accepted_status(stored: Stored, inputs: DocumentInputs) -> Manifest:
    """Return the status of a document that others refer to and from which nothing is rendered."""
    return complete(stored, {}, [accepted(inputs.admission)])


def complete(stored: Stored, body: Manifest, conditions: Iterable[Condition]) -> Manifest:
    """Return a status with dated conditions."""
    dated_conditions = [dated(condition, stored) for condition in conditions]
    return {**body, "observedGeneration": stored.generation, "conditions": dated_conditions}


def binding_before(stored: Stored) -> Manifest:
    """Return the gateways of a tenant in its status, and whether it has authentication: a document that is not accepted
    migrates no tenant, and opens none."""
    kept = ("namespace", "gateway", "moving", "authentication")
    return {name: stored.status[name] for name in kept if name in stored.status}


def condition_before(stored: Stored, type_: str) -> Manifest | None:
    """Return a condition as the live status has it."""
    return next((c for c in stored.status.get("conditions", []) if c["type"] == type_), None)


def accepted(result: AdmissionResult) -> Condition:
    """Return the condition Accepted."""
    if result.accepted:
        return Condition("Accepted", True, "Accepted", "the document is valid and conflicts with no other document")
    problems = "; ".join(str(problem) for problem in result.problems)
    message = f"{problems}. Objects that were rendered from the document before stay unchanged until it is accepted"
    return Condition("Accepted", False, result.reason or "Invalid", message)


def programmed(inputs: DocumentInputs) -> Condition:
    """Return the condition Programmed: the first that applies of deletion, failure, waiting, Git."""
    if inputs.terminating and inputs.terminating.waits:
        return Condition("Programmed", False, "Waiting", f"the deletion has to wait: {inputs.terminating.waits}")
    if inputs.failure:
        key, failure = inputs.failure
        return Condition("Programmed", False, _reason(failure.error), _message(key, failure.error))
    if inputs.waiting:
        return Condition("Programmed", False, "Waiting", inputs.waiting)
    if inputs.awaiting_git and (inputs.admission.accepted or inputs.terminating):
        return inputs.awaiting_git
    if not inputs.admission.accepted:
        message = "objects are written once the document is accepted; correct what condition Accepted names"
        return Condition("Programmed", False, "Pending", message)
    if not inputs.written:
        message = "not all objects of the document are written yet; wait for the next reconcile pass"
        return Condition("Programmed", False, "Pending", inputs.put_off or message)
    if inputs.put_off:
        return Condition("Programmed", False, "Pending", inputs.put_off)
    return Condition("Programmed", True, "Programmed", "all objects of the document are written")


def undated(before: Manifest) -> Condition:
    """Return a condition of a live status, as it is."""
    holds = {"True": True, "False": False}.get(before["status"])
    return Condition(before["type"], holds, before["reason"], before["message"])


def dated(condition: Condition, stored: Stored) -> Manifest:
    """Return a condition for a status. It keeps its date where its state has not changed; the writer fills in an empty
    one."""
    state = "Unknown" if condition.holds is None else str(condition.holds)
    before = condition_before(stored, condition.type)
    since = before["lastTransitionTime"] if before and before["status"] == state else ""
    return {
        "type": condition.type,
        "status": state,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": stored.generation,
        "lastTransitionTime": since,
    }


def _certificates(inputs: DocumentInputs) -> list[Condition]:
    return [inputs.certificates] if inputs.certificates else []


def _with_drift(status: Manifest, stored: Stored, drift: Condition | None) -> Manifest:
    """Add the condition Drift."""
    if drift:
        status["conditions"].append(dated(drift, stored))
    return status


def _reason(error: TidegateError) -> str:
    match error:
        case FieldConflict():
            return "FieldConflict"
        case Unavailable() if error.validator:
            return "ValidatorUnavailable"
        case Unavailable():
            return "Unavailable"
        case Forbidden():
            return "Forbidden"
        case Absent():
            return "NamespaceAbsent" if "namespaces" in str(error) else "KindAbsent"
        case Refused():
            return "Refused"
    return "WriteConflict"


def _message(key: ObjectKey, error: TidegateError) -> str:
    if isinstance(error, FieldConflict) and not isinstance(error, ForeignObject):
        owners = ", ".join(error.managers)
        return f"{key} is managed by {owners}; delete it, or remove its fields from what {owners} applies"
    match _reason(error):
        case "KindAbsent" if key.kind in ISTIO:
            return f"{key}: the cluster has no kind {key.kind}; install Istio 1.30 or newer, the manager then continues"
        case "KindAbsent" if key.kind == "ScaledObject":
            return f"{key}: the cluster has no kind ScaledObject; {WITHOUT_KEDA}"
        case "NamespaceAbsent":
            return f"{key}: namespace {key.namespace} does not exist; kubectl create namespace {key.namespace}"
    return str(error) if isinstance(error, ForeignObject) else f"{key}: {error}"
