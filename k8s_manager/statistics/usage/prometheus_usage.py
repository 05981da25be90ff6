"""Usage from Prometheus: CPU and memory by cAdvisor, GPUs by the DCGM exporter."""

import asyncio

from istio_templates.errors import TidegateError
from k8s_manager.statistics.usage.metric_series import (
    InstantSample,
    bytes_of,
    cores_of,
    cpu_query,
    gpu_query,
    gpus_of,
    memory_query,
)
from k8s_manager.statistics.usage.pod_usage import PodUse
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from k8s_manager.statistics.usage.usage_source import UsageReading


class PrometheusUsage:
    """Asks a Prometheus three questions at once; each may fail by itself."""

    unmeasured = "Prometheus needs two scrapes of a pod; where it lasts, let it scrape the kubelets' /metrics/cadvisor"
    unseen_gpus = "let Prometheus scrape the DCGM exporter, with the labels of pods"

    def __init__(self, server: PrometheusServer) -> None:
        self._server = server

    async def read(self, namespace: str) -> UsageReading:
        """Return what the pods of a namespace use."""
        gaps: list[tuple[str, str]] = []
        queries = {"CPU": cpu_query, "memory": memory_query, "GPU": gpu_query}
        found = await asyncio.gather(*(self._ask(what, query(namespace), gaps) for what, query in queries.items()))
        cores, memory = cores_of(found[0] or ()), bytes_of(found[1] or ())
        gpus = gpus_of(namespace, found[2] or ())
        names = cores.keys() | memory.keys() | gpus.keys()
        pods = {name: PodUse(cores.get(name), memory.get(name), gpus.get(name)) for name in names}
        is_answered = [answer is not None for answer in found]
        has_figures = is_answered[0] and is_answered[1]
        return UsageReading(pods, tuple(_merged(gaps)), has_figures, is_answered[2], is_away=not any(is_answered))

    async def _ask(self, what: str, query: str, gaps: list[tuple[str, str]]) -> list[InstantSample] | None:
        try:
            return await self._server.instant(query)
        except TidegateError as error:
            gaps.append((what, str(error)))
            return None


def _merged(gaps: list[tuple[str, str]]) -> list[str]:
    """Return a sentence for each reason, with what is not known for it."""
    by_reason: dict[str, list[str]] = {}
    for what, reason in gaps:
        by_reason.setdefault(reason, []).append(what)
    return [f"{' and '.join(whats)} unknown: {reason}" for reason, whats in by_reason.items()]
