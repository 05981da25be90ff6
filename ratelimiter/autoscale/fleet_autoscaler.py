"""The autoscalers that a simulation compares: the manager's decision, and Kubernetes' own on CPU or on demand."""

from dataclasses import dataclass
from typing import Protocol

from ratelimiter.autoscale import horizontal_pod_autoscaler as hpa
from ratelimiter.autoscale.decision import ScaleMemory, ScaleObservation, ScaleRules, decide
from ratelimiter.autoscale.request_rows import RequestRow
from ratelimiter.autoscale.signals import SignalReading


@dataclass(frozen=True, slots=True)
class FleetView:
    """What an autoscaler sees `at` a second: the replicas asked for and warm, and the last row of requests (None:
    there is none)."""

    at: float
    asked: int
    warm: int
    row: RequestRow | None


class FleetAutoscaler(Protocol):
    """Decides on a number of replicas, look after look."""

    def replicas(self, seen: FleetView) -> int:
        """Return the replicas to ask for."""
        ...


class TidegateAutoscaler:
    """The manager's own decision on demand and concurrency; a replica is warm so many seconds after it is asked for.

    A request takes `service_time` seconds. What is refused takes none: concurrency is that of the admitted requests.
    """

    def __init__(self, rules: ScaleRules, warm_up: float, service_time: float = 0.0) -> None:
        self._rules, self._warm_up, self._service_time = rules, warm_up, service_time
        self._memory = ScaleMemory()

    def replicas(self, seen: FleetView) -> int:
        """Return the replicas to ask for."""
        readings = self._readings(seen.row) if seen.row else {}
        observed = ScaleObservation(seen.at, seen.asked, seen.warm, readings, warm_up=self._warm_up)
        decision, self._memory = decide(self._rules, self._memory, observed)
        return decision.replicas

    def _readings(self, row: RequestRow) -> dict[str, SignalReading]:
        figures = {"demand": row.came, "concurrency": row.admitted * self._service_time}
        return {name: SignalReading(figure, row.end) for name, figure in figures.items()}


class PlainHpa:
    """Kubernetes' own autoscaler on CPU, which requests that are refused do not use, or (`by_demand`) on the demand as
    a `Value`. Each replica serves `per_replica` requests/s, and then uses `full_cpu` of what it asks for."""

    def __init__(
        self,
        rules: hpa.HpaRules,
        per_replica: float,
        target: float,
        full_cpu: float = 1.0,
        by_demand: bool = False,
    ) -> None:
        self._rules, self._per_replica, self._target = rules, per_replica, target
        self._full, self._by_demand = 1.0 if by_demand else full_cpu, by_demand
        self._memory = hpa.HpaMemory()

    def replicas(self, seen: FleetView) -> int:
        """Return the replicas to set."""
        ratio = None if seen.row is None else self._ratio(seen.row, max(1, seen.warm))
        count, self._memory = hpa.desired(self._rules, self._memory, seen.at, seen.asked, ratio)
        return count

    def _ratio(self, row: RequestRow, warm: int) -> tuple[float, int]:
        carried = (row.came if self._by_demand else row.admitted) / (warm * self._per_replica)
        return hpa.usage_ratio(carried * self._full, self._target, warm)
