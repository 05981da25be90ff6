"""What runs at a gateway, from the plan and the loops that ask its pods."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from istio_templates import names
from istio_templates.envoy_filter import revision, sent_of
from istio_templates.facts import GatewayPool, LimitKey, Manifest, ObjectKey, SlotFacts
from k8s_manager.dataplane.config_probe import ConfigProbeLoop, ProbedGateway
from k8s_manager.dataplane.envoy_counters import SPAN, CounterLoop
from k8s_manager.dataplane.gateway_report import ProbedPod, WrittenSlot, load_of, pod_line, slot_line
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.certificate import Place, ServedCertificate, served
from k8s_manager.world.world import World
from ratelimiter.controller import Limits


class PassView(Protocol):
    """The last pass of the main loop; before the first one there is no world."""

    @property
    def world(self) -> World | None:
        """The world that the plan was made from."""

    @property
    def plan(self) -> Plan:
        """What should exist."""


class GatewayReader:
    """Reads what loops know of gateways."""

    def __init__(
        self,
        view: PassView,
        reader: WorldReader,
        probe: ConfigProbeLoop,
        counters: CounterLoop,
        rollbacks: SlotRollbacks,
        clock: Clock,
    ) -> None:
        self._view, self._reader, self._clock = view, reader, clock
        self._probe, self._counters, self._rollbacks = probe, counters, rollbacks

    def dataplane(self, name: str) -> Manifest:
        """Return what runs at a gateway. One that was not accepted yet has nothing."""
        pool, at = self._view.plan.pools.get(name), self._moments()
        slots = self._slots(pool) if pool else {}
        pods = self._pods(pool) if pool else []
        return {
            "gateway": name,
            "probed": bool(pool and pool.probe and names.plain_listener(pool)),
            "slots": [slot_line(number, slot, at) for number, slot in sorted(slots.items())],
            "pods": [pod_line(pod, slots, at) for pod in pods],
            "load": load_of(self._counters.loads(name), self._counters.unread(name) or (), SPAN),
            "certificates": [_certificate_line(owner, one) for owner, one in self._certificates(name)],
        }

    def _moments(self) -> Callable[[float], str]:
        """Return what writes a second of the loops' clock as a moment."""
        now, utc = self._clock.now(), self._clock.utc()
        return lambda second: timestamp(utc - timedelta(seconds=now - second))

    def _slots(self, pool: GatewayPool) -> dict[int, WrittenSlot]:
        live, named = self._reader.slots.objects(), self._models()
        seen = self._probe.probed(pool.name) or ProbedGateway()
        rolled_back = {slot for gateway, slot in self._rollbacks if gateway == pool.name}
        out = {}
        for (gateway, number), limits in self._reader.slots.limits().items():
            if gateway == pool.name:
                sent = sent_of(live[gateway, number])
                out[number] = WrittenSlot(
                    models=tuple(sorted({_model(key, named) for key, _ in limits})),
                    limits=len(_limiting(limits)),
                    revision=revision(SlotFacts(pool, number, limits, sent)),
                    sent=sent,
                    rolled_back=number in rolled_back,
                    pending=seen.pending.get(number),
                    took=seen.took.get(number),
                )
        return out

    def _models(self) -> Mapping[LimitKey, str]:
        """Return the model of each limit, as NAMESPACE/NAME."""
        return {
            limited.terms.identity.whole: f"{limited.terms.namespace}/{limited.terms.model}"
            for limited in self._view.plan.limits.values()
        }

    def _pods(self, pool: GatewayPool) -> list[ProbedPod]:
        states, seen = self._probe.of(pool.name), self._probe.probed(pool.name) or ProbedGateway()
        pods = sorted(self._reader.pods.gateway_pods_of(pool), key=lambda pod: pod.name)
        return [
            ProbedPod(pod, states.get(pod.name), seen.shown.get(pod.name), seen.answered.get(pod.name)) for pod in pods
        ]

    def _certificates(self, name: str) -> list[tuple[str, ServedCertificate]]:
        """Return the certificates that a gateway serves, each with its tenant (empty: the gateway's own): what is wrong
        first, then the first to end."""
        plan, world = self._view.plan, self._view.world
        found = world.certificates if world else {}
        pool = plan.pools.get(name)
        owners = [("", plan.certificates.get(ObjectKey("InferenceGateway", "", name), {}))]
        owners += [
            (tenant, plan.certificates.get(ObjectKey("Tenant", "", tenant), {}))
            for tenant, facts in sorted(plan.tenants.items())
            if any(one.name == name for one in facts.gateways)
        ]
        uses: dict[tuple[str, Place], tuple[str, ...]] = {
            (owner, place): hosts
            for owner, of_owner in owners
            for place, hosts in of_owner.items()
            if pool and place[0] == pool.namespace
        }
        now = self._clock.utc()
        lines = [(owner, served(place, hosts, found, now)) for (owner, place), hosts in uses.items()]
        return sorted(lines, key=lambda line: (line[1].state == "Valid", _ends(line[1]), line[0], line[1].place))


def _limiting(limits: Limits) -> Limits:
    """Return the limits that limit something: not those that count requests."""
    return tuple(limit for limit in limits if limit[0].part != names.REQUESTS)


def _model(key: LimitKey, named: Mapping[LimitKey, str]) -> str:
    return named.get(key.whole) or "/".join(key.place)


def _ends(one: ServedCertificate) -> str:
    return timestamp(one.certificate.until) if one.certificate else ""


def _certificate_line(owner: str, one: ServedCertificate) -> Manifest:
    certificate = one.certificate
    since = certificate.since if certificate else None
    return {
        "secret": "/".join(one.place),
        "tenant": owner or None,
        "hosts": list(one.hosts),
        "state": one.state,
        "message": one.message,
        "notBefore": timestamp(since) if since else None,
        "notAfter": timestamp(certificate.until) if certificate else None,
        "certifies": list(certificate.hosts) if certificate else [],
    }
