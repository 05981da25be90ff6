"""Sources of statuses beside the store: the loops that observe limits, gateway pods and replicas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from istio_templates.facts import LimitKey, Pairs
from k8s_manager.autoscaling.scale_view import ScaleViews
from k8s_manager.dataplane.config_probe import Trouble
from k8s_manager.limits.limit_view import LimitFacts, LimitView
from k8s_manager.limits.prometheus_replicas import SourceDoubt
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.registry.registry_status import RegistryView
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.warmup_gate.progress import PodProgress
from ratelimiter.fairness import Uneven


class LimitSource(Protocol):
    """The limit loop, as far as statuses need it."""

    def mark(self, identity: LimitKey) -> object:
        """Return a value that differs whenever `view` would show a limit differently."""

    def view(self, identity: LimitKey) -> Mapping[str, LimitView]:
        """Return a model's limit on each of its gateways."""

    def facts(self, identity: LimitKey) -> LimitFacts | None:
        """Return what the views of a model's limit say first; None without a limit."""

    def source_doubt(self, identity: LimitKey) -> SourceDoubt | None:
        """Return why the replica counts of Prometheus and the watch may differ; None where they agree."""

    rolled_back: SlotRollbacks
    """The slots whose limits no gateway pod accepted."""


class ConfigProbeSource(Protocol):
    """The config probe loop, as far as statuses need it."""

    started: bool
    """Whether gateway pods have been probed at all since this manager started."""

    rejects: Mapping[str, int] | None
    """How often istiod saw each type of configuration rejected; None where that is not known."""

    def trouble(self, gateway: str) -> Trouble | None:
        """Return (pod, state, slots) of gateway pods that do not run what was written; None before the first probe."""


class CounterSource(Protocol):
    """The counter loop, as far as statuses need it."""

    def uneven(self, gateway: str) -> Uneven | None:
        """Return how uneven the load is over a gateway's pods; None where it is even or not known."""

    def unread(self, gateway: str) -> tuple[str, ...] | None:
        """Return the gateway pods whose counters could not be read; None before the load could be compared."""


class GateSource(Protocol):
    """The gate loop, as far as statuses need it."""

    def view(self, namespace: str, versions: Mapping[str, Pairs]) -> list[PodProgress]:
        """Return the warm-up state of each gated pod of a model."""


class RegistrySources(Protocol):
    """The registry loop, as far as statuses need it."""

    def view(self, place: ModelPlace, name: str) -> RegistryView:
        """Return how it is with the registered model of a Model."""


@dataclass(frozen=True, slots=True)
class StatusSources:
    """All sources of statuses beside the store."""

    limits: LimitSource
    proofs: ConfigProbeSource
    counters: CounterSource
    gates: GateSource
    scales: ScaleViews
    figures: LiveFigures
    registries: RegistrySources
