"""Versions that ask for signals, at a moment that does not pass, and what came of reading them."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from istio_templates.documents.autoscale import VersionAutoscale
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import SystemClock

UTC_NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
NOW = 5000.0
"""The manager's clock at `UTC_NOW`."""


class SetClock(SystemClock):
    """A clock that shows one moment."""

    def now(self) -> float:
        return NOW

    def utc(self) -> datetime:
        return UTC_NOW


CLOCK = SetClock()


def target(*signals: dict[str, Any], model: str = "ranker", version: str = "v1", **more: Any) -> ScaleTarget:
    """Return a version of a model of the tenant `search` that asks for signals."""
    document = VersionAutoscale.model_validate({"max": 10, "signals": [*signals]})
    given: dict[str, Any] = {
        "per_replica": Fraction(20),
        "share": Fraction(1),
        "labels": (("model", model), ("version", version)),
        "replicas": 2,
        "warm": 2,
        "releasing": False,
        "existing": 2,
        "template": {},
    }
    namespace = more.pop("namespace", "search")
    key = VersionKey(namespace, model, version)
    return ScaleTarget(
        key=key, tenant="search", document=document, deployment=f"{model}-{version}", **{**given, **more}
    )


def values(found: SignalReadings, version: ScaleTarget) -> dict[str, float]:
    return {name: reading.value for name, reading in found.values.get(version.key, {}).items()}


def why(found: SignalReadings, version: ScaleTarget, name: str) -> str:
    """Return why a signal is missing; it is not among the values then."""
    assert name not in values(found, version)
    return found.missing[version.key][name]
