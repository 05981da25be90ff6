"""What a deletion leaves where it is, and why."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.parse import parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.services.document_bodies import namespace_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.pipeline.apply import others_in
from k8s_manager.runtime.sentences import named

NAMED = 5


class KeptObject(NamedTuple):
    """What stays once documents are deleted: a sentence about it, and its key where it is a namespace."""

    said: str
    namespace: ObjectKey | None = None


async def remainder(client: KubeClient, store: Store, going: Sequence[ObjectKey]) -> list[KeptObject]:
    """Return what stays once documents are deleted."""
    out: list[KeptObject] = []
    for key in going:
        document = store.get(key)
        if document is None:
            continue
        if key.kind == "Model":
            out += map(KeptObject, _of_model(document))
        if key.kind == "Tenant":
            out += await _of_namespace(client, store, namespace_of(document), going)
        if key.kind == "InferenceGateway" and document["spec"].get("namespace"):
            out += await _of_namespace(client, store, document["spec"]["namespace"], going)
    return out


def _of_model(document: Manifest) -> Iterator[str]:
    try:
        found = parse(document)
    except Invalid:
        return
    spec = found.spec
    assert isinstance(spec, ModelSpec)
    if spec.attach_to:
        route = spec.attach_to.key(found.namespace or "")
        yield f"{route} stays, as it is another owner's; nothing limits it then"
    if existing := [version.name for version in spec.versions if version.existing]:
        yield f"the pods of {found}, version {', '.join(existing)}, stay, as Tidegate did not make them"


async def _of_namespace(client: KubeClient, store: Store, name: str, going: Sequence[ObjectKey]) -> list[KeptObject]:
    key = ObjectKey("Namespace", "", name)
    live = store.get(key)
    if live is None:
        return []
    if (live["metadata"].get("labels") or {}).get(names.MANAGED_BY) != names.MANAGER:
        return [KeptObject(f"{key} stays, as Tidegate did not make it", key)]
    others = await others_in(client, name, going)
    if not others:
        return []
    held = named([f"{key.kind} {key.name}" for key in others], NAMED)
    return [KeptObject(f"{key} stays without Tidegate's labels, as it holds what others made: {held}", key)]
