"""Events as callers see them: which, and in what form."""

from collections.abc import Callable

from istio_templates.facts import Manifest
from k8s_manager.authz.roles import Caller, Right
from k8s_manager.runtime.events import Event


def is_shown(event: Event, caller: Caller, tenant_of: Callable[[str], str | None]) -> bool:
    """Tell whether a caller may see an event: a tenant's own, a model's by its namespace, others by the whole fleet."""
    namespace, model = event.object.partition("/")[::2]
    if model:
        return caller.may(Right.READ, tenant_of(namespace) or "")
    return caller.may(Right.READ, event.object if event.details.get("kind") == "Tenant" else None)


def event_line(event: Event) -> Manifest:
    """Return an event as callers see it."""
    return {name: getattr(event, name) for name in ("id", "time", "type", "object", "message", "details")}
