"""What a Model limits that another owner routes: a VirtualService, or an HTTPRoute of the Gateway API."""

from typing import Annotated

from pydantic import Field, model_validator

from istio_templates.documents.fields import LABEL, DnsLabel, Spec, rule
from istio_templates.facts import Manifest, ObjectKey

_KINDS = {"httpRoute": "HTTPRoute", "virtualService": "VirtualService"}
HttpRouteName = Annotated[str, Field(pattern=rf"^{LABEL}(\.{LABEL})*$", max_length=253)]


class AttachTo(Spec):
    """A VirtualService or an HTTPRoute of another owner, in the model's namespace, whose requests are limited. It is
    never written."""

    model_config = rule(
        "has(self.virtualService) != has(self.httpRoute)", "give exactly one of virtualService and httpRoute"
    )

    virtual_service: DnsLabel | None = None
    http_route: HttpRouteName | None = None

    @model_validator(mode="after")
    def _one_route(self) -> "AttachTo":
        if (self.virtual_service is None) == (self.http_route is None):
            raise ValueError("give exactly one of virtualService and httpRoute")
        return self

    def key(self, namespace: str) -> ObjectKey:
        """Return the key of the route, which is in the model's namespace."""
        if self.http_route:
            return ObjectKey("HTTPRoute", namespace, self.http_route)
        assert self.virtual_service is not None
        return ObjectKey("VirtualService", namespace, self.virtual_service)

    def __str__(self) -> str:
        key = self.key("")
        return f"{key.kind} {key.name}"


def route_of(spec: Manifest, own: ObjectKey) -> ObjectKey:
    """Return what routes for a model by its spec, as far as that can be read: another owner's route, or its `own`."""
    attached = spec.get("attachTo") or {}
    return next(
        (own._replace(kind=kind, name=attached[name]) for name, kind in _KINDS.items() if attached.get(name)), own
    )
