"""Documents as callers see them, by kind: one, a page, and a revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from istio_templates.documents import (
    AccessGrantSpec,
    CallerSpec,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    ModelVersionSpec,
    TenantSpec,
)
from k8s_manager.api.schemas.answer import ApiAnswer, optional
from k8s_manager.api.schemas.history import RevisionSummary
from k8s_manager.api.schemas.statuses import (
    AccessGrantStatus,
    CallerStatus,
    InferenceGatewayStatus,
    LimitOverrideStatus,
    ModelStatus,
    ModelVersionStatus,
    TenantStatus,
)


class DocumentMetadata(ApiAnswer):
    """What Kubernetes knows of a document, and the labels and annotations that people gave it."""

    name: str
    namespace: str = optional()
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: str
    deletion_timestamp: str = optional()
    labels: dict[str, str] = optional()
    annotations: dict[str, str] = optional()


class StoredDocument(ApiAnswer):
    """What every document has."""

    api_version: Literal["tidegate.dev/v1alpha1"]
    metadata: DocumentMetadata


class InferenceGatewayDocument(StoredDocument):
    """An InferenceGateway."""

    kind: Literal["InferenceGateway"]
    spec: InferenceGatewaySpec
    status: InferenceGatewayStatus = optional()


class TenantDocument(StoredDocument):
    """A Tenant."""

    kind: Literal["Tenant"]
    spec: TenantSpec
    status: TenantStatus = optional()


class ModelDocument(StoredDocument):
    """A Model."""

    kind: Literal["Model"]
    spec: ModelSpec
    status: ModelStatus = optional()


class LimitOverrideDocument(StoredDocument):
    """A LimitOverride."""

    kind: Literal["LimitOverride"]
    spec: LimitOverrideSpec
    status: LimitOverrideStatus = optional()


class AccessGrantDocument(StoredDocument):
    """An AccessGrant."""

    kind: Literal["AccessGrant"]
    spec: AccessGrantSpec
    status: AccessGrantStatus = optional()


class ModelVersionDocument(StoredDocument):
    """A ModelVersion."""

    kind: Literal["ModelVersion"]
    spec: ModelVersionSpec
    status: ModelVersionStatus = optional()


class CallerDocument(StoredDocument):
    """A Caller."""

    kind: Literal["Caller"]
    spec: CallerSpec
    status: CallerStatus = optional()


class Page(ApiAnswer):
    """A page of a list."""

    next: str = optional("continue", "What leads to the next page, as ?continue=; missing on the last one.")


class InferenceGatewayPage(Page):
    """A page of InferenceGateways."""

    items: list[InferenceGatewayDocument]


class TenantPage(Page):
    """A page of Tenants."""

    items: list[TenantDocument]


class ModelPage(Page):
    """A page of a tenant's Models."""

    items: list[ModelDocument]


class LimitOverridePage(Page):
    """A page of operators' LimitOverrides."""

    items: list[LimitOverrideDocument]


class AccessGrantPage(Page):
    """A page of AccessGrants."""

    items: list[AccessGrantDocument]


class ModelVersionPage(Page):
    """A page of the registered versions of a tenant's models."""

    items: list[ModelVersionDocument]


class CallerPage(Page):
    """A page of a tenant's Callers."""

    items: list[CallerDocument]


class InferenceGatewayRevision(RevisionSummary):
    """A revision of an InferenceGateway."""

    spec: InferenceGatewaySpec


class TenantRevision(RevisionSummary):
    """A revision of a Tenant."""

    spec: TenantSpec


class ModelRevision(RevisionSummary):
    """A revision of a Model."""

    spec: ModelSpec


class LimitOverrideRevision(RevisionSummary):
    """A revision of a LimitOverride."""

    spec: LimitOverrideSpec


class AccessGrantRevision(RevisionSummary):
    """A revision of an AccessGrant."""

    spec: AccessGrantSpec


class ModelVersionRevision(RevisionSummary):
    """A revision of a ModelVersion."""

    spec: ModelVersionSpec


class CallerRevision(RevisionSummary):
    """A revision of a Caller."""

    spec: CallerSpec


class DeletedDocuments(ApiAnswer):
    """What goes, the document that was asked for last."""

    deleted: list[str] = Field(description="Each as KIND NAME or KIND NAMESPACE/NAME.")
    kept: list[str] = optional(description="What stays where it is, and why.")


@dataclass(frozen=True, slots=True)
class KindSchemas:
    """The answers about one kind; `noun` is the kind in the names of operations."""

    noun: str
    document: type[StoredDocument]
    page: type[Page]
    revision: type[RevisionSummary]


KINDS: Mapping[str, KindSchemas] = {
    "InferenceGateway": KindSchemas(
        "gateway", InferenceGatewayDocument, InferenceGatewayPage, InferenceGatewayRevision
    ),
    "Tenant": KindSchemas("tenant", TenantDocument, TenantPage, TenantRevision),
    "Model": KindSchemas("model", ModelDocument, ModelPage, ModelRevision),
    "LimitOverride": KindSchemas("override", LimitOverrideDocument, LimitOverridePage, LimitOverrideRevision),
    "AccessGrant": KindSchemas("grant", AccessGrantDocument, AccessGrantPage, AccessGrantRevision),
    "ModelVersion": KindSchemas("modelversion", ModelVersionDocument, ModelVersionPage, ModelVersionRevision),
    "Caller": KindSchemas("caller", CallerDocument, CallerPage, CallerRevision),
}
