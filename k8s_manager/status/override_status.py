"""Status of a LimitOverride: how many models it targets, and whether it is active. Pure."""

from typing import NamedTuple

from istio_templates.facts import Manifest
from k8s_manager.status.document_status import DocumentInputs, accepted, complete
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored
from ratelimiter.overrides import Override


class OverrideInputs(NamedTuple):
    """What the status of an override is made from; `override` is None where it is not accepted."""

    models: int
    override: Override | None
    active: bool


def override_status(stored: Stored, document: DocumentInputs, inputs: OverrideInputs) -> Manifest:
    """Return the status of an override."""
    conditions = [accepted(document.admission)]
    if inputs.override:
        conditions.append(_active(inputs.override, inputs.active))
    return complete(stored, {"models": inputs.models}, conditions)


def _active(override: Override, active: bool) -> Condition:
    until = override.expires.isoformat(timespec="seconds")
    if active:
        return Condition("Active", True, "Active", f"active until {until}, unless a stronger override applies")
    return Condition("Active", False, "Expired", f"the override expired at {until}; delete it")
