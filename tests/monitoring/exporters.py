"""What kubelets, kube-state-metrics and NVIDIA's exporter would show of the pods of a standalone.

Metrics and labels as they are documented by cAdvisor, by kube-state-metrics and by dcgm-exporter.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any

from aiohttp import web

Kubernetes = Callable[[str], Awaitable[Any]]
MEMORY, GPU_MEBIBYTES, GPU_PERCENT = 100_000_000, 512, 40
"""Of each pod."""


class Exporters:
    """Shows the pods and namespaces that a Kubernetes API has."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._seconds = count(1)

    async def cadvisor(self, _: web.Request) -> web.Response:
        """Show CPU and memory of containers, and of the pods as a whole, which are to be left out."""
        used, lines = next(self._seconds), []
        for namespace, pod, _labels in await self._all("pods"):
            for container in ("", "model"):
                where = f'container="{container}",image="x",namespace="{namespace}",pod="{pod}"'
                lines.append(f"container_cpu_usage_seconds_total{{{where}}} {used}")
                lines.append(f"container_memory_working_set_bytes{{{where}}} {MEMORY}")
        return _page(lines)

    async def state_metrics(self, _: web.Request) -> web.Response:
        """Show labels of pods and namespaces."""
        pods = [
            f'kube_pod_labels{{namespace="{namespace}",pod="{pod}",uid="x"{_shown(labels)}}} 1'
            for namespace, pod, labels in await self._all("pods")
        ]
        namespaces = [
            f'kube_namespace_labels{{namespace="{name}"{_shown(labels)}}} 1'
            for _, name, labels in await self._all("namespaces")
        ]
        return _page([*pods, *namespaces])

    async def dcgm(self, _: web.Request) -> web.Response:
        """Show a GPU for each pod, and one that no pod has."""
        lines = []
        for number, (namespace, pod, _labels) in enumerate([("", "", {}), *await self._all("pods")]):
            where = f'gpu="{number}",UUID="GPU-{number}",container="model",namespace="{namespace}",pod="{pod}"'
            lines.append(f"DCGM_FI_DEV_GPU_UTIL{{{where}}} {GPU_PERCENT}")
            lines.append(f"DCGM_FI_DEV_FB_USED{{{where}}} {GPU_MEBIBYTES}")
        return _page(lines)

    async def _all(self, resource: str) -> list[tuple[str, str, dict[str, str]]]:
        found = [obj["metadata"] for obj in (await self._kubernetes(f"/api/v1/{resource}"))["items"]]
        return [(one.get("namespace", ""), one["name"], one.get("labels", {})) for one in found]


def _shown(labels: dict[str, str]) -> str:
    known = {name: value for name, value in labels.items() if name.startswith("tidegate.dev/")}
    return "".join(f',label_{re.sub(r"[^a-zA-Z0-9_]", "_", name)}="{value}"' for name, value in known.items())


def _page(lines: Iterable[str]) -> web.Response:
    return web.Response(text="\n".join(sorted(lines)) + "\n")
