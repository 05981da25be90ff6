"""What is wrong, or worth a look, in documents that are rendered without a cluster. Pure.

| code | level | |
|---|---|---|
| TG101 | error | the file cannot be read, or its YAML is broken |
| TG102 | error | a field is wrong |
| TG103 | error | the document stands twice |
| TG104 | error | it refers to what is not there |
| TG105 | error | what it asks for is another document's |
| TG106 | error | it waits for something that these documents do not make |
| TG201 | error | Istio's schema refuses an object |
| TG202 | error | Kubernetes' schema refuses an object |
| TG301 | warning | a model has no limit |
| TG302 | warning | a version runs one replica |
| TG303 | warning | replicas get requests without having been warmed up |
| TG304 | warning | an image has no fixed version |
| TG305 | warning | a host is served by no model |
| TG306 | warning | a certificate has to be in the gateway's namespace, which is not read |
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from istio_templates.documents import Document, ModelSpec, TenantSpec
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.pipeline.plan import Plan
from k8s_manager.world.tenant import namespace_of

Level = Literal["error", "warning"]
_BY_REASON = {"Invalid": "TG102", "NotFound": "TG104", "Conflict": "TG105"}


@dataclass(frozen=True, slots=True)
class TreeFinding:
    """One thing to review: `place` is the file (and which document of it), `subject` the document or
    object."""

    code: str
    place: str
    subject: str
    problem: Problem

    @property
    def level(self) -> Level:
        """How bad it is."""
        return "warning" if self.code.startswith("TG3") else "error"

    def __str__(self) -> str:
        about = f"{self.subject}: " if self.subject else ""
        return f"{self.level} {self.code} {self.place}: {about}{self.problem}"


def refused(
    plan: Plan, documents: Mapping[ObjectKey, Document], places: Mapping[ObjectKey, str]
) -> Iterator[TreeFinding]:
    """Yield why documents are not accepted; where another one claims the same host, its place is named too."""
    for key, said in plan.waiting.items():
        if key in documents:
            yield TreeFinding("TG106", places[key], str(documents[key]), Problem("", said))
    for key, verdict in plan.admission.items():
        if not verdict.accepted and key in documents:
            rivals = _rivals(documents[key], documents, places)
            for problem in verdict.problems:
                named = Problem(problem.field, problem.message + rivals)
                yield TreeFinding(_code(verdict), places[key], str(documents[key]), named)


def _code(verdict: AdmissionResult) -> str:
    return _BY_REASON[verdict.reason or "Invalid"]


def _rivals(document: Document, documents: Mapping[ObjectKey, Document], places: Mapping[ObjectKey, str]) -> str:
    claimed = _hosts(document)
    found = sorted(
        f"{other} in {places[key]}"
        for key, other in documents.items()
        if other is not document and not claimed.isdisjoint(_hosts(other))
    )
    return f" (claimed too by {', '.join(found)})" if found else ""


def _hosts(document: Document) -> set[str]:
    return {host.name for host in document.spec.hosts} if isinstance(document.spec, TenantSpec) else set()


def remarks(documents: Mapping[ObjectKey, Document], places: Mapping[ObjectKey, str]) -> Iterator[TreeFinding]:
    """Yield what is allowed and may still be a mistake."""
    served = {
        route.host
        for document in documents.values()
        if isinstance(document.spec, ModelSpec)
        for route in document.spec.routes
    }
    attached = {  # who routes there, and which hosts, is not in these documents
        document.namespace
        for document in documents.values()
        if isinstance(document.spec, ModelSpec) and document.spec.attach_to
    }
    for key, document in documents.items():
        spec = document.spec
        if isinstance(spec, ModelSpec):
            found = _of_model(spec)
        elif isinstance(spec, TenantSpec):
            found = _of_tenant(spec, served, namespace_of(document.name, spec) in attached)
        else:
            continue
        for code, field, said in found:
            yield TreeFinding(code, places[key], str(document), Problem(field, said))


def _of_model(spec: ModelSpec) -> Iterator[tuple[str, str, str]]:
    if spec.rate_limit is None or spec.rate_limit.mode == "off":
        yield "TG301", "spec.rateLimit", "is off: every request reaches the replicas; give perReplicaQps"
    ours = [(number, version.workload) for number, version in enumerate(spec.versions) if version.workload]
    if ours and spec.warmup.how == "none":
        yield "TG303", "spec.warmup", "is absent: the first requests to a new replica find it cold; give a plan"
    for number, workload in ours:
        field = f"spec.versions.{number}.workload"
        if workload.replicas == 1:
            yield "TG302", f"{field}.replicas", "is 1: nothing serves while that one is replaced"
        if workload.image and "@" not in workload.image and _tag(workload.image) in ("", "latest"):
            yield "TG304", f"{field}.image", f"{workload.image} may be another tomorrow; give a version or a digest"


def _tag(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[2]


def _of_tenant(spec: TenantSpec, served: Iterable[str], attached: bool) -> Iterator[tuple[str, str, str]]:
    for number, host in enumerate(spec.hosts):
        field = f"spec.hosts.{number}"
        if not host.name.startswith("*.") and host.name not in served and not host.delegations and not attached:
            yield "TG305", f"{field}.name", f"{host.name} is served by no model of these documents"
        if host.tls:
            name = host.tls.credential_name
            yield (
                "TG306",
                f"{field}.tls",
                f"Secret {name} has to be in the gateway's namespace; secrets are not rendered",
            )
