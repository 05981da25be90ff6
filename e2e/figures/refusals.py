"""How long are callers refused after a step from half to three times what two replicas bear, for each writer of
replicas?

Until the last of them is. Beside it the sum of what cannot be avoided: the autoscaler's own period, how long a replica
takes to start and to be warm (both measured in the same step), the debounce of the limit, and 15 s for the counts of
requests. And the peer: Kubernetes' HPA on CPU under the same load.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks.support.report import Figure, at_most, plain
from e2e.scenarios.test_autoscale import EACH, HIGH, LEAST, LOW, autoscaled, is_down
from e2e.scenarios.test_autoscale_peer import LEAST as PEER_LEAST
from e2e.scenarios.test_autoscale_peer import PEER, TARGET, scaled_by_cpu, shaped, utilization
from e2e.support.collectors import with_collectors
from e2e.support.external_metrics import with_external_metrics
from e2e.support.load import ROUTED, Load
from e2e.support.metrics_server import with_metrics_server
from e2e.support.replicas import replicas
from e2e.support.site import QUICK, Site, host_of, kubectl, path_of
from e2e.support.warming import COLD, PLAN
from istio_templates.documents.fields import seconds
from istio_templates.facts import Manifest
from k8s_manager.runtime.settings import Settings
from tests.support.waiting import until

TENANT = "refusals"
SYNC = {"tidegate": Settings().autoscale_every, "hpa": 15.0}
"""Seconds between two looks: the manager's, and those of Kubernetes' controller unless a flag of it says otherwise."""
COUNTS = 15.0
"""Seconds that the bound grants to what counts requests and reads the counts."""
CALM, REST, UNDER_LOAD = 20.0, 45.0, 60.0
"""Seconds: without refusals, which end a step; at the low rate before the next; and of the peer's load."""
NOISE = 0.02
"""The share of a second's requests that may be refused although replicas suffice: a sender on a busy machine sends some
at once that were to come one by one."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One step, in seconds: until the last refusal, and what its slowest new replica took to start and to be warm."""

    took: float
    start: float
    warm_up: float
    replicas: int

    def bound(self, writer: str) -> float:
        """Return within how many seconds the refusals are to end."""
        return SYNC[writer] + self.start + self.warm_up + float(seconds(QUICK["up"]["longest"])) + COUNTS


async def run(site: Site, steps: int) -> list[Figure]:
    """Measure so many steps with each writer, in turn, then the peer; it needs a cluster of its own."""
    if "E2E_OWN" not in os.environ:
        return [plain("refusals after a step", "not measured: collectors and metrics-server need a cluster of its own")]
    figures: list[Figure] = []
    with with_collectors(), with_external_metrics():
        gateways = await site.make_gateway("shared")
        for writer in SYNC:
            figures += shown(writer, await _steps(site, gateways, writer, steps))
    with with_metrics_server():
        return [*figures, await _peer(site, gateways)]


def shown(writer: str, found: Sequence[StepFigures]) -> list[Figure]:
    """Return what is said of the steps of a writer."""
    took, ratios = [one.took for one in found], [one.took / one.bound(writer) for one in found]
    worst = found[ratios.index(max(ratios))]
    debounce = float(seconds(QUICK["up"]["longest"]))
    parts = (
        f"{worst.bound(writer):.1f} s = sync {SYNC[writer]:g} + start {worst.start:.1f} + warm-up {worst.warm_up:.1f} "
        f"+ debounce {debounce:g} + {COUNTS:g}"
    )
    what = f"writer {writer}, {len(found)} steps from {LOW:g} to {HIGH:g}/s"
    return [
        plain(f"{what}: until the last refusal", f"median {median(took):.1f} s, most {max(took):.1f} s"),
        plain(f"{what}: the bound where it came nearest to it", parts),
        plain(f"{what}: replicas after each", ", ".join(str(one.replicas) for one in found)),
        at_most(f"{what}: most of its bound", max(ratios), 1, " times"),
    ]


async def _steps(site: Site, gateways: list[str], writer: str, steps: int) -> list[StepFigures]:
    tenant = f"{TENANT}-{writer}"
    await site.make_tenant(tenant)
    await site.make_model(tenant, versions=[_version(writer)], warmup={"plan": PLAN, "restartDelay": "3s"})
    await site.until_total(LEAST * EACH, tenant)
    found = [await _step(site, gateways, tenant) for _ in range(steps)]
    await site.rest.call("DELETE", f"/v1/tenants/{tenant}?cascade=true")
    return found


def _version(writer: str) -> Manifest:
    """Return a version with cold replicas: their warm-up is a part of the bound. All that are needed come at once: by
    default two become six, which bear just what is offered, and the others follow in the next period."""
    found = autoscaled(writer)
    found["workload"]["env"] += [{"name": name, "value": value} for name, value in COLD.items()]
    found["autoscale"]["scaleUp"] = {"step": "300%"}
    return found


async def _step(site: Site, gateways: list[str], tenant: str) -> StepFigures:
    """Go from the low rate, with the least replicas, to the high one, until nothing is refused any more."""
    low, high = (Load(host_of(tenant), path_of("ranker"), rate=rate / len(gateways)) for rate in (LOW, HIGH))
    async with low.on(*gateways):
        await until(lambda: is_down(site, tenant), "the least replicas")
        await low.measure(REST)
    stepped, began = datetime.now(UTC), time.monotonic()
    async with high.on(*gateways, once=frozenset()):
        await high.until_admitted(CALM)
        count, pods = await replicas(site, tenant), await site.all("Pod", tenant, "tidegate.dev/model=ranker")
    if high.outcome.strange:
        raise AssertionError(f"answers that are no refusals: {high.outcome.strange}")
    sent = [at for moments in high.outcome.sent.values() for at in moments]
    start, warm_up = slowest(pods, stepped)
    found = StepFigures(last_refusal(high.outcome.refused, sent, began), start, warm_up, count)
    print(f"  {tenant}: {found}", flush=True)
    return found


def last_refusal(refused: Iterable[float], sent: Iterable[float], began: float) -> float:
    """Return how many seconds after `began` the last request was sent that was refused for want of replicas: in a
    second in which more than `NOISE` of all were. 0 where none was."""
    moments = sorted(at - began for at in refused if at >= began)
    each, every = Counter(int(at) for at in moments), Counter(int(at - began) for at in sent if at >= began)
    return max((at for at in moments if each[int(at)] > NOISE * every[int(at)]), default=0.0)


def slowest(pods: Iterable[Manifest], since: datetime) -> tuple[float, float]:
    """Return the most seconds in which a pod made since then had its container started, and in which that was ready."""
    found = [times for pod in pods if (times := _times(pod)) and times[0] >= since - timedelta(seconds=1)]
    if not found:
        raise AssertionError(f"no replica was made and ready since {since}: nothing is measured")
    start = max((started - made).total_seconds() for made, started, _ in found)
    return start, max((ready - started).total_seconds() for _, started, ready in found)


def _times(pod: Manifest) -> tuple[datetime, datetime, datetime] | None:
    """Return when a pod was made, when its container was started and when it was ready, in whole seconds."""
    conditions: dict[str, Any] = {one["type"]: one for one in pod["status"].get("conditions", [])}
    running = [one["state"].get("running") for one in pod["status"].get("containerStatuses", [])]
    ready = conditions.get("Ready", {})
    if not running or not all(running) or ready.get("status") != "True":
        return None
    started = max(datetime.fromisoformat(one["startedAt"]) for one in running)
    made = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return made, started, datetime.fromisoformat(ready["lastTransitionTime"])


async def _peer(site: Site, gateways: list[str]) -> Figure:
    """Put the same step on a model that Kubernetes' HPA scales by CPU."""
    tenant = f"{TENANT}-{PEER}"
    await site.make_tenant(tenant)
    await site.make_model(tenant, PEER, versions=[shaped()])
    kubectl("apply", "-f", "-", stdin=json.dumps(scaled_by_cpu(tenant)))
    await site.until_total(PEER_LEAST * EACH, tenant, PEER)

    async def reads() -> bool:
        return await utilization(site, tenant) is not None

    await until(reads, "the HPA having its metric")
    load = Load(host_of(tenant), path_of(PEER), rate=HIGH / len(gateways))
    async with load.on(*gateways, once=ROUTED):
        await load.measure(UNDER_LOAD)
        before = Counter(load.outcome.counts)
        await load.measure(UNDER_LOAD)
    counts, used, count = (
        load.outcome.counts - before,
        await utilization(site, tenant),
        await replicas(site, tenant, PEER),
    )
    await site.rest.call("DELETE", f"/v1/tenants/{tenant}?cascade=true")
    share = counts["429"] / max(sum(counts.values()), 1)
    what = f"peer: HPA on CPU at {TARGET} %, refused from {UNDER_LOAD:g} to {2 * UNDER_LOAD:g} s after the step"
    return plain(what, f"{100 * share:.0f} %, with {count} replicas at {used} % of their CPU")
