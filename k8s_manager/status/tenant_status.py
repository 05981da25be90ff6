"""Status of a tenant: its namespace and gateways; and of a grant on tenants: whether they exist. Pure."""

from typing import NamedTuple

from istio_templates.documents import TenantSpec
from istio_templates.facts import Manifest
from k8s_manager.callers.access_plan import OPTIONAL, REQUIRED
from k8s_manager.status.document_status import (
    DocumentInputs,
    accepted,
    binding_before,
    complete,
    rendered_status,
)
from k8s_manager.world.condition import Condition
from k8s_manager.world.tenant import gateway_name, namespace_of
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Stored


class TenantInputs(NamedTuple):
    """What the status of a tenant is made from; `binding` is None before a gateway serves it."""

    spec: TenantSpec
    binding: Binding | None


def tenant_status(stored: Stored, document: DocumentInputs, inputs: TenantInputs) -> Manifest:
    """Return the status of a tenant."""
    name, spec = stored.key.name, inputs.spec
    binding = inputs.binding or Binding((gateway_name(name, spec),))
    body = {"namespace": namespace_of(name, spec), **binding.status()}
    if spec.authentication:
        body["authentication"] = REQUIRED if spec.authentication.required else OPTIONAL
    if not document.admission.accepted:
        body.pop("authentication", None)
        body |= binding_before(stored)
    return rendered_status(stored, document, body, ())


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
