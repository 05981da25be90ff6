"""The documents that people write: InferenceGateway, Tenant, Model, ModelVersion, Caller, LimitOverride, WarmupPlan,
AccessGrant (group `tidegate.dev/v1alpha1`)."""

from istio_templates.documents.access import AccessGrantSpec
from istio_templates.documents.callers.caller import CallerSpec
from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.documents.model import ModelSpec
from istio_templates.documents.override import LimitOverrideSpec
from istio_templates.documents.parse import AnySpec, Document, SpecT, parse, unlisted
from istio_templates.documents.tenant import TenantSpec
from istio_templates.documents.versions.model_version import ModelVersionSpec
from istio_templates.documents.warmup import WarmupPlanSpec
from istio_templates.text.yaml_reader import load

__all__ = [
    "AccessGrantSpec",
    "AnySpec",
    "CallerSpec",
    "Document",
    "InferenceGatewaySpec",
    "LimitOverrideSpec",
    "ModelSpec",
    "ModelVersionSpec",
    "SpecT",
    "TenantSpec",
    "WarmupPlanSpec",
    "load",
    "parse",
    "unlisted",
]
