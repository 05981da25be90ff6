"""Usage from `metrics.k8s.io`, as metrics-server and others serve it behind the Kubernetes API."""

import asyncio

from istio_templates.errors import TidegateError
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Unavailable
from k8s_manager.statistics.usage.metrics_list import OddMetrics, uses_in
from k8s_manager.statistics.usage.usage_source import MOST_BYTES, PATIENCE, UsageReading

ROOT = "/apis/metrics.k8s.io/v1beta1"
_OTHERWISE = "or start the manager with --prometheus URL"
_ABSENT = f"CPU and memory are not known: the cluster has no metrics.k8s.io; install metrics-server, {_OTHERWISE}"


class MetricsApi:
    """Reads PodMetrics; GPUs are not among them."""

    unmeasured = "metrics-server measures a pod within a minute of its start; where it lasts, look at metrics-server"
    unseen_gpus = "the DCGM exporter shows it through Prometheus; start the manager with --prometheus URL"

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read(self, namespace: str) -> UsageReading:
        """Return what the pods of a namespace use."""
        try:
            async with asyncio.timeout(PATIENCE):
                path = f"{ROOT}/namespaces/{namespace}/pods"
                content = await self._client.bounded(path, "list pods of metrics.k8s.io", MOST_BYTES)
            return UsageReading(uses_in(content))
        except Absent:
            return UsageReading({}, (_ABSENT,), answers_figures=False)
        except TimeoutError:
            is_away, said = (
                True,
                f"metrics.k8s.io did not answer within {PATIENCE:g} s; look at metrics-server, {_OTHERWISE}",
            )
        except (Unavailable, OddMetrics) as error:
            is_away, said = isinstance(error, Unavailable), f"{error}; where it lasts, look at metrics-server"
        except TidegateError as error:
            is_away, said = False, str(error)
        return UsageReading({}, (f"CPU and memory are not known: {said}",), answers_figures=False, is_away=is_away)
