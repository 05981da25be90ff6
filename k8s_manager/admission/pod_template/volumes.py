"""The volumes of a pod."""

from collections.abc import Iterator
from typing import Any

from istio_templates.quantity import quantity
from k8s_manager.admission.pod_template.environment_variables import OF_METADATA, check_amount, check_field
from k8s_manager.admission.pod_template.formats import dns_label, dns_subdomain, inner_path
from k8s_manager.admission.pod_template.metadata import check_labels
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

_OF_FILES = ("configMap", "secret", "downwardAPI", "projected")
_OF_PROJECTION = ("secret", "downwardAPI", "configMap", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
_ACCESS = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_LONGEST_TOKEN = 2**32


def check_volumes(spec: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the volumes of a pod."""
    for place, volume in elements(spec, "volumes"):
        yield from wrong((*place, "name"), dns_label(volume["name"]))
        yield from below(place, _source(volume))


def _source(volume: dict[str, Any]) -> Iterator[Violation]:
    found = sorted(volume.keys() - {"name"})
    if len(found) > 1:
        yield (), f"has {' and '.join(found)}; give exactly one source"
        return
    for kind in found:
        source = volume[kind]
        yield from below((kind,), _files(kind, source) if kind in _OF_FILES else _storage(kind, source))


def _storage(kind: str, source: dict[str, Any]) -> Iterator[Violation]:
    match kind:
        case "emptyDir":
            if not source.get("medium", "").startswith("HugePages") and source.get("medium", "") not in ("", "Memory"):
                yield ("medium",), f"{source['medium']!r} is not allowed; choose Memory, or leave it out"
        case "nfs":
            if not source["path"].startswith("/"):
                yield ("path",), f"{source['path']!r} has no leading '/'; write it"
        case "csi":
            yield from wrong(("driver",), dns_subdomain(source["driver"].lower()))
        case "ephemeral":
            template = source.get("volumeClaimTemplate")
            if template is None:
                yield ("volumeClaimTemplate",), "is missing; it is required"
            else:
                yield from below(("volumeClaimTemplate", "spec"), _claim(template["spec"]))
        case "image":
            yield (), "is switched off in Kubernetes 1.34; copy the files from an init container"


def _claim(spec: dict[str, Any]) -> Iterator[Violation]:
    modes = spec.get("accessModes") or []
    if not modes or not set(modes) <= set(_ACCESS) or ("ReadWriteOncePod" in modes and len(modes) > 1):
        yield ("accessModes",), f"{modes} are not allowed; give one of {', '.join(_ACCESS)}"
    if not quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage")):
        yield ("resources", "requests", "storage"), "is missing or 0; say how large the volume is"
    if spec.get("storageClassName"):
        yield from wrong(("storageClassName",), dns_subdomain(spec["storageClassName"]))
    yield from below(("selector", "matchLabels"), check_labels((spec.get("selector") or {}).get("matchLabels") or {}))
    if spec.get("volumeMode") not in (None, "Filesystem", "Block"):
        yield ("volumeMode",), f"{spec['volumeMode']!r} is not allowed; choose one of Filesystem, Block"


def _files(kind: str, source: dict[str, Any]) -> Iterator[Violation]:
    name = {"configMap": "name", "secret": "secretName"}.get(kind)
    if name and not source.get(name):
        yield (name,), "is missing; name the object"
    yield from _mode(source, "defaultMode")
    yield from _items(source)
    paths: set[str] = set()
    for place, projection in elements(source, "sources"):
        found = sorted(projection.keys() & set(_OF_PROJECTION))
        if len(found) > 1:
            yield place, f"give exactly one of {', '.join(_OF_PROJECTION[:4])}"
        for inner in found:
            yield from below((*place, inner), _projection(inner, projection[inner]))
            for path in _paths(projection[inner]):
                if path in paths:
                    yield (*place, inner), f"path {path!r} is made twice; choose another"
                paths.add(path)


def _paths(projection: dict[str, Any]) -> list[str]:
    return [projection["path"]] if "path" in projection else [i["path"] for i in projection.get("items") or ()]


def _projection(kind: str, projection: dict[str, Any]) -> Iterator[Violation]:
    if kind in ("secret", "configMap") and not projection.get("name"):
        yield ("name",), "is missing; name the object"
    yield from _items(projection)
    if kind == "serviceAccountToken":
        yield from wrong(("path",), inner_path(projection["path"]))
        if not 600 <= projection.get("expirationSeconds", 3600) <= _LONGEST_TOKEN:
            yield ("expirationSeconds",), f"is not between 600 and {_LONGEST_TOKEN}; change it"
    if kind in ("clusterTrustBundle", "podCertificate"):
        yield (), "is switched off in Kubernetes 1.34; use a ConfigMap or a Secret"


def _items(source: dict[str, Any]) -> Iterator[Violation]:
    for place, item in elements(source, "items"):
        yield from wrong((*place, "path"), inner_path(item["path"]))
        yield from below(place, _mode(item, "mode"))
        if "key" in item:
            continue
        if ("fieldRef" in item) == ("resourceFieldRef" in item):
            yield place, "give exactly one of fieldRef and resourceFieldRef"
        elif "fieldRef" in item:
            allowed = (*OF_METADATA, "metadata.labels", "metadata.annotations")
            yield from below((*place, "fieldRef"), check_field(item["fieldRef"], allowed))
        else:
            if not item["resourceFieldRef"].get("containerName"):
                yield (*place, "resourceFieldRef", "containerName"), "is missing; name the container"
            yield from below((*place, "resourceFieldRef"), check_amount(item["resourceFieldRef"]))


def _mode(source: dict[str, Any], field: str) -> Iterator[Violation]:
    if not 0 <= source.get(field, 0) <= 0o777:
        yield (field,), f"{source[field]} is no mode of a file; give one from 0 to 0o777, such as 0o444 (292)"
