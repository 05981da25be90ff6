"""Status of an AccessGrant: whether the tenants that it names exist. Pure."""

from typing import NamedTuple

from istio_templates.facts import Manifest
from k8s_manager.status.document_status import DocumentInputs, accepted, complete
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored


class GrantInputs(NamedTuple):
    """How many tenants a grant names, and which of them do not exist."""

    named: int
    missing: tuple[str, ...]


def grant_status(stored: Stored, document: DocumentInputs, inputs: GrantInputs) -> Manifest:
    """Return the status of a grant."""
    conditions = [accepted(document.admission)]
    if inputs.missing:
        rest = (
            "the grant gives no right" if len(inputs.missing) == inputs.named else "the grant holds in the others only"
        )
        said = f"there is no tenant {', '.join(inputs.missing)}, so {rest}; correct spec.tenants, or create the tenant"
        conditions.append(Condition("ResolvedRefs", False, "TenantNotFound", said))
    elif inputs.named:
        conditions.append(Condition("ResolvedRefs", True, "ResolvedRefs", "all tenants that it names exist"))
    return complete(stored, {}, conditions)
