"""R8: a metrics system that is lost or tells nonsense: every limit stays as it is."""

import asyncio
import json
import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from istio_templates.envoy_filter import limits_of
from tests.faults.injection import Injector
from tests.faults.run import SETTINGS, Run
from tests.faults.scenes import with_gateways
from tests.faults.simulation import BEGIN, SimulatedLoop, Stuck, simulate
from tests.faults.verdict import Verdict
from tests.support.documents import model, tenant

NAME, AT_LEAST = "R8", 25
TITLE = "Metrics that are lost or nonsense, 20 series for each plan: no limit changes"
MODELS, READINGS, EVERY = 20, 12, 5.0
PER_REPLICA, REPLICAS = 20, 4
VALUES = ("NaN", "-1", "+Inf", "-Inf", "1e300", "2.5", "", "many", None, "0x10", "99999999", "1e400", [], {})
BODIES = (b"", b"{", b"[]", b"null", b'{"status":"error"}', b'{"status":"success","data":{}}', b"<html>", b"\xff\xfe")


def plans(scenes: Iterable[str] = ()) -> list[str]:
    """Return one plan for each seed."""
    return [f"{NAME}/seed:{seed}" for seed in range(AT_LEAST)]


def sample(chance: random.Random) -> list[str]:
    """Return one plan."""
    return [f"{NAME}/seed:{chance.randrange(1_000_000)}"]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    with _metrics() as metrics:
        chance = random.Random(int(plan.rpartition(":")[2]))
        return simulate(lambda loop: _played(loop, metrics, chance), 1, SimulatedLoop)


class _Metrics:
    """What the metrics system answers next."""

    status, body, url = 200, b"", ""


@contextmanager
def _metrics() -> Iterator[_Metrics]:
    found = _Metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _series(loop: SimulatedLoop, name: str, value: Any, age: float = 0.0) -> dict[str, Any]:
    at = BEGIN.timestamp() + loop.time() - age
    return {"metric": {"namespace": "search", "deployment": f"{name}-v1"}, "values": [[at, value]]}


def _body(series: list[dict[str, Any]]) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()


def _nonsense(loop: SimulatedLoop, names: list[str], chance: random.Random) -> tuple[int, bytes]:
    """Return an answer of which no count can be believed."""
    what = chance.random()
    if what < 0.15:
        return chance.choice((500, 503, 429, 302, 404)), b"no"
    if what < 0.3:
        return 200, chance.choice(BODIES)
    found = []
    for name in names:
        kind = chance.random()
        if kind < 0.2:
            continue
        if kind < 0.4:
            found.append(_series(loop, name, "1", chance.choice((-3600.0, 100.0, 1e9))))
        elif kind < 0.5:
            found.append({**_series(loop, name, "1"), "metric": chance.choice(({}, {"namespace": "search"}))})
        elif kind < 0.6:
            found.append({**_series(loop, name, "1"), "values": []})
        else:
            found.append(_series(loop, name, chance.choice(VALUES)))
    return 200, _body(found)


async def _played(loop: SimulatedLoop, metrics: _Metrics, chance: random.Random) -> Verdict:
    settings = replace(SETTINGS, replica_source="prometheus", prometheus_url=metrics.url, sample_every=EVERY)
    run, wrong = Run(loop, Injector(()), settings), list[str]()
    names = [f"m{number:02d}" for number in range(MODELS)]
    metrics.body = _body([_series(loop, name, str(REPLICAS), -10) for name in names])
    tasks = [asyncio.ensure_future(run.cluster.run_pods()), asyncio.ensure_future(run.keep_running())]
    try:
        await with_gateways(run)
        await run.apply(tenant(), *(model(name) for name in names))
        for _ in range(4):
            metrics.body = _body([_series(loop, name, str(REPLICAS)) for name in names])
            await asyncio.sleep(EVERY)
        before = _rates(run)
        if set(before) != {float(PER_REPLICA * REPLICAS)} or len(before) != MODELS:
            wrong.append(f"the limits were {before} before anything went wrong")
        for _ in range(READINGS):
            metrics.status, metrics.body = _nonsense(loop, names, chance)
            await asyncio.sleep(EVERY)
            if (now := _rates(run)) != before:
                wrong.append(f"after {metrics.status} {metrics.body[:300]!r} the limits were {now}")
                before = now
    except Stuck as error:
        wrong.append(str(error))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Verdict((*wrong, *run.crashes), {"series of a plan": MODELS})


def _rates(run: Run) -> list[float]:
    """Return the rate of every limit in the slots."""
    return sorted(float(bucket.rate) for slot in run.cluster.every("EnvoyFilter") for _, bucket in limits_of(slot))
