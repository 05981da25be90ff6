"""The rules that a document's `autoscale` says."""

from istio_templates.documents.autoscale import VersionAutoscale, share
from istio_templates.documents.fields import seconds
from ratelimiter.autoscale.decision import ScaleRules
from ratelimiter.autoscale.signals import GUARDS, SignalTarget


def rules_of(document: VersionAutoscale, per_replica: float) -> ScaleRules:
    """Return the rules for replicas that serve `per_replica` requests/s each."""
    signals = [
        SignalTarget(one.name, one.name, share(one.target) * per_replica, guard=one.name in GUARDS)
        for one in document.signals
    ]
    return ScaleRules(
        document.min,
        document.max,
        tuple(signals),
        window=float(seconds(document.scale_down.window)),
        step_down=share(document.scale_down.step),
        step_up=share(document.scale_up.step),
        forecasts=document.scale_up.forecast,
    )
