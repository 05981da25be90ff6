"""Who else has written to what is ours, and what became of it: told in a condition of the document that it follows
from, and in an event."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from istio_templates import names
from istio_templates.documents.tenant import Drift
from istio_templates.errors import Problem, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.field_policy import DriftResolution, concessions, named, settle, unnoted, writers
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, FieldConflict
from k8s_manager.kube.event import event
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.token_bucket import Rate, TokenBuckets
from k8s_manager.world.owner import Owner, owner_of

log = logging.getLogger(__name__)
EVENT_PAUSE = 60.0
OF_ONE = Rate(0.1, 3)
"""How often one object is set back, so that two who fight over it do not load the API server."""
OF_OWNER = Rate(2, 30)
"""How often any object of a tenant, or of a gateway, is: nobody's noise is in the way of another's repairs."""
OF_ALL = Rate(20, 100)
"""How often any is, routes and all else apart: a script that changes thousands is answered in the time that it takes,
and no workload is in the way of a route."""
_ROUTES = ("Gateway", "VirtualService")
_REASONS: dict[Drift, str] = {"repair": "Repaired", "report": "Reported", "adopt": "Adopted"}


@dataclass(frozen=True, slots=True)
class Repair:
    """An object that others had changed: whose it is, who had, and what became of it: all was set back but for the
    fields that were `left`. `fought`: it is changed so often that it has to wait for being set back."""

    owner: Owner
    uid: str
    writers: tuple[str, ...]
    left: tuple[str, ...] = ()
    set_back: bool = True
    policy: Drift = "repair"
    fought: bool = False

    @property
    def reason(self) -> str:
        """What happened, in a word."""
        return _REASONS["repair" if self.set_back else self.policy]

    def sentence(self, key: ObjectKey) -> str:
        """Return what happened, for people."""
        did = [f"{', '.join(self.left)} left so"] if self.left else []
        did += ["set back"] if self.set_back else []
        said = f"{key} was changed by {', '.join(self.writers) or 'somebody'} and {' and '.join(did)}"
        often = f"; it is changed so often that it is set back every {1 / OF_ONE.rate:g} s at most"
        return said + often if self.fought else said


class Repairs:
    """How often objects may be set back."""

    def __init__(self, clock: Clock) -> None:
        self._one, self._owner, self._all = (
            TokenBuckets(clock, OF_ONE),
            TokenBuckets(clock, OF_OWNER),
            TokenBuckets(clock, OF_ALL),
        )

    def take(self, key: ObjectKey, owner: Owner) -> float:
        """Return 0 where an object may be set back now, else in how many seconds it may."""
        asked = (
            (self._one, str(key)),
            (self._owner, "/".join(owner[:2])),
            (self._all, "routes" if key.kind in _ROUTES else "rest"),
        )
        return max(bucket.wait(name) for bucket, name in asked) or max(bucket.take(name) for bucket, name in asked)

    def is_fought(self, key: ObjectKey) -> bool:
        """Tell whether an object would have to wait if it were changed once more."""
        return self._one.wait(str(key)) > 0


async def repaired(client: KubeClient, obj: Manifest) -> Repair | None:
    """Take away what others have added to an Istio object that is about to be written, and return who has written to
    it; None where it is gone."""
    live = await live_of(client, names.key_of(obj))
    if live is None:
        return None
    if surplus := settle("repair", obj, live, drifted=True).surplus:
        await client.merge(names.key_of(obj), surplus)
    return Repair(owner_of(live["metadata"].get("labels", {})), live["metadata"]["uid"], writers(live))


def repair_as(
    settled: DriftResolution, live: Manifest, owner: Owner, policy: Drift, first: bool, fought: bool
) -> Repair | None:
    """Return what is told of a live object that becomes `settled`; None where others have changed nothing new. One that
    is taken over was not ours, so nothing in it is set back."""
    left = tuple(sorted(settled.conceded.keys() - concessions(live).keys()))
    back = () if first else settled.set_back
    if not left and not back:
        return None
    by = {who for path in (*left, *back) for who in writers(live, path)}
    return Repair(owner, live["metadata"]["uid"], tuple(sorted(by)), left, bool(back), policy, fought)


def resolve_drift(live: Manifest, wanted: Manifest, policy: Drift, first: bool, drifted: bool) -> DriftResolution:
    """Return what becomes of an object, its writers named; raises `FieldConflict` where it would be taken over, and has
    what cannot stay."""
    is_taken_over = first and policy == "adopt"
    settled = settle(policy, wanted, unnoted(live) if first else live, drifted or is_taken_over)
    if is_taken_over and settled.added:
        key, by = names.key_of(wanted), sorted({who for path in settled.added for who in writers(live, path)})
        conflict = FieldConflict(f"adopt {key}", [Problem(path, "cannot stay; take it away") for path in settled.added])
        conflict.managers = tuple(by) or ("somebody",)
        raise conflict
    return named(settled, live)


async def live_of(client: KubeClient, key: ObjectKey) -> Manifest | None:
    """Return an object as it is now, with who holds its fields; None where it is gone."""
    try:
        return await client.get(key)
    except Absent:
        return None


class Recorder:
    """Writes an event for everything that others have changed, beside the object, but not again and again where two
    writers fight."""

    def __init__(self, client: KubeClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._written: dict[ObjectKey, float] = {}

    async def record(self, repairs: Mapping[ObjectKey, Repair]) -> None:
        """Write the events that are due; one that cannot be written is not missed."""
        now = self._clock.now()
        self._written = {key: at for key, at in self._written.items() if now - at < EVENT_PAUSE}
        due = {key: repair for key, repair in repairs.items() if key not in self._written}
        self._written |= dict.fromkeys(due, now)
        time = self._clock.utc()
        events = {key: event(key, r.uid, "Warning", r.reason, r.sentence(key), time) for key, r in due.items()}
        await asyncio.gather(*(self._write(key, told) for key, told in events.items()))

    async def _write(self, key: ObjectKey, told: Manifest) -> None:
        try:
            await self._client.create(told)
        except TidegateError as error:
            log.warning("no event was written for %s: %s", key, error)
