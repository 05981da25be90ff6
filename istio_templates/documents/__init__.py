"""The documents that people write: InferenceGateway, Tenant, Model, LimitOverride (group `tidegate.dev/v1alpha1`)."""

from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.documents.model import ModelSpec
from istio_templates.documents.override import LimitOverrideSpec
from istio_templates.documents.parse import Document, load, parse
from istio_templates.documents.tenant import TenantSpec

__all__ = ["Document", "InferenceGatewaySpec", "LimitOverrideSpec", "ModelSpec", "TenantSpec", "load", "parse"]
