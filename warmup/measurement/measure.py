"""Measuring one replica: its plan's own requests at rising rates, on time no matter how the earlier ones ended."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from istio_templates.documents.fields import seconds
from warmup.engine import EngineClock, fault_in, plain, prepared
from warmup.measurement import load_ramp
from warmup.measurement.load_ramp import Step
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import Compiled
from warmup.plans.success import nearest_rank
from warmup.wire import Request, ServerConnection


@dataclass(slots=True)
class _Sent:
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class Rates:
    """The first rate and the highest (requests/s), how long each is held (s), and the latency that may not be
    exceeded (s)."""

    first: float
    most: float
    hold: float
    target: float


async def measure(
    bundle: Bundle, client: ServerConnection, clock: EngineClock, rates: Rates, tell: Callable[[Sequence[Step]], None]
) -> tuple[Step, ...]:
    """Return the curve of a replica; `tell` is called with every step. To stop it, cancel it.

    Raises `Invalid` where the plan cannot be sent to this server.
    """
    plan = await prepared(bundle, client, clock)
    steps: list[Step] = []
    while (rate := load_ramp.next_rate(steps, rates.first, rates.most)) is not None:
        steps.append(await _step(bundle, plan, client, clock, rate, rates))
        tell(steps)
        await asyncio.sleep(min(1.0, rates.hold / 5))  # what queued up is answered before the next rate
    return tuple(steps)


async def _step(
    bundle: Bundle, plan: Compiled, client: ServerConnection, clock: EngineClock, rate: float, rates: Rates
) -> Step:
    sent, under_way, began = _Sent(), set[asyncio.Task[None]](), clock.now()
    requests = cycle([request for call in plan.calls for request in call.requests])
    patience = float(seconds(bundle.spec.load.per_request_timeout))
    for number in range(max(1, round(rate * rates.hold))):
        await asyncio.sleep(max(0.0, began + number / rate - clock.now()))
        task = asyncio.create_task(_one(plan, bundle, client, clock, next(requests), patience, sent))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    offered_for = max(clock.now() - began, 1 / rate)
    await asyncio.gather(*under_way)
    # The last answer comes a latency after its request, which says nothing of how many are answered a second.
    took = max(clock.now() - began - min(sent.latencies, default=0.0), offered_for)
    quantile = bundle.spec.success.latency.quantile
    latency = nearest_rank(sent.latencies, quantile) if sent.latencies else None
    return load_ramp.rated(rate, len(sent.latencies) / took, latency, sent.failed, rates.target, sent.said)


async def _one(
    plan: Compiled,
    bundle: Bundle,
    client: ServerConnection,
    clock: EngineClock,
    request: Request,
    patience: float,
    sent: _Sent,
) -> None:
    began = clock.now()
    answer = await client.send(request, patience)
    took = clock.now() - began
    if fault := fault_in(answer, bundle, plan):
        sent.failed += 1
        sent.said = plain(fault.said)
    else:
        sent.latencies.append(took)
