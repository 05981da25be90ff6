"""AccessGrant: which users and groups may do what through the REST API, in which tenants."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from istio_templates.documents.fields import DnsLabel, Spec

Principal = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s\x00-\x1f\x7f](.*[^\s\x00-\x1f\x7f])?$")]
OF_THE_PLATFORM = ("platformOperator", "platformAdmin")


class AccessGrantSpec(Spec):
    """A role for users and groups: in the tenants that are listed, without a list in all of them.

    `viewer` reads; `tenantOperator` also scales, moves traffic and sets limits for a time, inside the tenant's range;
    `tenantAdmin` also writes models. `platformOperator` operates every tenant and overrides limits without a range;
    `platformAdmin` may do everything. A tenant's `owners` are its admins without any AccessGrant.
    """

    role: Literal["viewer", "tenantOperator", "tenantAdmin", "platformOperator", "platformAdmin"]
    users: tuple[Principal, ...] = Field(default=(), max_length=200)
    groups: tuple[Principal, ...] = Field(default=(), max_length=200)
    tenants: tuple[DnsLabel, ...] = Field(default=(), max_length=1000)

    @model_validator(mode="after")
    def _for_somebody(self) -> "AccessGrantSpec":
        if not self.users and not self.groups:
            raise ValueError("names no caller; give users or groups")
        if self.tenants and self.role in OF_THE_PLATFORM:
            raise ValueError(f"{self.role} holds in all tenants; leave tenants out, or give a tenant role")
        return self
