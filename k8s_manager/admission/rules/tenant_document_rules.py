"""Rules for documents in tenants' namespaces of which nothing is rendered: ModelVersions and Callers. Pure."""

from collections.abc import Iterator

from istio_templates.documents import ModelVersionSpec
from istio_templates.documents.versions.model_version import document_name, version_of
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.rules.rejection import Rejection, invalid, not_found


def check_version(key: tuple[str, str], spec: ModelVersionSpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a registered version. Its model need not exist yet: training may come first."""
    namespace, name = key
    yield from check_caller(namespace, index)
    if version_of(name, spec.model) is None:
        right = document_name(spec.model, "VERSION")
        yield invalid("metadata.name", f"{name} does not say which version of {spec.model} it is; name it {right}")


def check_caller(namespace: str, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a caller. The models that it names need not exist yet."""
    if namespace not in index.tenant_of:
        yield not_found("metadata.namespace", f"namespace {namespace} belongs to no tenant; create the Tenant first")
