"""R6: one bad tenant among 20, of every kind; the limits and routes of the other 19 follow as fast as ever."""

import asyncio
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from istio_templates.facts import Manifest
from tests.faults.end_state import State, differences, end_state
from tests.faults.injection import Fault, Injector
from tests.faults.oracle import SHOWN
from tests.faults.run import SETTINGS, Run
from tests.faults.scenes import with_gateways
from tests.faults.simulation import SimulatedLoop, Stuck, simulate
from tests.faults.verdict import Verdict
from tests.support.documents import model, tenant

NAME, AT_LEAST, SAMPLE = "R6", 10, 1
TITLE = "One bad tenant among 20, of every kind: 19 others as if it were not there, within 1.2 times their time"
TENANTS, BAD = 20, "t00"
SLOWER = 1.2
NEW_RATE = 50


def names() -> list[str]:
    """Return the names of all tenants; the first is the bad one."""
    return [f"t{number:02d}" for number in range(TENANTS)]


def _document(**spec: Any) -> Callable[[Run], None]:
    return lambda run: run.cluster.apply(tenant(BAD, **spec))


def _model(**spec: Any) -> Callable[[Run], None]:
    return lambda run: run.cluster.apply(model("ranker", BAD, **spec))


def _odd_status(status: Manifest) -> Callable[[Run], None]:
    return lambda run: run.cluster.patch("Model", "ranker", BAD, {"status": status}, "status")


def _odd_object(kind: str, spec: Manifest) -> Callable[[Run], None]:
    return lambda run: run.cluster.patch(kind, "ranker", BAD, {"spec": spec})


def _failing(verb: str, what: str) -> Callable[[Run], None]:
    return lambda run: run.injector.of_namespace(BAD, Fault(verb, "*", 1, 1_000_000, what))


def _terminating(run: Run) -> None:
    run.cluster.patch("Namespace", BAD, "", {"metadata": {"finalizers": ["example.com/never"]}})
    run.cluster.delete("Namespace", BAD)


BADNESS: dict[str, Callable[[Run], None]] = {
    "rejected-host": _document(hosts=[{"name": "t01.models.example.com"}]),
    "missing-gateway": _document(gateway={"name": "nowhere"}),
    "rejected-route": _model(routes=[{"host": "t01.models.example.com", "path": "/v2/models/ranker", "port": 8080}]),
    "status-limit-text": _odd_status({"limit": "twenty"}),
    "status-moving-list": _odd_status({"moving": ["a"], "draining": "b"}),
    "status-versions-odd": _odd_status({"versions": "v1", "drift": 7, "warmup": [1]}),
    "status-limit-odd": _odd_status({"limit": {"total": "many", "observed": 5, "inputs": "none"}}),
    "status-draining-odd": _odd_status({"draining": [{"version": 3, "since": "never"}], "gateway": 5}),
    "route-odd": _odd_object("VirtualService", {"http": [{"route": [{"destination": {"host": ""}}]}]}),
    "namespace-terminating": _terminating,
    "writes-503": _failing("*", "503"),
    "writes-hang": _failing("*", "hang"),
    "writes-refused": _failing("*", "422"),
    "writes-forbidden": _failing("*", "403"),
    "writes-conflict": _failing("*", "409"),
    "writes-foreign": _failing("*", "foreign"),
    "writes-slow": _failing("*", "delay"),
}


def plans(scenes: Iterable[str] = ()) -> list[str]:
    """Return one plan for each kind of bad tenant."""
    return [f"{NAME}/{kind}" for kind in BADNESS]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    usual, expected, _ = _quiet()
    took, state, wrong = simulate(lambda loop: _played(loop, BADNESS[plan.rpartition("/")[2]]), 1, SimulatedLoop)
    wrong += differences(_of_others(expected), _of_others(state))[:SHOWN]
    if took > SLOWER * usual:
        wrong.append(f"the limits of the others took {took:.2f} s, where {usual:.2f} s are usual")
    return Verdict(tuple(wrong), {"times the usual time of the others": took / usual})


@cache
def _quiet() -> tuple[float, State, list[str]]:
    return simulate(lambda loop: _played(loop, lambda run: None), 1, SimulatedLoop)


async def _played(loop: SimulatedLoop, spoil: Callable[[Run], None]) -> tuple[float, State, list[str]]:
    """Return the seconds until the last limit of a good tenant was in its slot, the end state, and what went wrong."""
    run, took, stuck = Run(loop, Injector(()), SETTINGS), 0.0, list[str]()
    tasks = [asyncio.ensure_future(run.cluster.run_pods()), asyncio.ensure_future(run.keep_running())]
    try:
        await with_gateways(run)
        await run.apply(*(tenant(name) for name in names()), *(model("ranker", name) for name in names()))
        for name in names():
            await run.programmed("ranker", name)
        await run.settled(5)
        spoil(run)
        await asyncio.sleep(3)
        began = loop.time()
        run.cluster.apply(*(model("ranker", name, rateLimit={"perReplicaQps": NEW_RATE}) for name in names()[1:]))
        run.cluster.apply(model("ranker", BAD, rateLimit={"perReplicaQps": NEW_RATE})) if _is_there(run) else None
        for name in names()[1:]:
            await run.until(lambda n=name: _limit(run, n) == 2 * NEW_RATE, f"the limit of {name}", 60)
        took = loop.time() - began
        await asyncio.sleep(40)
    except Stuck as error:
        stuck.append(str(error))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return took or loop.time(), end_state(run.cluster, run.branch.files), [*stuck, *run.crashes]


def _is_there(run: Run) -> bool:
    found = run.cluster.get("Namespace", BAD)
    return found is not None and "deletionTimestamp" not in found["metadata"]


def _limit(run: Run, name: str) -> Any:
    limit = ((run.cluster.get("Model", "ranker", name) or {}).get("status") or {}).get("limit")
    return limit.get("total") if isinstance(limit, dict) else None


def _of_others(state: State) -> State:
    """Return the part of a state that concerns the good tenants."""
    others = names()[1:]
    return {
        name: obj
        for name, obj in state.items()
        if any(f" {other}/" in name or name.endswith(f"/{other}") for other in others)
    }
