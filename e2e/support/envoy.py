"""What a gateway pod's Envoy says of itself, asked through Istio's agent in the pod."""

import json
from typing import Any

from e2e.support.site import kubectl


def stats(namespace: str, pod: str, pattern: str) -> dict[str, int]:
    """Return the counters of a pod whose names match."""
    text = kubectl("-n", namespace, "exec", pod, "--", "pilot-agent", "request", "GET", f"stats?filter={pattern}")
    found = (line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {name: int(value) for name, value in found if value.isdigit()}


def config_dump(namespace: str, pod: str) -> dict[str, Any]:
    """Return a pod's whole configuration, endpoints included."""
    path = "config_dump?include_eds"
    text = kubectl("-n", namespace, "exec", pod, "--", "pilot-agent", "request", "GET", path)
    return dict(json.loads(text[text.index("{\n") :]))  # the agent warns first, on the same stream


def endpoints(namespace: str, pod: str, service: str, port: int) -> set[str]:
    """Return the healthy endpoints of a Service (NAME.NAMESPACE) that a pod's Envoy knows."""
    text = kubectl("-n", namespace, "exec", pod, "--", "pilot-agent", "request", "GET", "clusters")
    cluster = f"outbound|{port}||{service}.svc.cluster.local"
    lines = (line.split("::") for line in text.splitlines())
    return {words[1] for words in lines if words[0] == cluster and words[2:] == ["health_flags", "healthy"]}


LISTENERS = "^listener_manager\\.listener_(modified|removed|added|in_place_updated)$"
DRAINED = "(downstream_cx_drain_close|listener_manager.total_listeners_draining)"
"""What moves when a listener is changed or its connections are closed."""
