"""Documents to manifests without a cluster, repeatedly: only what changed is planned and rendered again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from istio_templates.documents import Document
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.admit import Admitter
from k8s_manager.drift.pod_defaults import with_pod_defaults
from k8s_manager.offline.findings import TreeFinding, refused
from k8s_manager.offline.offline_world import stored, with_own_gateways, world_with
from k8s_manager.pipeline.plan import Planner
from k8s_manager.pipeline.render import Renderer
from k8s_manager.runtime.memo import Memo

Standing = Callable[[Manifest], Manifest | None]
"""Returns the form in which a desired object stands already, in the tree that is written."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Every object that follows from the documents that are accepted, and why the others are not."""

    objects: dict[ObjectKey, Manifest]
    findings: tuple[TreeFinding, ...]


class Rendering:
    """Renders one set of documents after the other."""

    def __init__(self) -> None:
        self._admitter, self._planner, self._renderer = Admitter(), Planner(), Renderer()
        self._stored, self._whole = Memo(), Memo()

    def of(
        self,
        documents: Mapping[ObjectKey, Document],
        places: Mapping[ObjectKey, str],
        standing: Standing = lambda _: None,
    ) -> Rendered:
        """Return what follows from `documents`, in whatever order they come; `places` say where each was read.

        What runs from a tree is not known here. Its content, as `standing` returns it, counts for that.
        """
        every = with_own_gateways(documents[key] for key in sorted(documents))
        found = [self._stored.get(d.key, (d,), partial(stored, d)) for d in every]
        self._stored.end_round()
        world = world_with(found)
        plan = self._planner.plan(world, self._admitter.admit(world), {})
        desired = self._renderer.render(plan)
        objects = {key: self._completed(key, obj, standing) for key, obj in desired.objects.items()}
        self._whole.end_round()
        return Rendered({**objects, **desired.slots}, tuple(refused(plan, documents, places)))

    def _completed(self, key: ObjectKey, obj: Manifest, standing: Standing) -> Manifest:
        if key.kind != "Deployment":
            return obj
        there = standing(obj)
        return self._whole.get(key, (obj, there), partial(with_pod_defaults, obj, there))
