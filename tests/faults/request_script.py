"""What people change while requests go through: documents that stay right at every moment, and edits by hand."""

import copy
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from istio_templates.facts import ObjectKey
from istio_templates.names import key_of
from k8s_manager.kube.errors import Absent
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import Hands
from tests.support.standalone import GATEWAY, HOST, PATH, QUICK, Running, ranker
from tests.support.waiting import until

Object = dict[str, Any]
TIGHT, COMES, STRANGER = "/tight", "/comes", "nobody.example.com"
RATES = {"ranker": 150.0, "tight": 40.0, "comes": 30.0, "stranger": 30.0}
"""Requests a second."""
TIGHTEST = 12
"""The highest limit per replica of the model whose callers are refused."""
GATEWAY_PODS = GATEWAY["spec"]["managed"]["replicas"]
MOST_REPLICAS = 3
"""How many replicas a limit can have counted."""


class Script:
    """Draws change after change; `done` names them."""

    def __init__(self, hands: Hands, chance: random.Random) -> None:
        self._hands, self.chance = hands, chance
        self._hosts = [{"name": HOST}]
        self._ranker = _ranker()
        self._tight = _sharing("tight", TIGHT, 6)
        self.done: list[str] = []
        self._ways: list[Callable[[], Awaitable[str]]] = [
            self._limit,
            self._limit,
            self._weight,
            self._timeout,
            self._tight_limit,
            self._come_or_go,
            self._host,
            self._edit_by_hand,
        ]

    async def begin(self) -> None:
        """Write the documents that everything begins with."""
        await self._hands.apply(gateway(**GATEWAY["spec"]), tenant(hosts=self._hosts))
        await until(lambda: self._hands.get("Namespace", "search"), "the tenant's namespace")
        await self._hands.apply(self._ranker, self._tight)

    async def change(self) -> None:
        """Make one change; every twentieth is one of how many replicas there are."""
        way = self._scale if len(self.done) % 20 == 19 else self.chance.choice(self._ways)
        self.done.append(await way())

    async def enforced(self, run: Running) -> None:
        """Wait until the limits are what the documents of now allow, at every gateway pod."""
        replicas = [version["workload"]["replicas"] for version in self._ranker["spec"]["versions"]]
        shares = [split["weight"] / 100 for split in self._ranker["spec"]["traffic"]]
        carried = min(count / share for count, share in zip(replicas, shares, strict=True))
        figures = [document["spec"]["rateLimit"]["perReplicaQps"] for document in (self._ranker, self._tight)]
        await run.enforced(carried * figures[0], "search/ranker", GATEWAY_PODS)  # whole at each gateway pod
        await run.enforced(sum(replicas) * figures[1], "search/tight")

    async def _limit(self) -> str:
        rate = self.chance.randint(500, 900)
        self._ranker["spec"]["rateLimit"]["perReplicaQps"] = rate
        await self._hands.apply(self._ranker)
        return f"limit {rate}"

    async def _weight(self) -> str:
        first = self.chance.randint(5, 95)
        weights = (("v1", first), ("v2", 100 - first))
        self._ranker["spec"]["traffic"] = [{"version": version, "weight": weight} for version, weight in weights]
        await self._hands.apply(self._ranker)
        return f"weights {first}:{100 - first}"

    async def _timeout(self) -> str:
        seconds = self.chance.randint(10, 20)
        self._ranker["spec"]["routes"][0]["timeout"] = f"{seconds}s"
        await self._hands.apply(self._ranker)
        return f"timeout {seconds}s"

    async def _tight_limit(self) -> str:
        rate = self.chance.randint(2, TIGHTEST)
        self._tight["spec"]["rateLimit"]["perReplicaQps"] = rate
        await self._hands.apply(self._tight)
        return f"limit of tight {rate}"

    async def _come_or_go(self) -> str:
        comes = _sharing("comes", COMES, 500)
        if found := await self._hands.get("Model", "comes", "search"):
            with suppress(Absent):  # it was on its way out already
                await self._hands.client.delete(key_of(found))
            return "comes goes"
        await self._hands.apply(comes)
        return "comes comes"

    async def _host(self) -> str:
        self._hosts = [{"name": HOST}] if len(self._hosts) > 1 else [{"name": HOST}, {"name": "more.example.com"}]
        await self._hands.apply(tenant(hosts=self._hosts))
        return f"{len(self._hosts)} hosts"

    async def _edit_by_hand(self) -> str:
        """Give a route another timeout in the VirtualService: the manager sets it back."""
        try:
            found = await self._hands.client.get(ObjectKey("VirtualService", "search", "ranker"))
        except Absent:
            return "no VirtualService to edit"
        routes = copy.deepcopy(found["spec"]["http"])
        routes[0]["timeout"] = "99s"
        await self._hands.client.merge(ObjectKey("VirtualService", "search", "ranker"), {"spec": {"http": routes}})
        return "a VirtualService edited by hand"

    async def _scale(self) -> str:
        first = self._ranker["spec"]["versions"][0]["workload"]
        first["replicas"] = 3 - first["replicas"]
        await self._hands.apply(self._ranker)
        return f"{first['replicas']} replicas of v1"


def _ranker() -> Object:
    (first,) = ranker(1)["spec"]["versions"]
    return model(
        routes=ranker()["spec"]["routes"],
        versions=[first, {**first, "name": "v2"}],
        traffic=[{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}],
        rateLimit={"perReplicaQps": 600, "debounce": QUICK},
    )


def _sharing(name: str, path: str, rate: float) -> Object:
    """Return a model with a route and a limit of its own over the pods of the first one."""
    return model(
        name,
        routes=[{"host": HOST, "path": path, "port": 8080, "rewrite": {"path": PATH}}],
        versions=[{"name": "v1", "existing": {"labels": {"app": "ranker"}}}],
        rateLimit={"perReplicaQps": rate, "debounce": QUICK},
    )
