"""What is asked of the live figures of models: those that limits of the strategy `threshold` are about. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from istio_templates.documents.fields import seconds
from istio_templates.documents.versions.selection import LONGEST_LIVE, VersionSelection
from istio_templates.documents.versions.selection_limit import LEAST_REQUESTS
from istio_templates.facts import ServedModel
from k8s_manager.pipeline.plan import Plan
from k8s_manager.release.live.model_figures import WINDOW
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.release.selection.threshold import FRESH
from k8s_manager.world.world import World


@dataclass(frozen=True, slots=True)
class LiveQuestion:
    """A model of a tenant; the measures of its requests that are asked for, and how many requests each needs; the
    query for the drift of its data; and for how many seconds back. `silent` is a gateway that logs no requests."""

    place: ModelPlace
    tenant: str
    least: Mapping[str, int]
    drift: str | None
    lookback: int
    silent: str | None = None


def live_questions(world: World, plan: Plan) -> dict[ModelPlace, LiveQuestion]:
    """Return what is asked of each served model."""
    return {found.place: found for found in _questions(world, plan)}


def _questions(world: World, plan: Plan) -> Iterator[LiveQuestion]:
    for stored in world.models:
        place = ModelPlace(stored.key.namespace, stored.key.name)
        selection, served = stored.spec.selection if stored.spec else None, plan.models.get(place)
        if selection is not None and served is not None and (found := live_question(place, served, selection)):
            yield found


def live_question(place: ModelPlace, served: ServedModel, selection: VersionSelection) -> LiveQuestion | None:
    """Return what a selection wants to know of its model; None where it needs no live figures."""
    least: dict[str, int] = {
        limit.live: limit.min_requests or LEAST_REQUESTS for limit in selection.limits if limit.live
    }
    drift = next((limit.drift.prometheus for limit in selection.limits if limit.drift), None)
    if not least and drift is None:
        return None
    lasting = min(LONGEST_LIVE, float(seconds(selection.lasting or "10m")))
    silent = next(iter(served.tenant.silent_gateways), None)
    return LiveQuestion(place, served.tenant.name, least, drift, int(lasting + FRESH.total_seconds()) + WINDOW, silent)
