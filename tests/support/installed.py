"""The CRDs of Tidegate and of Istio in an embedded API, parsed once for all: that takes longer than many a test."""

from datetime import UTC, datetime
from functools import cache

from istio_templates.documents.crd import crds
from istio_templates.facts import Manifest
from istio_templates.schema import istio_crds
from k8s_manager.standalone.apiserver.registrar import CRDS, Registrar
from k8s_manager.standalone.apiserver.registry import Kind
from k8s_manager.standalone.apiserver.store import ObjectStore

FIRST_VERSION = 1_000
"""Later than every version of what is installed."""
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def registrar_with_crds(store: ObjectStore, *args: object, istio: bool = True) -> Registrar:
    """Return a registrar of an empty store, with these arguments beside it, that serves all CRDs, or our own only."""
    kinds, installed = _installed(istio)
    store.version = store.oldest = FIRST_VERSION
    found = Registrar(store, *args)  # type: ignore[arg-type]
    # A registrar that finds CRDs in its store compiles them.
    store._objects[CRDS] = {("", crd["metadata"]["name"]): crd for crd in installed}
    found.kinds = dict(kinds)
    return found


@cache
def _installed(istio: bool) -> tuple[dict[tuple[str, str], Kind], list[Manifest]]:
    """Return what is served, and the CRDs; namespaces are each cluster's own: their identifiers distinguish them."""
    registrar = Registrar(ObjectStore(None), lambda: _LONG_AGO)
    kind = registrar.kind("apiextensions.k8s.io/v1", "customresourcedefinitions")
    for crd in [*crds(), *(istio_crds() if istio else [])]:
        registrar.create(kind, "", crd, "embedded")
    return registrar.kinds, registrar.store.every(CRDS)
