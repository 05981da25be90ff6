"""`metrics.k8s.io/v1beta1`: what pods use, as `kubectl top` and autoscalers read it, from files that the node writes.

Nothing of it is stored: as with metrics-server it can be read and listed, and neither watched nor written.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from k8s_manager.standalone.apiserver.errors import ApiError, not_found
from k8s_manager.standalone.apiserver.registry import METRICS

Object = dict[str, Any]
FILE = "usage.json"
OLD = 60.0
"""Seconds after which what a node wrote is no longer what a pod uses."""


def listed(pods: list[Object], selected: Callable[[Object], bool], folder: Path | None) -> Object:
    """Return the metrics of those of `pods` that are selected and have been measured."""
    found = (_metrics(pod, folder) for pod in pods if selected(pod))
    items = [metrics for metrics in found if metrics is not None]
    return {"kind": "PodMetricsList", "apiVersion": METRICS, "metadata": {}, "items": items}


def of_pod(pod: Object | None, name: str, folder: Path | None) -> Object:
    """Return the metrics of a pod; raises 404 where it is not there, or has not been measured yet."""
    found = _metrics(pod, folder) if pod is not None else None
    if found is None:
        raise not_found("pods.metrics.k8s.io", name)
    return found


def require_readable(method: str, is_watch: bool, subresource: str) -> None:
    """Raise 404 for what metrics do not have, 405 for what is not done with them."""
    if subresource:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    if method != "GET" or is_watch:
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def _metrics(pod: Object, folder: Path | None) -> Object | None:
    if folder is None:
        return None
    metadata = pod["metadata"]
    file = folder / f"{metadata['namespace']}_{metadata['name']}" / FILE
    with contextlib.suppress(OSError, ValueError):
        if time.time() - file.stat().st_mtime < OLD:
            written = orjson.loads(file.read_bytes())
            about = {name: metadata[name] for name in ("name", "namespace", "labels") if name in metadata}
            head = {"kind": "PodMetrics", "apiVersion": METRICS}
            return {**head, "metadata": {**about, "creationTimestamp": written["timestamp"]}, **written}
    return None
