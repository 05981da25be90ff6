"""Status of a LimitOverride: how many models it is for, for which it is in force, and what stands against it. Pure."""

from typing import NamedTuple

from istio_templates.facts import Manifest
from k8s_manager.limits.override_reach import OverrideReach
from k8s_manager.status.document_status import DocumentInputs, accepted, complete
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored
from ratelimiter.overrides import Override


class OverrideInputs(NamedTuple):
    """What the status of an override is made from; `override` and `reach` are None where it is not accepted, `active`
    is false once it has ended."""

    models: int
    override: Override | None
    active: bool
    reach: OverrideReach | None = None


def override_status(stored: Stored, document: DocumentInputs, inputs: OverrideInputs) -> Manifest:
    """Return the status of an override."""
    conditions = [accepted(document.admission)]
    if inputs.override and inputs.reach:
        conditions.append(_active(inputs.override, inputs.reach, inputs.active))
    in_force = inputs.reach.in_force if inputs.reach and inputs.active else 0
    return complete(stored, {"models": inputs.models, "inForce": in_force}, conditions)


def _active(override: Override, reach: OverrideReach, active: bool) -> Condition:
    until = override.expires.isoformat(timespec="seconds")
    if not active:
        return Condition("Active", False, "Expired", f"the override expired at {until}; delete it")
    if not reach.models:
        said = "matches no model that has a limit; check spec.target, and spec.rateLimit of the models"
        return Condition("Active", False, "NoModel", said)
    told = "".join(f"; {sentence}" for sentence in reach.sentences)
    if reach.in_force:
        said = f"in force for {reach.in_force} of {reach.models} models until {until}{told}"
        return Condition("Active", True, "Active", said)
    if reach.pending and not reach.overruled:
        return Condition("Active", False, "Pending", "limits do not follow it yet; wait for the next reconcile pass")
    reason = "Overruled" if reach.overruled else "WithoutEffect"
    return Condition("Active", False, reason, f"in force for none of {reach.models} models{told}")
