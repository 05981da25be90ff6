"""Conflicts in a cluster as it is: rejected claims, and routes of other owners on hosts of tenants. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from istio_templates import names
from istio_templates.documents import Document, parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.gateway import hosts_of
from k8s_manager.admission.claim_index import ClaimIndex

Conflict = tuple[ObjectKey, str]
"""A document or object, and what it is in conflict with."""


def conflicts(documents: Sequence[Manifest], istio: Iterable[Manifest]) -> Iterator[Conflict]:
    """Yield the documents whose claims were rejected, and Istio objects of other owners on hosts of tenants."""
    for obj in documents:
        yield from _rejected(obj)
    index = ClaimIndex()
    for document in filter(None, map(_read, documents)):
        if document.kind == "Tenant":
            index.add(document)
    for obj in istio:
        if not names.is_marked(obj):
            yield from _on_claimed_hosts(obj, index)


def _rejected(obj: Manifest) -> Iterator[Conflict]:
    for condition in (obj.get("status") or {}).get("conditions", []):
        if condition["type"] == "Accepted" and condition["status"] == "False" and condition["reason"] == "Conflict":
            yield names.key_of(obj), condition["message"]


def _read(obj: Manifest) -> Document | None:
    try:
        return parse(obj)
    except Invalid:  # its condition says so
        return None


def _on_claimed_hosts(obj: Manifest, index: ClaimIndex) -> Iterator[Conflict]:
    home = index.tenant_of.get(obj["metadata"]["namespace"])
    for host in sorted(_hosts(obj)):
        owners = {owner for _, owner in index.claims_against(host)} - {home}
        if host == "*":
            owners = index.tenants.keys() - {home}
        if owners:
            yield names.key_of(obj), f"serves host {host}, which is claimed by {', '.join(sorted(owners))}"


def _hosts(obj: Manifest) -> set[str]:
    found = hosts_of(obj) if obj["kind"] == "Gateway" else (obj.get("spec") or {}).get("hosts") or ()
    return {host.lower().removesuffix(".") for host in found}
