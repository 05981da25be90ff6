"""The replicas of a simulation under the autoscaler that its scenario names."""

from istio_templates.documents.fields import seconds
from ratelimiter.autoscale.document_rules import rules_of
from ratelimiter.autoscale.fleet_autoscaler import FleetAutoscaler, PlainHpa, TidegateAutoscaler
from ratelimiter.autoscale.horizontal_pod_autoscaler import HpaRules
from ratelimiter.autoscale.replica_fleet import ReplicaFleet
from ratelimiter.simulation.scenario import AutoscaledReplicas
from ratelimiter.simulation.trace import NANOS


def fleet_of(settings: AutoscaledReplicas, per_replica: float, count: int, began: int) -> ReplicaFleet:
    """Return `count` replicas of `per_replica` requests/s each that are warm at a moment; moments in nanoseconds."""
    warm_up = int(seconds(settings.start) + seconds(settings.warm_up))
    return ReplicaFleet(_autoscaler(settings, per_replica, warm_up), count, warm_up, began, NANOS)


def _autoscaler(settings: AutoscaledReplicas, per_replica: float, warm_up: int) -> FleetAutoscaler:
    rules = rules_of(settings.autoscale, per_replica)
    if settings.autoscaler == "tidegate":
        return TidegateAutoscaler(rules, warm_up, float(seconds(settings.service_time or "0s")))
    (demand,) = settings.autoscale.signals
    return PlainHpa(HpaRules(rules.least, rules.most, rules.window), per_replica, demand.figure)
