"""Checks rendered objects against the schemas of the target versions of Istio and Kubernetes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from istio_templates import schema
from istio_templates.errors import Problem, TidegateError
from istio_templates.facts import Manifest
from istio_templates.names import key_of
from k8s_manager.offline.findings import TreeFinding

KUBERNETES = ("1.30", "1.31", "1.32", "1.33", "1.34", "1.35")
_TARGET = re.compile(r"(istio|kubernetes)-(\d+\.\d+)")
_OURS, _KEDA = "tidegate.dev/", "keda.sh/"
_ISTIO = "istio.io/"


class Unsupported(TidegateError):
    """A version that nothing is known about, or schemas that are not installed."""


@dataclass(frozen=True, slots=True)
class TargetVersions:
    """Versions that the objects are rendered for."""

    istio: tuple[str, ...] = (schema.VERSIONS[-1],)
    kubernetes: tuple[str, ...] = ("1.34",)


def target(words: Iterable[str]) -> TargetVersions:
    """Return what `istio-1.30` and `kubernetes-1.33` mean together; raises `Unsupported`."""
    found: dict[str, list[str]] = {"istio": [], "kubernetes": []}
    known = {"istio": schema.VERSIONS, "kubernetes": KUBERNETES}
    for word in words:
        match = _TARGET.fullmatch(word)
        if match is None or match[2] not in known[match[1]]:
            there = ", ".join(f"{name}-{version}" for name, versions in known.items() for version in versions)
            raise Unsupported(f"{word!r} is no version that is supported; those are {there}")
        found[match[1]].append(match[2])
    default = TargetVersions()
    return TargetVersions(tuple(found["istio"]) or default.istio, tuple(found["kubernetes"]) or default.kubernetes)


def findings(objects: Iterable[Manifest], wanted: TargetVersions) -> Iterator[TreeFinding]:
    """Yield the problems of objects under the schemas of all requested versions."""
    for obj in objects:
        group = obj["apiVersion"]
        if group.startswith((_OURS, _KEDA)):  # these are not among Kubernetes' own
            continue
        if _ISTIO in group:
            for version in wanted.istio:
                for problem in schema.problems(obj, version):
                    yield TreeFinding("TG201", f"Istio {version}", str(key_of(obj)), problem)
        else:
            for version in wanted.kubernetes:
                for problem in _kubernetes(obj, version):
                    yield TreeFinding("TG202", f"Kubernetes {version}", str(key_of(obj)), problem)


def _kubernetes(obj: Manifest, version: str) -> Iterator[Problem]:
    library = _library()
    try:
        library.validate(obj, version, strict=True)
    except library.ValidationError as error:
        yield Problem(".".join(map(str, error.path)), error.message)


@cache
def _library() -> Any:
    try:
        import kubernetes_validate  # type: ignore[import-untyped]
    except ImportError as error:
        remedy = "pip install 'tidegate[validate]', or in a checkout pip install '.[validate]'"
        raise Unsupported(f"Kubernetes' schemas are not installed; {remedy}") from error
    return kubernetes_validate
