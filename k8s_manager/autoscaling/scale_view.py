"""What people are shown of autoscaled versions: the last decision on each, and what stands against it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from k8s_manager.autoscaling.quotas.namespace_quota import BearableReplicas
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from ratelimiter.autoscale.decision import ScaleDecision
from ratelimiter.autoscale.saturation import Saturation

Place = tuple[str, str]  # namespace and name of a model
SHOWN_AGAIN = 60.0
"""Seconds after which a status shows the figures of a decision that is otherwise the same."""


@dataclass(frozen=True, slots=True)
class ScaleView:
    """The last decision on a version, when it was made, and in sentences, by signal, why one is missing. `failure` is
    why its number could not be written, `held_by` the Service of another owner that has the external metrics, where its
    HPA needs them, and `complaint` what its autoscaler says of why it does not scale. `bearable` are the most replicas
    that the quotas bear (None: not known), and `saturation` is what was measured where replicas did not bear their
    figure."""

    target: ScaleTarget
    decision: ScaleDecision
    at: datetime
    missing: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    held_by: str = ""
    complaint: str = ""
    bearable: BearableReplicas | None = None
    saturation: Saturation | None = None

    def why_missing(self, signal: str) -> str:
        """Return why a signal that says nothing is missing."""
        return self.missing.get(signal, "nothing fresh was read")

    @property
    def short_of_quota(self) -> BearableReplicas | None:
        """What the quotas bear, where that is less than `max`."""
        return self.bearable if self.bearable and self.bearable.replicas < self.target.document.max else None

    def says_the_same(self, other: "ScaleView") -> bool:
        """Tell whether another view differs in figures alone."""
        return self._states() == other._states()

    def _states(self) -> tuple[object, ...]:
        decision, target = self.decision, self.target
        numbers = (decision.replicas, target.replicas, target.warm, decision.holds)
        document = (target.foreign, target.lacking, target.document, target.per_replica)
        against = (self.failure, self.held_by, bool(self.complaint))
        return (*numbers, dict(self.missing), *against, *document, self.short_of_quota, self.saturation)


class ScaleViews:
    """The views of all autoscaled versions. Statuses show a view that follows it at a distance: figures move all the
    time, and each would be a write. They `are_known` once there was a look at what the main loop has planned."""

    def __init__(self) -> None:
        self.are_known = False
        self._in_status: dict[VersionKey, ScaleView] = {}
        self._models: dict[Place, tuple[ScaleView, ...]] = {}
        self._models_in_status: dict[Place, tuple[ScaleView, ...]] = {}

    def show(self, views: Mapping[VersionKey, ScaleView]) -> bool:
        """Take over all views; tell whether a status has to change."""
        before, self.are_known = self._in_status, True
        self._in_status = {key: _in_status(before.get(key), view) for key, view in views.items()}
        self._models, self._models_in_status = _by_model(views), _by_model(self._in_status)
        return self._in_status != before

    def of_model(self, namespace: str, model: str) -> tuple[ScaleView, ...]:
        """Return the views of a model's versions, as they are now."""
        return self._models.get((namespace, model), ())

    def in_status(self, namespace: str, model: str) -> tuple[ScaleView, ...]:
        """Return the views of a model's versions that its status shows."""
        return self._models_in_status.get((namespace, model), ())


def _in_status(before: ScaleView | None, now: ScaleView) -> ScaleView:
    is_old = before is None or (now.at - before.at).total_seconds() >= SHOWN_AGAIN
    return now if before is None or is_old or not before.says_the_same(now) else before


def _by_model(views: Mapping[VersionKey, ScaleView]) -> dict[Place, tuple[ScaleView, ...]]:
    found: dict[Place, tuple[ScaleView, ...]] = {}
    for key, view in sorted(views.items(), key=lambda one: one[0]):
        place = (key.namespace, key.model)
        found[place] = (*found.get(place, ()), view)
    return found
