"""What the Job of a check says, from its conditions and its pod. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.kube.shapes import mapping_of, mappings_of
from k8s_manager.release.decision.observation import ExternalReading
from k8s_manager.release.external.webhook_message import plain

JOB_NAME = "batch.kubernetes.io/job-name"


def job_reading(job: Manifest, pods: Iterable[Manifest], at: float) -> ExternalReading:
    """Return whether a Job has completed, has failed, or still runs; `pods` are those of its namespace."""
    name = job["metadata"]["name"]
    ended = {str(one.get("type")): one for one in mappings_of(mapping_of(job.get("status")).get("conditions"))
             if one.get("status") == "True"}  # fmt: skip
    own = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(JOB_NAME) == name]
    if "Complete" in ended:
        return ExternalReading(at, "passed", sentence=f"passed: {name} completed")
    if (failed := ended.get("Failed")) is not None:
        return ExternalReading(at, "failed", sentence=f"failed: {_failure(name, failed, own)}")
    waits = next((f"; {reason}" for pod in own for reason in _waits(pod)), "")
    return ExternalReading(at, "pending", sentence=f"{name} has not ended yet{waits}")


def _failure(name: str, condition: dict[str, Any], pods: Iterable[Manifest]) -> str:
    if condition.get("reason") == "DeadlineExceeded":
        return f"{name} did not end within its timeout"
    said = next((text for pod in pods for text in _ends(pod)), plain(str(condition.get("message") or "")))
    return f"{name} failed, {said}" if said else f"{name} failed"


def _ends(pod: Manifest) -> Iterator[str]:
    """Yield how the containers of a pod have ended, with the last that they wrote."""
    for state in _states(pod):
        if ended := mapping_of(state.get("terminated")):
            lines = str(ended.get("message") or "").strip().splitlines()
            last = plain(lines[-1]) if lines else ""
            yield f"exit code {ended.get('exitCode')}" + (f": {last}" if last else "")


def _waits(pod: Manifest) -> Iterator[str]:
    """Yield what the containers of a pod wait for."""
    for state in _states(pod):
        if waiting := mapping_of(state.get("waiting")):
            said = plain(str(waiting.get("message") or ""))
            yield f"its pod waits: {waiting.get('reason')}" + (f", {said}" if said else "")


def _states(pod: Manifest) -> list[dict[str, Any]]:
    found = mappings_of(mapping_of(pod.get("status")).get("containerStatuses"))
    return [mapping_of(one.get("state")) for one in found]
