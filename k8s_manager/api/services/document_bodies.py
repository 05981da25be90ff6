"""Bodies of callers and stored documents: how one is made from the other, and what of it is shown. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from istio_templates.documents import Document, LimitOverrideSpec
from istio_templates.documents.override import moment
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.history.revision import MARK, ChangeAuthor, mark

_LABELLED = ("labels", "annotations")
_SHOWN = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
)


def routes_in(models: Iterable[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield models as they are stored, whether they can be read or not, with each of their routes."""
    for model in models:
        for route in (model.get("spec") or {}).get("routes") or ():
            yield model, route


def namespace_of(tenant: Manifest) -> str:
    """Return the namespace of a tenant as it is stored."""
    return str(tenant["spec"].get("namespace") or tenant["metadata"]["name"])


def require_not_over(document: Document, now: datetime) -> None:
    """Refuse an override that has ended before it begins; raises `Invalid`."""
    spec = document.spec
    if isinstance(spec, LimitOverrideSpec) and moment(spec.expires) <= now:
        raise Invalid(str(document), [Problem("spec.expires", f"{spec.expires} is in the past; give a later moment")])


def completed(key: ObjectKey, body: Manifest) -> Manifest:
    """Return a body as a whole document: the path says its kind and name; a body may say them too, but nothing else."""
    metadata = body.get("metadata", {})
    problems = []
    if isinstance(metadata, dict):
        if metadata.get("name", key.name) != key.name:
            problems.append(Problem("metadata.name", f"{metadata['name']!r} is not {key.name}, which the path says"))
        if key.namespace and metadata.get("namespace", key.namespace) != key.namespace:
            problems.append(
                Problem("metadata.namespace", f"{metadata['namespace']!r} is not the tenant's, {key.namespace}")
            )
        metadata = {**metadata, "name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    if body.get("kind", key.kind) != key.kind:
        problems.append(Problem("kind", f"{body['kind']!r} is not {key.kind}, which the path says"))
    if problems:
        raise Invalid(str(key), problems)
    return {"apiVersion": API_VERSION, **body, "kind": key.kind, "metadata": metadata}


def shown(obj: Manifest) -> Manifest:
    """Return a document as callers see it."""
    metadata = {name: obj["metadata"][name] for name in _SHOWN if name in obj["metadata"]}
    out = {"apiVersion": API_VERSION, "kind": obj["kind"], "metadata": metadata, "spec": obj.get("spec", {})}
    return {**out, "status": obj["status"]} if "status" in obj else out


def generation(obj: Manifest) -> int:
    """Return how often the spec of an object has been changed."""
    return int(obj["metadata"].get("generation", 0))


def marked(body: Manifest, live: Manifest | None, change: ChangeAuthor | None) -> Manifest:
    """Return a body that records who changed the document and why, beside its own annotations or those that are
    there."""
    metadata = body.get("metadata") or {}
    kept = (live or {}).get("metadata", {}).get("annotations") or {}
    annotations = {**(metadata.get("annotations") or kept)}
    annotations.pop(MARK, None)
    is_changed = live is None or live.get("spec") != body.get("spec")
    if change is not None and is_changed:
        annotations |= mark(change, live)
    elif MARK in kept:
        annotations[MARK] = kept[MARK]
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def user_metadata(body: Manifest) -> Manifest:
    """Return what people say in the metadata of a body."""
    metadata = body.get("metadata") or {}
    return {name: metadata[name] for name in _LABELLED if metadata.get(name)}


def edited(live: Manifest) -> tuple[Any, ...]:
    """Return what differs after each change of a document, and not after a write of its status."""
    metadata = live["metadata"]
    return tuple(metadata.get(name) for name in ("uid", "generation", "deletionTimestamp", "finalizers", *_LABELLED))
