"""The versions that a strategy may choose from, and what each strategy is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from k8s_manager.release.selection.selection_decision import NoChangeReason, NoChoice, VersionRejection
from k8s_manager.release.selection.selection_rules import Metric
from k8s_manager.release.selection.version_facts import Evaluation, ModelVersionFact, ServedVersion


@dataclass(frozen=True, slots=True)
class SelectionView:
    """The versions of a model, what serves it, and the moment that is looked at."""

    versions: tuple[ModelVersionFact, ...]
    served: ServedVersion
    now: datetime

    @property
    def current(self) -> ModelVersionFact | None:
        """The facts of the served version; None where nothing is served, or the version is not registered."""
        return self.fact(self.served.name)

    def fact(self, name: str | None) -> ModelVersionFact | None:
        """Return the facts of a version; None where it is not registered."""
        return next((version for version in self.versions if version.name == name), None)

    def eligible(
        self, flaw: Callable[[ModelVersionFact], str | None]
    ) -> tuple[list[ModelVersionFact], tuple[VersionRejection, ...]]:
        """Return the versions that may be chosen instead of the served one, and why the others may not; `flaw` says
        what is wrong with one that is not blocked."""
        others = [version for version in self.versions if version.name != self.served.name]
        flaws = {version.name: _blocked(version) or flaw(version) for version in others}
        rejected = tuple(VersionRejection(name, why) for name, why in sorted(flaws.items()) if why)
        return [version for version in others if flaws[version.name] is None], rejected

    def unregistered(self) -> NoChoice | None:
        """Return that the served version cannot be compared, where that is so."""
        if self.served.name is None or self.current is not None:
            return None
        return NoChoice(
            NoChangeReason.NOT_COMPARABLE,
            f"Version {self.served.name} is served and not registered, so that no other can be compared with it; "
            "register it, or pin a version.",
            needs_owner=True,
        )


def lack_of_evaluation(metric: Metric, found: Evaluation | None) -> str | None:
    """Return why an evaluation of a version does not count; None where it does."""
    if found is None:
        return f"has no finite value of {metric}"
    if found.samples < metric.min_samples:
        return f"has {metric} of {found.samples} samples only, and {metric.min_samples} are needed"
    return None


def no_candidate(rejected: Sequence[VersionRejection]) -> NoChoice:
    """Return that no version is eligible; the sentence names the first reason."""
    first = f", such as {rejected[0].name}: {rejected[0].why}" if rejected else ""
    return NoChoice(NoChangeReason.NO_CANDIDATE, f"No other version is eligible{first}.", tuple(rejected))


def _blocked(version: ModelVersionFact) -> str | None:
    return None if version.blocked is None else f"is blocked ({version.blocked or 'no reason given'})"
