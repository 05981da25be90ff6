"""Handover from one version to another: routes leave a version that serves only for one that can. Pure."""

from collections.abc import Mapping

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey


def waits(
    wanted: Manifest, live: Manifest, ready: Mapping[tuple[str, str, str], int], owned: Mapping[ObjectKey, Manifest]
) -> str | None:
    """Return why a model's live VirtualService stays as it is; None where it need not.

    It stays while none of the versions that it would lead to has a warm replica, and one that it would leave has.
    `ready` counts warm replicas by (namespace, model, version).
    """
    namespace, model = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
    coming, serving = _carrying(wanted), _carrying(live)
    if not coming or any(ready.get((namespace, model, version)) for version in coming):
        return None
    kept = sorted(v for v in serving - coming if _ready(owned.get(_deployment(namespace, model, v))))
    if not kept:
        return None
    to, of = ", ".join(sorted(coming)), ", ".join(kept)
    return f"version {to} has no warm replica yet; until it has one, its routes stay as they are and {of} serves"


def subsets_used(virtual_service: Manifest | None) -> set[str]:
    """Return the subsets, which are versions, to which a VirtualService sends requests."""
    if virtual_service is None:
        return set()
    return {route["destination"].get("subset", "") for route in _routes(virtual_service)}


def _carrying(virtual_service: Manifest) -> set[str]:
    """Return those that get any requests."""
    return {route["destination"].get("subset", "") for route in _routes(virtual_service) if route.get("weight", 100)}


def _routes(virtual_service: Manifest) -> list[Manifest]:
    return [route for http in virtual_service["spec"].get("http", []) for route in http.get("route", [])]


def _deployment(namespace: str, model: str, version: str) -> ObjectKey:
    return ObjectKey("Deployment", namespace, names.deployment(model, version))


def _ready(deployment: Manifest | None) -> bool:
    return deployment is not None and bool(deployment.get("status", {}).get("readyReplicas"))
