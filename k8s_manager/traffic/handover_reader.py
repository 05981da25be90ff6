"""Which models wait for another version to be warm, as the store shows it, and the documents to go by meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from istio_templates import names
from istio_templates.documents import Document, ModelSpec
from istio_templates.facts import ObjectKey
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.traffic import version_handover
from k8s_manager.traffic.version_handover import Deployed
from k8s_manager.world.world import Stored

Ready = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True)
class Handover:
    """A model with the document to go by, the versions in it that the stored one does not have, and what it is told."""

    stored: Stored
    departed: tuple[str, ...]
    said: str


class HandoverReader:
    """Looks pass after pass; a document stays the same object while nothing about it changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memo, self._deployments = Memo(), Last()

    def of(self, models: Iterable[Stored], ready: Ready) -> dict[ObjectKey, Handover]:
        """Return the models that wait, from the warm replicas by (namespace, model, version)."""
        deployments = self._deployments.get((self._store.changes("Deployment"),), self._read)
        found = {}
        for stored in models:
            spec = stored.document.spec if stored.document and not stored.deleting else None
            place = (stored.key.namespace, stored.key.name)
            found_here = deployments.get(place, ())
            if not isinstance(spec, ModelSpec) or _is_settled(spec, place, ready, found_here):
                continue
            if handed := self._handover(stored, spec, found_here, ready):
                found[stored.key] = handed
        self._memo.end_round()
        return found

    def _handover(
        self, stored: Stored, spec: ModelSpec, deployments: tuple[Deployed, ...], ready: Ready
    ) -> Handover | None:
        known = [version.name for version in spec.versions]
        warm = {name: ready.get((stored.key.namespace, stored.key.name, name), 0) for name in known}
        route = self._store.owned.get(stored.key._replace(kind="VirtualService"))
        live = version_handover.weights_of(route)
        assert stored.document is not None
        inputs = (stored.document, warm, deployments, live)
        instead = self._memo.get(stored.key, inputs, partial(_document, stored.document, spec, *inputs[1:]))
        if instead is None:
            return None
        assert isinstance(instead.spec, ModelSpec)
        added = tuple(version.name for version in instead.spec.versions if version.name not in known)
        return Handover(replace(stored, document=instead), added, version_handover.sentence(spec, instead.spec))

    def _read(self) -> dict[tuple[str, str], tuple[Deployed, ...]]:
        """Return the versions that have a Deployment of ours, by model."""
        found: dict[tuple[str, str], tuple[Deployed, ...]] = {}
        for obj in self._store.all("Deployment"):
            metadata = obj["metadata"]
            labels = metadata.get("labels") or {}
            if (
                names.key_of(obj) in self._store.owned
                and names.VERSION in labels
                and "deletionTimestamp" not in metadata
            ):
                place = (metadata["namespace"], labels.get(names.MODEL, ""))
                ready, wanted = (obj.get("status") or {}).get("readyReplicas") or 0, obj["spec"].get("replicas", 1)
                one = Deployed(labels[names.VERSION], ready, wanted, metadata.get("creationTimestamp", ""))
                found[place] = (*found.get(place, ()), one)
        return found


def _is_settled(spec: ModelSpec, place: tuple[str, str], ready: Ready, deployments: tuple[Deployed, ...]) -> bool:
    """Tell, at little cost, that a model has nothing to wait for: nobody left, and somebody serves."""
    if not any(share.weight and ready.get((*place, share.version)) for share in spec.traffic):
        return False
    known = {version.name for version in spec.versions}
    return all(found.version in known for found in deployments)


def _document(
    document: Document,
    spec: ModelSpec,
    warm: Mapping[str, int],
    deployed: tuple[Deployed, ...],
    live: Mapping[str, int],
) -> Document | None:
    instead = version_handover.effective(document.name, spec, warm, deployed, live)
    return replace(document, spec=instead) if instead else None
