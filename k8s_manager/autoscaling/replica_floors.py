"""The least replicas of versions that a release needs now: scaled up before requests come, and kept until they end."""

from collections.abc import Collection, Mapping

from k8s_manager.autoscaling.scale_target import VersionKey


class ReplicaFloors:
    """What the release loop asks of the autoscale loop."""

    def __init__(self) -> None:
        self._least: dict[VersionKey, int] = {}

    def ask(self, least: Mapping[VersionKey, int], undecided: Collection[tuple[str, str]] = ()) -> None:
        """Take over the floors of all versions; those of models (namespace and name) of which nothing was decided
        stay."""
        kept = {key: count for key, count in self._least.items() if (key.namespace, key.model) in undecided}
        self._least = {**kept, **least}

    def of(self, version: VersionKey) -> int | None:
        """Return the least replicas of a version; None where no release is about it."""
        return self._least.get(version)
