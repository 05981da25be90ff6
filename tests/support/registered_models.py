"""A registry of models in memory: what it has, and how it fails."""

from dataclasses import dataclass, field
from typing import Any

from k8s_manager.release.registry.registry_answer import (
    RegisteredModelAbsent,
    RegisteredVersion,
    RegistryListing,
    RunMetric,
)

CREATED = 1_760_000_000_000
"""The 9th of October 2025, in milliseconds."""
DAY = 86_400_000


def registered(number: int, source: str = "", **more: Any) -> RegisteredVersion:
    """Return a version, made on its own day."""
    given: dict[str, Any] = {"created": CREATED + number * DAY, "run": f"run-{number}", **more}
    return RegisteredVersion(number, source or f"s3://models/ranker/{number}", **given)


@dataclass
class RegistryInMemory:
    """Registered models by name; `error` is raised instead of an answer, `calls` are what was asked."""

    versions: dict[str, list[RegisteredVersion]] = field(default_factory=dict)
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    runs: dict[str, tuple[RunMetric, ...]] = field(default_factory=dict)
    error: Exception | None = None
    calls: list[str] = field(default_factory=list)
    closed: bool = False

    async def listing(self, name: str) -> RegistryListing:
        """Return a registered model."""
        self.calls.append(name)
        if self.error is not None:
            raise self.error
        if name not in self.versions:
            raise RegisteredModelAbsent(f"no {name}")
        found = sorted(self.versions[name], key=lambda one: one.number)
        return RegistryListing(tuple(found), dict(self.aliases.get(name, {})))

    async def metrics(self, run: str) -> tuple[RunMetric, ...]:
        """Return the metrics of a run."""
        self.calls.append(run)
        if self.error is not None:
            raise self.error
        return self.runs.get(run, ())

    async def close(self) -> None:
        """Note that it ended."""
        self.closed = True
