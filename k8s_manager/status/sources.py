"""What conditions are told from: the loops that know more than the store, as far as they are asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from istio_templates.facts import Pairs
from k8s_manager.dataplane.config_probe import Trouble
from k8s_manager.limits.limit_view import LimitView
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.warmup_gate.progress import PodProgress
from ratelimiter.fairness import Uneven


class LimitSource(Protocol):
    """What is asked of the limit loop."""

    def mark(self, identity: str) -> object:
        """Return something that differs whenever `view` tells something else of a limit that is in force."""

    def view(self, identity: str) -> Mapping[str, LimitView]:
        """Return a model's limit on each of its gateways."""

    def disagreement(self, identity: str) -> str | None:
        """Return how Prometheus and the watch disagree over a model's replicas."""

    rolled_back: SlotRollbacks
    """The slots whose limits no gateway pod took."""


class ConfigProbeSource(Protocol):
    """What is asked of the proof loop."""

    started: bool
    """Whether gateway pods have been asked at all since this manager began."""

    rejects: Mapping[str, int] | None
    """How often istiod saw each type of configuration rejected; None where it was not asked or did not answer."""

    def trouble(self, gateway: str) -> Trouble | None:
        """Return (pod, state, slots) of gateway pods that do not run what was written; None where none was asked."""


class CounterSource(Protocol):
    """What is asked of the counter loop."""

    def uneven(self, gateway: str) -> Uneven | None:
        """Return how uneven the load is over a gateway's pods; None where it is even or not known."""


class GateSource(Protocol):
    """What is asked of the gate loop."""

    def view(self, namespace: str, versions: Mapping[str, Pairs]) -> list[PodProgress]:
        """Return how far the gated pods of a model have come."""


@dataclass(frozen=True, slots=True)
class StatusSources:
    """The loops that know more than the store."""

    limits: LimitSource
    proofs: ConfigProbeSource
    counters: CounterSource
    gates: GateSource
