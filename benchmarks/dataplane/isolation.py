"""Do changes elsewhere move a tenant's admitted rate? Slots, and beside them the bucket on the route as a peer."""

import asyncio
import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.support import peer
from benchmarks.support.report import Figure, at_most, plain, within
from k8s_manager.standalone.translator.config import Config
from k8s_manager.standalone.translator.snapshot import LISTENER, ROUTE, Snapshot, snapshot
from ratelimiter.slots import slot_of
from tests.support.envoy import EnvoyUnderTest, running_envoy
from tests.support.standalone import GATEWAY, HOST, PATH, Running, offer, ranker, standalone

RATE = 40.0
FIRST = "first"
OTHERS = "others.models.example.com"
QUICK = {"down": {"quiet": "1ms", "longest": "1ms"}, "up": {"quiet": "1ms", "longest": "1ms"}}


def _name_in_slot(slot: int, same: bool) -> str:
    """Return the name of a model that is in a slot, or in another one. All of them count somebody else's pods."""
    names = (f"other-{number}" for number in itertools.count())
    return next(name for name in names if (slot_of("search", name, restless=True) == slot) == same)


async def run(quick: bool) -> list[Figure]:
    """Measure the first tenant's admitted rate at rest and under changes, through two gateway pods."""
    seconds = 4 if quick else 20
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        async with standalone(Path(folder)) as run:
            addresses = await _prepare(run)
            slot = slot_of("search", FIRST, restless=True)
            elsewhere, beside = _name_in_slot(slot, False), _name_in_slot(slot, True)
            for name in (elsewhere, beside):
                await run.put(f"/v1/tenants/search/models/{name}", _sharing(name))
            await asyncio.sleep(2)
            rest = await _admitted(addresses, seconds)
            figures.append(within("admitted at rest (two gateway pods)", rest, RATE, 2, "/s"))
            before = await _counters(run, addresses)
            changed, _ = await asyncio.gather(_admitted(addresses, seconds), _stir(run, elsewhere, seconds))
            told = await _counters(run, addresses) - before
            figures += _moved(
                "another route 5 times a second, another slot's limit as fast as it may", changed, rest, 1
            )
            figures.append(_arrived("RDS updates that arrived, both Envoys", told["rds"], seconds * 5))
            figures.append(_arrived("ECDS updates that arrived, both Envoys", told["ecds"], seconds))
            same, _ = await asyncio.gather(_admitted(addresses, seconds), _stir_limit(run, beside, seconds))
            bound = max(0.1, 2 / (RATE / 2)) * 100
            figures += _moved("a limit in the same slot as fast as it may", same, rest, bound)
    figures += await _peer(seconds)
    return figures


def _moved(what: str, rate: float, rest: float, bound: float) -> list[Figure]:
    return [at_most(f"admitted more than at rest, {what}", (rate / rest - 1) * 100, bound, " %")]


def _arrived(what: str, updates: int, least: int) -> Figure:
    """Return how many updates came: the translator sends changes that come close together as one, so that a busy
    machine has fewer."""
    return Figure(what, str(updates), f"at least {least}", updates >= least)


async def _prepare(run: Running) -> list[str]:
    await run.put("/v1/gateways/shared", GATEWAY)
    hosts = [{"name": HOST}, {"name": OTHERS}]
    await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": hosts}})
    await run.put("/v1/tenants/search/models/ranker", ranker())
    await run.put(f"/v1/tenants/search/models/{FIRST}", _sharing(FIRST))
    addresses = await run.gateways()
    await run.limit(RATE, f"search/{FIRST}")
    return addresses


def _sharing(name: str, rate: float = 20, timeout: str = "10s") -> dict[str, Any]:
    """Return a model of its own limit and route over the first one's pods."""
    route = {"host": OTHERS, "path": PATH if name == FIRST else f"/{name}", "port": 8080, "timeout": timeout}
    versions = [{"name": "v1", "existing": {"labels": {"app": "ranker"}}}]
    return ranker(routes=[route], versions=versions, rateLimit={"perReplicaQps": rate, "debounce": QUICK})


async def _admitted(addresses: list[str], seconds: int) -> float:
    load = await offer(addresses, 3 * RATE, seconds, OTHERS, PATH)
    assert not load.errors, load.errors[:3]
    return (load.answers[200] - 2 * len(addresses)) / seconds


async def _stir(run: Running, name: str, seconds: int) -> None:
    """Change a route five times a second, and the limit with each change."""
    for number in range(seconds * 5):
        body = _sharing(name, 20 + number % 7, f"{10 + number % 2}s")
        started = asyncio.get_running_loop().time()
        await run.put(f"/v1/tenants/search/models/{name}", body)
        await asyncio.sleep(max(0.0, started + 0.2 - asyncio.get_running_loop().time()))


async def _stir_limit(run: Running, name: str, seconds: int) -> None:
    for number in range(seconds):
        await run.put(f"/v1/tenants/search/models/{name}", _sharing(name, 20 + number % 7))
        await asyncio.sleep(1)


async def _counters(run: Running, addresses: list[str]) -> Counter[str]:
    out: Counter[str] = Counter()
    for address in addresses:
        out["rds"] += sum((await run.stats(address, r"rds.http.8080.config_reload$")).values())
        out["ecds"] += sum((await run.stats(address, "extension_config_discovery.*config_reload$")).values())
    return out


async def _peer(seconds: int) -> list[Figure]:
    """Return how far the usual way strays, a bucket on the route: one Envoy, the same changes five times a second."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_envoy(Path(folder)) as envoy:
            await envoy.load(per_route(envoy, 0))
            address = [f"{envoy.address}:8080"]
            rest = await _admitted_by_peer(address, seconds)

            async def stir() -> None:
                for number in range(seconds * 5):
                    envoy.snapshot = per_route(envoy, number + 1)
                    envoy.ads.changed()
                    await asyncio.sleep(0.2)

            changed, _ = await asyncio.gather(_admitted_by_peer(address, seconds), stir())
    more = (changed / rest - 1) * 100
    return [
        plain(
            "peer: a bucket on the route (burst 1 s), another route changing 5 times a second",
            f"{more:+.0f} % admitted",
        )
    ]


async def _admitted_by_peer(address: list[str], seconds: int) -> float:
    load = await offer(address, 12 * RATE / 2, seconds, path="/limited")
    return load.answers[200] / seconds


def per_route(envoy: EnvoyUnderTest, number: int, each: int = int(RATE / 2)) -> Snapshot:
    """Return a configuration with a limit of `each` per second on the route, as examples have it, and a second route
    that changes."""
    gateway = {
        "metadata": {"name": "g", "namespace": "inference-gw"},
        "spec": {
            "selector": {"istio": "inference-gw"},
            "servers": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*/*"]}],
        },
    }
    made = snapshot(Config(gateways=[gateway]), envoy.pod({"istio": "inference-gw"}, "inference-gw"))
    (listener,) = made[LISTENER].values()
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    filters.insert(0, peer.listener_filter())
    routes = [
        {
            "match": {"prefix": "/limited"},
            "direct_response": {"status": 200},
            "typed_per_filter_config": peer.on_route(each),
        },
        {"match": {"prefix": f"/other-{number % 2}"}, "direct_response": {"status": 204}},
    ]
    table = {"name": "http.8080", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    return {**made, ROUTE: {"http.8080": table}}
