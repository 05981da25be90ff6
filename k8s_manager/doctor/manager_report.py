"""What the manager itself finds of its cluster, by its own account, for callers of the REST API.

Documents, routes and gateway pods come from the store that the watches keep; only the rest is asked for, once in a
while and one look at a time, however many callers there are. What the account may not read is said as that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from istio_templates.errors import NotFound, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.prior_conflicts import Conflict, conflicts
from k8s_manager.autoscaling.api_service import ApiServiceState
from k8s_manager.doctor import cluster_reader
from k8s_manager.doctor.checks import CheckArea, ClusterFacts, Finding, GatewayFacts, Unseen, findings
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Forbidden
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.world.installation import SYSTEM

T = TypeVar("T")
FRESH = 30.0
"""Seconds for which a look is the answer to every call."""
PATIENCE = 10.0
"""Seconds that an area may take."""
AS_ADMIN = "run tidegate doctor with the kubeconfig of a cluster administrator"
AGAIN = "look again in a minute"
STANDALONE = Unseen("a standalone has none of it", "nothing; install Tidegate into a cluster to have it checked")
SILENT = Unseen("the API server does not answer", AGAIN)
_OF_CLUSTERS = (CheckArea.ISTIO, CheckArea.VALIDATION, CheckArea.RIGHTS, CheckArea.AUTOSCALING)
_ASKED = (CheckArea.KINDS, *_OF_CLUSTERS, CheckArea.MANAGERS)
"""Areas for which the API server is asked; the others come from the store."""
_NO_ISTIOD: tuple[tuple[str, str, int], ...] = ()
_NO_MANAGERS: tuple[tuple[int, int] | None, str] = (None, "")
_NO_CONFLICTS: tuple[Conflict, ...] = ()
_CLAIMED = (("Tenant", "Model"), ("Gateway", "VirtualService"))


@dataclass(frozen=True, slots=True)
class ManagerLook:
    """The findings of one look: when it was, until when it is the answer, and by which manager."""

    at: datetime
    until: datetime
    manager: str
    findings: Sequence[Finding]


class ManagerReports:
    """Looks at the cluster for callers; `lease` is that of the managers, None where this is the only one."""

    def __init__(self, client: KubeClient, store: Store, clock: Clock, lease: ObjectKey | None, identity: str) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._lease, self._identity = lease, identity
        self._turn = asyncio.Lock()
        self._last: ManagerLook | None = None
        self._due = 0.0

    async def latest(self) -> ManagerLook:
        """Return the last look where that is fresh, else a new one; callers that come meanwhile wait for it."""
        async with self._turn:
            if self._last is None or self._clock.now() >= self._due:
                found = findings(await self._facts())
                at = self._clock.utc()
                self._last = ManagerLook(at, at + timedelta(seconds=FRESH), self._identity, found)
                self._due = self._clock.now() + FRESH
            return self._last

    async def _facts(self) -> ClusterFacts:
        version, gaps = await self._version(), Gaps()
        gateways = tuple(self._gateway(obj) for obj in self._store.all("InferenceGateway") if _is_whole(obj))
        traces = (CheckArea.TRACING,) if any(gateway.tracing for gateway in gateways) else ()
        if not version:
            gaps.note((*_ASKED, *traces), SILENT)
        elif version.endswith(cluster_reader.EMBEDDED):
            gaps.note((*_OF_CLUSTERS, *traces), STANDALONE)
        client = self._client
        kinds, istiod, webhook, denied, managers, claims = await asyncio.gather(
            gaps.unless(CheckArea.KINDS, lambda: cluster_reader.served_kinds(client), frozenset[str]()),
            gaps.unless(CheckArea.ISTIO, lambda: cluster_reader.istiods(client), _NO_ISTIOD),
            gaps.unless(CheckArea.VALIDATION, lambda: cluster_reader.webhook_problem(client), None),
            gaps.unless(CheckArea.RIGHTS, lambda: cluster_reader.denied_rights(client, asks_for_itself=True), None),
            gaps.unless(CheckArea.MANAGERS, self._managers, _NO_MANAGERS),
            gaps.unless(CheckArea.CLAIMS, self._conflicts, _NO_CONFLICTS),
        )
        metrics = await gaps.unless(
            CheckArea.AUTOSCALING, lambda: cluster_reader.external_metrics(client), ApiServiceState()
        )
        providers = None
        if traces:
            homes = [namespace for namespace, _, _ in istiod]
            providers = await gaps.unless(CheckArea.TRACING, lambda: cluster_reader.mesh_providers(client, homes), None)
        ready, leader = managers
        return ClusterFacts(
            version, kinds, denied, istiod, webhook, ready, leader, gateways, claims, providers, metrics,
            cluster_reader.writers_in(self._store.all("Model")), gaps.unseen,
        )  # fmt: skip

    async def _version(self) -> str:
        """Return the version of Kubernetes; empty where it does not answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await cluster_reader.version_of(self._client)
        except (TidegateError, TimeoutError):
            return ""

    async def _managers(self) -> tuple[tuple[int, int] | None, str]:
        """Return how many managers are ready of how many, and who leads; raises `NotFound` where the managers are
        installed in another way than by the shipped manifests."""
        if self._lease is None:
            return (1, 1), self._identity
        ready = await cluster_reader.ready_managers(self._client)
        if ready is None:
            raise NotFound(f"this manager does not run as Deployment {SYSTEM}/tidegate")
        return ready, await cluster_reader.leader(self._client, self._lease, self._clock.utc())

    async def _conflicts(self) -> tuple[Conflict, ...]:
        documents, routes = ([obj for kind in kinds for obj in self._store.all(kind)] for kinds in _CLAIMED)
        return await asyncio.to_thread(lambda: tuple(conflicts(documents, routes)))

    def _gateway(self, obj: Manifest) -> GatewayFacts:
        namespace, wanted = obj["spec"]["namespace"], obj["spec"]["selector"].items()
        if self._store.get(ObjectKey("Namespace", "", namespace)) is None:
            return cluster_reader.gateway_facts(obj, None)
        pods = self._store.inside("Pod", namespace)
        return cluster_reader.gateway_facts(
            obj, [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]
        )


def _is_whole(gateway: Manifest) -> bool:
    """Tell whether a gateway has what its pods are found by: the store leaves out what is odd, and its condition says
    so."""
    return {"namespace", "selector"} <= (gateway.get("spec") or {}).keys()


class Gaps:
    """Areas that a look leaves out, each with the reason."""

    def __init__(self) -> None:
        self.unseen: dict[CheckArea, Unseen] = {}

    def note(self, areas: Iterable[CheckArea], unseen: Unseen) -> None:
        """Leave areas out."""
        self.unseen |= dict.fromkeys(areas, unseen)

    async def unless(self, area: CheckArea, read: Callable[[], Awaitable[T]], default: T) -> T:
        """Return what is read for an area, unless that is left out; else the default. An area that cannot be read is
        left out from then on."""
        if area in self.unseen:
            return default
        try:
            async with asyncio.timeout(PATIENCE):
                return await read()
        except Forbidden as error:
            self.note([area], Unseen(f"the manager has no right: {error}", AS_ADMIN))
        except (TidegateError, TimeoutError) as error:
            self.note([area], Unseen(str(error) or f"no answer within {PATIENCE:.0f} s", AGAIN))
        return default
