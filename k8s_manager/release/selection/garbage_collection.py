"""Which registered versions may be removed: old ones that nothing uses."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from k8s_manager.release.selection.version_facts import ModelVersionFact, rank_of_name


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How many of the youngest versions stay in any case, and from what age on others go."""

    keep: int = 10
    older_than: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if self.keep < 1 or self.older_than < timedelta(0):
            raise ValueError(f"keep {self.keep}, olderThan {self.older_than}: write at least 1, and 0 or more")


def versions_to_remove(
    rules: RetentionRules, versions: Sequence[ModelVersionFact], used: Collection[str], now: datetime
) -> tuple[str, ...]:
    """Return the names of the versions that may be removed, the oldest first.

    `used` are those that stay whatever their age: served, released, or those that a release would return to. Pinned
    versions (also those whose pin waits for approval, or has ended) and those with an alias stay too, and so do the
    last `keep`, of which used ones are part. A blocked version goes like any other, once it is old enough: until then
    its block keeps the same version from being registered and chosen again.
    """
    by_age = sorted(versions, key=lambda version: (version.created, rank_of_name(version.name)))
    return tuple(
        version.name
        for version in by_age[: -rules.keep]
        if version.name not in used
        and version.pinned is None
        and not version.aliases
        and now - version.created > rules.older_than
    )
