"""Replicas of a simulation that an autoscaler asks for: each serves after its start and its warm-up."""

from ratelimiter.autoscale.fleet_autoscaler import FleetAutoscaler, FleetView
from ratelimiter.autoscale.horizontal_pod_autoscaler import SYNC_PERIOD
from ratelimiter.autoscale.request_rows import RequestRows

PERIOD = int(SYNC_PERIOD)
"""Seconds between two looks of an autoscaler."""


class ReplicaFleet:
    """The replicas, each by the moment from which on it is warm, the newest last, and the requests to them. Moments are
    whole numbers, of which a second has so many; a replica that is asked for is warm after `warm_up` seconds."""

    def __init__(self, autoscaler: FleetAutoscaler, count: int, warm_up: int, began: int = 0, second: int = 1) -> None:
        self._autoscaler, self._warm_up, self._second = autoscaler, warm_up, second
        self._warm_from = [began] * count
        self.rows = RequestRows(began, second)

    @property
    def asked(self) -> int:
        """How many there are to be."""
        return len(self._warm_from)

    def warm(self, at: int) -> int:
        """Return how many serve."""
        return sum(moment <= at for moment in self._warm_from)

    def look(self, at: int, sees_rows: bool = True) -> int | None:
        """Let the autoscaler decide; return when new replicas are warm, None where none comes."""
        before, row = self.asked, self.rows.latest(at) if sees_rows else None
        count = self._autoscaler.replicas(FleetView(at / self._second, before, self.warm(at), row))
        ready = at + self._warm_up * self._second
        self._warm_from = [*self._warm_from, *[ready] * (count - before)][:count]
        return ready if count > before else None
