"""The rules that a document's `autoscale` says."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.autoscale_signal import Signal, share
from istio_templates.documents.fields import seconds
from ratelimiter.autoscale.decision import ScaleRules
from ratelimiter.autoscale.schedule import least_at
from ratelimiter.autoscale.signals import SignalTarget

NO_CAPACITY = (
    "what one replica serves is not known; state perReplicaQps for the version or in the model's rateLimit, or use the "
    "signal concurrency in place of demand"
)


def rules_of(document: VersionAutoscale, per_replica: Fraction | float | None) -> ScaleRules:
    """Return the rules for replicas that serve `per_replica` requests/s each (None: not known)."""
    return ScaleRules(
        document.min,
        document.max,
        tuple(_target_of(signal, per_replica) for signal in document.signals),
        window=float(seconds(document.scale_down.window)),
        step_down=share(document.scale_down.step),
        step_up=share(document.scale_up.step),
        forecasts=document.scale_up.forecast,
    )


def rules_at(document: VersionAutoscale, per_replica: Fraction | float | None, now: datetime) -> ScaleRules:
    """Return the rules at a moment, with what schedules ask for then."""
    return replace(rules_of(document, per_replica), least=least_at(document, now))


def targetless(document: VersionAutoscale, per_replica: Fraction | float | None) -> dict[str, str]:
    """Return, by name, why signals have no target, and what to do."""
    needing = [signal.name for signal in document.signals if signal.kind == "demand"]
    return dict.fromkeys(needing, NO_CAPACITY) if per_replica is None else {}


def _target_of(signal: Signal, per_replica: Fraction | float | None) -> SignalTarget:
    target = signal.figure
    if signal.kind == "demand":
        target *= float(per_replica or 0)
    return SignalTarget(signal.name, signal.kind, target, signal.weight or 0.0, signal.is_guard)
