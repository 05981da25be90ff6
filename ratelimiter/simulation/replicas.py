"""Replicas of a simulation that an autoscaler asks for: each serves after its start and its warm-up.

Either autoscaler sees what the one before it in a cluster would: rows of ten seconds that arrive late. Kubernetes' own
sees CPU, which requests that were refused do not use.
"""

from collections.abc import Mapping
from fractions import Fraction

from istio_templates.documents.fields import exact, seconds
from ratelimiter.autoscale import horizontal_pod_autoscaler as hpa
from ratelimiter.autoscale.decision import ScaleMemory, ScaleObservation, decide
from ratelimiter.autoscale.document_rules import rules_of
from ratelimiter.autoscale.signals import SignalReading
from ratelimiter.simulation.scenario import AutoscaledReplicas
from ratelimiter.simulation.trace import NANOS

LOOK = int(hpa.SYNC_PERIOD) * NANOS
"""Nanoseconds between two looks of an autoscaler."""
ROW, DELAY = 10 * NANOS, 5 * NANOS
"""Nanoseconds that a row is about, and after which it arrives."""


class RequestRows:
    """Requests that came, and those that were admitted, in rows of ten seconds."""

    def __init__(self, began: int) -> None:
        self._began = began
        self._rows: dict[int, tuple[int, int]] = {}

    def count(self, at: int, admitted: bool) -> None:
        """Count a request."""
        number = (at - self._began) // ROW
        came, passed = self._rows.get(number, (0, 0))
        self._rows[number] = came + 1, passed + admitted

    def latest(self, at: int) -> tuple[float, float, float] | None:
        """Return requests/s that came and were admitted in the last row that has arrived, and its end in seconds; None
        before the first."""
        number = (at - self._began - DELAY) // ROW - 1
        if number < 0:
            return None
        self._rows = {kept: row for kept, row in self._rows.items() if kept >= number}
        came, passed = self._rows.get(number, (0, 0))
        return came * NANOS / ROW, passed * NANOS / ROW, (self._began + (number + 1) * ROW) / NANOS


class ScaledReplicas:
    """The replicas there are, each by the moment (ns) from which on it is warm, the newest last."""

    def __init__(self, settings: AutoscaledReplicas, per_replica: float, count: int, began: int) -> None:
        self._settings, self._per_replica = settings, exact(per_replica)
        self._lasts = int(seconds(settings.start) + seconds(settings.warm_up))
        self._rules = rules_of(settings.autoscale, per_replica)
        self._memory, self._hpa_memory = ScaleMemory(), hpa.HpaMemory()
        self._warm_from = [began] * count
        self.rows = RequestRows(began)

    @property
    def asked(self) -> int:
        """How many there are to be."""
        return len(self._warm_from)

    def warm(self, at: int) -> int:
        """Return how many serve."""
        return sum(moment <= at for moment in self._warm_from)

    def look(self, at: int) -> int | None:
        """Let the autoscaler decide; return when new replicas are warm, None where none comes."""
        before = self.asked
        count = self._by_hpa(at) if self._settings.autoscaler == "hpa" else self._by_tidegate(at)
        ready = at + self._lasts * NANOS
        self._warm_from = [*self._warm_from, *[ready] * (count - before)][:count]
        return ready if count > before else None

    def _by_tidegate(self, at: int) -> int:
        row, readings = self.rows.latest(at), dict[str, SignalReading]()
        if row is not None:
            readings["demand"] = SignalReading(row[0], row[2])
        decision, self._memory = decide(self._rules, self._memory, self._seen(at, readings))
        return decision.replicas

    def _seen(self, at: int, readings: Mapping[str, SignalReading]) -> ScaleObservation:
        return ScaleObservation(at / NANOS, self.asked, self.warm(at), readings, warm_up=float(self._lasts))

    def _by_hpa(self, at: int) -> int:
        row, warm, ratio = self.rows.latest(at), max(1, self.warm(at)), None
        if row is not None:
            used = float(Fraction(row[1]) / (warm * self._per_replica))
            ratio = hpa.usage_ratio(used, self._settings.autoscale.signals[0].figure, warm)
        rules = hpa.HpaRules(self._rules.least, self._rules.most, self._rules.window)
        count, self._hpa_memory = hpa.desired(rules, self._hpa_memory, at / NANOS, self.asked, ratio)
        return count
