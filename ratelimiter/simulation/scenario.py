"""The settings of a simulation: what a Model says of its limit, and what happens around it."""

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from istio_templates import names
from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.fields import Count, Duration, Spec, exact, seconds
from istio_templates.documents.parse import problems_of
from istio_templates.documents.rate_limit import RateLimit
from istio_templates.errors import Invalid
from ratelimiter.capacity import VersionLoad
from ratelimiter.target import Terms
from ratelimiter.terms import bounds_of, rules_of

MOST_GATEWAYS = 1000
MODEL, NAMESPACE, GATEWAY = "simulated", "simulation", "gateway"
IDENTITY = names.identity(NAMESPACE, MODEL)


_SIMULATED = frozenset({"concurrency", "demand"})
"""The signals that follow from requests alone, and from how long each takes."""


class Moment(Spec):
    """From `at` (since the trace's beginning) on there are `count`."""

    at: Duration = "0s"
    count: Count


def _timeline(value: Any) -> Any:
    return [{"count": value}] if isinstance(value, int) and not isinstance(value, bool) else value


Timeline = Annotated[tuple[Moment, ...], BeforeValidator(_timeline), Field(min_length=1, max_length=100_000)]


class AutoscaledReplicas(Spec):
    """Replicas that an autoscaler moves, from the first number of `replicas` on: the manager's, or `hpa`, Kubernetes'
    own on CPU, whose target is then the share of a full replica's CPU. A new replica serves `start` and `warmUp` after
    it is asked for. `serviceTime` is how long a request takes at a replica, for the signal `concurrency`: the same at
    any load, so that no latency can be simulated."""

    autoscale: VersionAutoscale
    autoscaler: Literal["tidegate", "hpa"] = "tidegate"
    start: Duration = "5s"
    warm_up: Duration = "30s"
    service_time: Duration | None = None

    @model_validator(mode="after")
    def _known(self) -> "AutoscaledReplicas":
        kinds = {signal.kind for signal in self.autoscale.signals}
        if not kinds <= _SIMULATED or self.autoscale.schedules:
            known = " and ".join(sorted(_SIMULATED))
            raise ValueError(f"autoscale: a simulation knows {known} alone; leave other signals and schedules out")
        if self.autoscaler == "hpa" and kinds != {"demand"}:
            raise ValueError("autoscale: the simulated hpa knows CPU alone, by the target of demand; leave others out")
        if "concurrency" in kinds and self.service_time is None:
            raise ValueError("serviceTime: concurrency needs it; write how long a request takes, such as 200ms")
        return self


class Scenario(Spec):
    """One model behind some gateway pods.

    With `scaling` an autoscaler moves the replicas. `connection_skew` is the share of requests that each gateway pod
    sees (absent: in turn); `slot_rewrites` are those that other models in the slot cause, each minute; `time_to_effect`
    lies between a write and the proxies' enforcing it (150 ms: the median of a real cluster, docs/benchmarks.md).
    """

    rate_limit: RateLimit
    replicas: Timeline
    gateways: Timeline
    connection_skew: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    slot_rewrites: Annotated[float, Field(ge=0, le=60)] = 0
    time_to_effect: Duration = "150ms"
    scaling: AutoscaledReplicas | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Scenario":
        for name, timeline in (("replicas", self.replicas), ("gateways", self.gateways)):
            times = [seconds(moment.at) for moment in timeline]
            if times[0] != 0 or sorted(set(times)) != times:
                raise ValueError(f"{name}: begin at 0s and let every further moment be later than the one before")
        if self.scaling and len(self.replicas) > 1:
            raise ValueError("replicas: give one number where an autoscaler moves them, the one that it begins with")
        if any(moment.count == 0 for moment in self.gateways):
            raise ValueError("gateways: without a gateway pod nothing is answered; give at least 1")
        if self.rate_limit.mode == "off":
            raise ValueError("rateLimit: mode off limits nothing; leave it out to see what the limit would do")
        if any(moment.count > MOST_GATEWAYS for moment in self.gateways):
            raise ValueError(f"gateways: at most {MOST_GATEWAYS} are simulated")
        if self.connection_skew and {len(self.connection_skew)} != {moment.count for moment in self.gateways}:
            raise ValueError("connectionSkew: give one share for each gateway pod, whose number must not change then")
        return self

    def effort(self, requests: int, length: Fraction) -> int:
        """Return how much work it is to try so many requests over `length` seconds, in requests."""
        pods = max(moment.count for moment in self.gateways)
        rewrites = int(length * exact(self.slot_rewrites) / 60) + len(self.replicas) + len(self.gateways)
        rewrites += int(length / 15) if self.scaling else 0
        return requests * max(1, len(self.connection_skew)) + rewrites * pods

    @property
    def terms(self) -> Terms:
        """What the controller has to know of the model."""
        limit = self.rate_limit
        return Terms(
            namespace=NAMESPACE,
            model=MODEL,
            tenant=NAMESPACE,
            identity=IDENTITY,
            pools=(GATEWAY,),
            bounds=bounds_of(limit),
            burst=seconds(limit.burst),
            rules=rules_of(limit),
            cold=limit.fallback.cold,
            stale=limit.fallback.stale,
        )

    def loads(self, replicas: int) -> tuple[VersionLoad, ...]:
        """Return what `replicas` contribute: one version with all the traffic."""
        return (VersionLoad(MODEL, replicas, exact(self.rate_limit.per_replica_qps), Fraction(1)),)


def read(raw: Any, name: str) -> Scenario:
    """Return the scenario in a mapping. Raises `Invalid` with every field that is wrong."""
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise Invalid(name, problems_of(error, Scenario)) from error
