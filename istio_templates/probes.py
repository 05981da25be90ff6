"""Probes of the model's container: the server's own readiness, and what a warm-up's mode adds to it.

A tenant's own probes are kept; a warm-up only makes them later, never earlier.
"""

from typing import Any

from istio_templates import agent
from istio_templates.facts import Manifest, WarmupFacts

PERIOD = 2
_PROBES = ("startupProbe", "readinessProbe")


def probes(warmup: WarmupFacts | None, port: int, wanted: Manifest) -> dict[str, Any]:
    """Return the probes of a container that its tenant wrote as `wanted` and that listens on `port`."""
    if warmup is None or warmup.mode == "none":
        given: dict[str, Any] = {name: wanted[name] for name in _PROBES if name in wanted}
        return {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": PERIOD}, **given}
    if warmup.mode == "agent":
        return agent.probes(warmup)
    native = _native(warmup, port)
    if warmup.mode == "fixedDelay":
        startup = {**native, "periodSeconds": PERIOD, "failureThreshold": -(-warmup.load // PERIOD)}
        ready = {**native, "periodSeconds": PERIOD, **wanted.get("readinessProbe", {})}
        return {
            "startupProbe": wanted.get("startupProbe", startup),
            "readinessProbe": _later(ready, warmup.load + warmup.warm),
        }
    started: dict[str, Any] = {"startupProbe": wanted["startupProbe"]} if "startupProbe" in wanted else {}
    ready = wanted.get("readinessProbe", {**native, "periodSeconds": PERIOD})
    return {**started, "readinessProbe": _later(ready, warmup.delay)}


def _later(probe: Manifest, seconds: int) -> Manifest:
    """Return a probe that does not begin before so many seconds after its container's start."""
    return {**probe, "initialDelaySeconds": max(seconds, int(probe.get("initialDelaySeconds", 0)))}


def _native(warmup: WarmupFacts, port: int) -> Manifest:
    if warmup.ready_path:
        return {"httpGet": {"path": warmup.ready_path, "port": warmup.ready_port or port}}
    return {"tcpSocket": {"port": warmup.ready_port or port}}
