"""Probes of the model's container: the server's own readiness, and what a warm-up's mode adds to it.

A tenant's own probes are kept; a warm-up only makes them later, never earlier. Beside an agent, whose startup probe
stands before everything, a tenant's own readiness goes on to count once the server is warm.
"""

from typing import Any

from istio_templates.facts import Manifest, WarmupFacts
from istio_templates.workloads import agent

PERIOD = 2
_PROBES = ("startupProbe", "readinessProbe")


def probes(warmup: WarmupFacts | None, port: int, wanted: Manifest) -> dict[str, Any]:
    """Return the probes of a container that its tenant wrote as `wanted` and that listens on `port`."""
    own = {name: wanted[name] for name in _PROBES if wanted.get(name)}
    native = {**_native(warmup, port), "periodSeconds": PERIOD}
    if warmup is None:
        return {"readinessProbe": native, **own}
    if warmup.mode == "agent":
        return {**agent.probes(warmup), **{name: own[name] for name in own if name == "readinessProbe"}}
    if warmup.mode == "fixedDelay":
        startup = {**native, "failureThreshold": max(1, -(-warmup.load // PERIOD))}
        ready = own.get("readinessProbe", native)
        delayed = _later(ready, warmup.load + warmup.warm)
        return {"startupProbe": own.get("startupProbe", startup), "readinessProbe": delayed}
    return {**own, "readinessProbe": _later(own.get("readinessProbe", native), warmup.delay)}


def _later(probe: Manifest, seconds: int) -> Manifest:
    """Return a probe that does not begin before so many seconds after its container's start."""
    return {**probe, "initialDelaySeconds": max(seconds, int(probe.get("initialDelaySeconds", 0)))}


def _native(warmup: WarmupFacts | None, port: int) -> Manifest:
    port = warmup.ready_port or port if warmup else port
    if warmup and warmup.ready_path:
        return {"httpGet": {"path": warmup.ready_path, "port": port}}
    return {"tcpSocket": {"port": port}}
