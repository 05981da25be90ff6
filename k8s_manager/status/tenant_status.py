"""Status of a tenant: its namespace, and the gateways that serve it. Pure."""

from typing import NamedTuple

from istio_templates.documents import TenantSpec
from istio_templates.facts import Manifest
from k8s_manager.status.document_status import DocumentInputs, binding_before, rendered_status
from k8s_manager.world.binding import Binding
from k8s_manager.world.tenant import gateway_name, namespace_of
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
    if not document.admission.accepted:
        body |= binding_before(stored)
    return rendered_status(stored, document, body, ())
