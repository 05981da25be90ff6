"""InferenceGateway: a set of gateway pods that tenants share, or one tenant's own."""

from typing import Literal

from pydantic import Field, model_validator

from istio_templates.documents.fields import DnsLabel, Host, Labels, Percentage, Port, ProviderName, Spec, rule
from istio_templates.documents.rollouts.release_time import ReleaseFreezes

TRACING_PROVIDER = "otel-tracing"
"""What Istio's own documentation calls the mesh's extension provider for OpenTelemetry."""


class Autoscale(Spec):
    """Between how many pods an autoscaler may move."""

    min: int = Field(ge=1, le=1000, strict=True)
    max: int = Field(ge=1, le=1000, strict=True)

    @model_validator(mode="after")
    def _ordered(self) -> "Autoscale":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Managed(Spec):
    """Gateway pods that Tidegate renders: a fixed number, or an autoscaler's choice."""

    replicas: int | None = Field(default=None, ge=0, le=1000, strict=True)
    autoscale: Autoscale | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Managed":
        if (self.replicas is None) == (self.autoscale is None):
            raise ValueError("give exactly one of replicas and autoscale")
        return self


class Listener(Spec):
    """One port. HTTPS with `domain` and `credentialName` serves that domain under one wildcard certificate; HTTPS
    without them serves hosts under their tenants' own certificates. HTTPS listeners may share a port: the host that a
    client asks for (SNI) selects one."""

    name: DnsLabel
    port: Port
    protocol: Literal["HTTP", "HTTPS"]
    domain: Host | None = None
    credential_name: DnsLabel | None = None

    @model_validator(mode="after")
    def _certificate(self) -> "Listener":
        if self.protocol == "HTTP" and (self.domain or self.credential_name):
            raise ValueError("an HTTP listener takes neither domain nor credentialName; use protocol HTTPS")
        if (self.domain is None) != (self.credential_name is None):
            raise ValueError("domain and credentialName go together: the wildcard certificate of that domain")
        return self


class AccessLog(Spec):
    """Whether gateway pods write a line of JSON for each request (docs/access-log.md)."""

    mode: Literal["json", "off"]


class Tracing(Spec):
    """How many requests gateway pods trace, and by which extension provider of the mesh (docs/tracing.md).

    `sampling` is a percentage of the requests whose callers have not decided it; a `traceparent` decides it.
    """

    sampling: Percentage
    provider: ProviderName = TRACING_PROVIDER


class InferenceGatewaySpec(Spec):
    """An operator's declaration of a gateway. `managed` absent: another owner runs its pods.

    With `endpointStats` its pods count what they send to each replica, and show it to all who read their statistics:
    some lines more for every replica in the fleet. Without `accessLog` managed pods log their requests, and those of
    another owner do not. Without `tracing` the mesh decides what is traced. In one of the `freezes` no release of a
    tenant takes a step here.
    """

    model_config = rule(
        "self.listeners.all(one, one.protocol == 'HTTPS' || "
        "self.listeners.filter(other, other.port == one.port).size() == 1)",
        "a port with a listener of protocol HTTP has no other listener; give each its own port",
    )

    namespace: DnsLabel
    selector: Labels = Field(min_length=1)
    managed: Managed | None = None
    listeners: tuple[Listener, ...] = Field(min_length=1, max_length=64)
    endpoint_stats: bool = Field(default=False, strict=True)
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
    freezes: ReleaseFreezes = ()

    @property
    def logs_requests(self) -> bool:
        """Whether its pods log requests: as the document says, else where they are managed."""
        return self.managed is not None if self.access_log is None else self.access_log.mode == "json"

    @model_validator(mode="after")
    def _distinct(self) -> "InferenceGatewaySpec":
        for number, listener in enumerate(self.listeners):
            for other in self.listeners[:number]:
                if problem := _clash(other, listener):
                    raise ValueError(f"listeners[{number}]: {problem}")
        return self


def _clash(one: Listener, other: Listener) -> str | None:
    """Return why two listeners cannot stand beside each other."""
    if one.name == other.name:
        return f"two listeners have the same name {one.name}; each needs its own"
    if one.domain is not None and one.domain == other.domain:
        return f"{one.name} serves *.{one.domain} already, and its limits would count twice; give it one listener"
    if one.port != other.port:
        return None
    if "HTTP" in (one.protocol, other.protocol):
        return f"{one.name} has the same port {one.port}, and only HTTPS tells hosts apart there; use another port"
    if one.domain is None and other.domain is None:
        return (
            f"{one.name} serves tenants' own certificates on port {one.port} already; one listener is for all of them"
        )
    return None
