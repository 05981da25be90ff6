"""Tenant: a team, its namespace, the gateway it uses and the hosts it owns."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.callers.authentication import Authentication
from istio_templates.documents.fields import DnsLabel, Labels, Path, Rate, Spec, host_or_wildcard, lies_in
from istio_templates.documents.rollouts.release_time import ReleaseFreezes


class HostTls(Spec):
    """The Secret, in the gateway's namespace, with the certificate of a host."""

    credential_name: DnsLabel


class Delegation(Spec):
    """A path, with all below it, that another tenant's models serve on a host of this one."""

    path: Path
    tenant: DnsLabel

    @model_validator(mode="after")
    def _below(self) -> "Delegation":
        if self.path == "/":
            raise ValueError("path / is the whole host; hand the host over instead, or name a path below it")
        return self


class HostClaim(Spec):
    """A host that belongs to this tenant and to no other in the fleet."""

    name: Annotated[str, AfterValidator(host_or_wildcard)]
    tls: HostTls | None = None
    delegations: tuple[Delegation, ...] = Field(default=(), max_length=100)

    @model_validator(mode="after")
    def _apart(self) -> "HostClaim":
        paths = sorted(delegation.path for delegation in self.delegations)
        for number, path in enumerate(paths):
            for other in paths[number + 1 :]:
                if lies_in(other, path):
                    raise ValueError(f"delegations: {other} lies within {path}; delegate each path once")
        return self


class Dedicated(Spec):
    """Gateway pods of the tenant's own."""

    replicas: int = Field(ge=1, le=1000, strict=True)


class GatewayChoice(Spec):
    """Which gateway serves the tenant: a shared one by name, or one of its own.

    `adopt` names a Gateway in the gateway's namespace that was made by hand: it becomes the tenant's.
    """

    name: DnsLabel | None = None
    adopt: DnsLabel | None = None
    dedicated: Dedicated | None = None

    @model_validator(mode="after")
    def _one(self) -> "GatewayChoice":
        if (self.name is None) == (self.dedicated is None):
            raise ValueError("give exactly one of name and dedicated")
        if self.adopt is not None and self.name is None:
            raise ValueError("a gateway of one's own has nothing to adopt; name the gateway whose Gateway it is")
        if self.adopt is not None and self.adopt.startswith(("tenant-", "gateway-")):
            raise ValueError(f"adopt: Tidegate makes Gateways named {self.adopt!r} itself; leave adopt out")
        return self


class OwnRange(Spec):
    """Between which totals (requests/s of a model) the tenant's own people may set a limit by a LimitOverride."""

    lowest: Rate
    highest: Rate

    @model_validator(mode="after")
    def _ordered(self) -> "OwnRange":
        if self.lowest > self.highest:
            raise ValueError(f"lowest {self.lowest:g} is above highest {self.highest:g}")
        return self


class TenantRateLimit(Spec):
    """`ceiling`: requests per second over all the tenant's models. `range`: what its people may set themselves."""

    ceiling: Rate | None = None
    range: OwnRange | None = None


class PodRules(Spec):
    """What the tenant's pods may use. `serviceAccounts` beside `default`; `nodePools`: labels, of which a nodeSelector
    has to contain all of one entry. Without `nodePools` any node will do."""

    service_accounts: tuple[DnsLabel, ...] = Field(default=(), max_length=100)
    node_pools: tuple[Labels, ...] | None = Field(default=None, max_length=100)


Drift = Literal["repair", "report", "adopt"]


class TenantSpec(Spec):
    """A platform team's declaration of a tenant. `namespace` defaults to the tenant's name.

    `drift` says what the manager does with fields of its objects that another writer changes. It sets them back
    (`repair`), leaves and reports them until the document says something else of them (`report`), or leaves them for
    good (`adopt`); what keeps tenants apart and cold replicas out is always set back. With `adopt`, objects that are
    there already are taken over as they are. In one of the `freezes` no release takes a step. A pin of a version counts
    when `pinApprovers` persons beside its author have approved it. With `authentication` gateways ask who calls.
    """

    namespace: DnsLabel | None = None
    owners: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()
    gateway: GatewayChoice
    hosts: tuple[HostClaim, ...] = Field(max_length=100)
    rate_limit: TenantRateLimit | None = None
    pods: PodRules = PodRules()
    isolation: Literal["none", "strict"] = "none"
    drift: Drift = "repair"
    freezes: ReleaseFreezes = ()
    pin_approvers: int = Field(default=0, ge=0, le=5, strict=True)
    authentication: Authentication | None = None

    @model_validator(mode="after")
    def _distinct(self) -> "TenantSpec":
        names = [host.name for host in self.hosts]
        if len(set(names)) < len(names):
            raise ValueError("hosts: the same host is claimed twice; list it once")
        return self
