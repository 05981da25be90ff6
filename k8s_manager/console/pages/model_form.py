"""The Model document that a form describes, and at which field of the form each problem of the document belongs. Pure.

The form has what most models need. Everything else is written in the document itself, from which a form is not made
again.
"""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from k8s_manager.console.form import number

FIELDS = {
    "name": "metadata.name",
    "host": "spec.routes[0].host",
    "path": "spec.routes[0].path",
    "protocol": "spec.routes[0].protocol",
    "port": "spec.routes[0].port",
    "timeout": "spec.routes[0].timeout",
    "version": "spec.versions[0].name",
    "image": "spec.versions[0].workload.image",
    "command": "spec.versions[0].workload.command",
    "probe": "spec.versions[0].workload.podTemplate",
    "replicas": "spec.versions[0].workload.replicas",
    "scaling": "spec.versions[0].autoscale",
    "least": "spec.versions[0].autoscale.min",
    "most": "spec.versions[0].autoscale.max",
    "target": "spec.versions[0].autoscale.signals",
    "writer": "spec.versions[0].autoscale.writer",
    "cpu": "spec.versions[0].workload.resources.requests.cpu",
    "memory": "spec.versions[0].workload.resources.requests.memory",
    "gpus": "spec.versions[0].workload.resources.limits",
    "labels": "spec.versions[0].existing.labels",
    "figure": "spec.rateLimit.perReplicaQps",
    "mode": "spec.rateLimit.mode",
    "warmup": "spec.warmup.mode",
    "delay": "spec.warmup.fixedDelay",
    "plan": "spec.warmup.planRef",
}
"""Where each field of the form stands in the document."""
GPU = "nvidia.com/gpu"
OWN_ADDRESS = "POD_IP"
"""The variable with a replica's address, which a command may name as `$(POD_IP)`."""
START = {
    "protocol": "http",
    "port": "8080",
    "version": "v1",
    "replicas": "2",
    "runs": "workload",
    "mode": "enforce",
    "least": "1",
    "target": "80%",
    "writer": "tidegate",
}
"""What the form says at its beginning."""


def document_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the document; what is no number stays a text, which the API refuses at its field."""
    given = {name: value.strip() for name, value in form.items()}
    version = given.get("version", "")
    spec: dict[str, Any] = {
        "routes": [_route(given)],
        "versions": [{"name": version, **_runs(given)}],
        "traffic": [{"version": version, "weight": 100}],
    }
    if given.get("figure"):
        mode = {"mode": given["mode"]} if given.get("mode") not in ("", None, "enforce") else {}
        spec["rateLimit"] = {"perReplicaQps": number(given["figure"]), **mode}
    if warmup := _warmup(given):
        spec["warmup"] = warmup
    return spec


def placed(problems: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the problems by the field of the form that they belong to; those of no field under an empty name."""
    found: dict[str, list[str]] = {}
    for field, message in problems:
        nearest = max(
            (name for name, at in FIELDS.items() if _is_at(field, at)), key=lambda n: len(FIELDS[n]), default=""
        )
        found.setdefault(nearest, []).append(message if nearest else f"{field}: {message}" if field else message)
    return found


def _is_at(field: str, at: str) -> bool:
    """Tell whether a problem's field is where a field of the form stands, or inside it."""
    return field == at or (field.startswith(at) and field[len(at)] in ".[")


def _route(given: Mapping[str, str]) -> dict[str, Any]:
    route = {"host": given.get("host", ""), "path": given.get("path", ""), "port": number(given.get("port", ""))}
    if given.get("protocol") == "grpc":
        route["protocol"] = "grpc"
    if given.get("timeout"):
        route["timeout"] = given["timeout"]
    return route


def _runs(given: Mapping[str, str]) -> dict[str, Any]:
    if given.get("runs") == "existing":
        pairs = (pair.partition("=") for pair in given.get("labels", "").replace(",", " ").split())
        return {"existing": {"labels": {name: value for name, _, value in pairs}}}
    workload: dict[str, Any] = {"image": given.get("image", "")}
    scaled = given.get("scaling") == "demand"
    if not scaled:
        workload["replicas"] = number(given.get("replicas", ""))
    if given.get("command"):
        workload |= _command(given["command"])
    if given.get("probe"):
        asked = {"httpGet": {"path": given["probe"], "port": number(given.get("port", ""))}}
        workload["podTemplate"] = {"spec": {"containers": [{"name": "model", "readinessProbe": asked}]}}
    requests = {name: given[name] for name in ("cpu", "memory") if given.get(name)}
    limits = {GPU: number(given["gpus"])} if given.get("gpus") else {}
    if resources := {name: value for name, value in (("requests", requests), ("limits", limits)) if value}:
        workload["resources"] = resources
    return {"workload": workload, **({"autoscale": _autoscale(given)} if scaled else {})}


def _autoscale(given: Mapping[str, str]) -> dict[str, Any]:
    """Return replicas that follow the demand; what is left empty has the document's own default."""
    signal = {"name": "demand", **({"target": given["target"]} if given.get("target") else {})}
    least = {"min": number(given["least"])} if given.get("least") else {}
    writer = {"writer": given["writer"]} if given.get("writer") not in ("", None, "tidegate") else {}
    return {**least, "max": number(given.get("most", "")), "signals": [signal], **writer}


def _command(text: str) -> dict[str, Any]:
    """Return the words of a command as a shell reads them, with the variable that they name; one with a quote that does
    not end stays a text, which the API refuses."""
    try:
        words: list[str] | str = shlex.split(text)
    except ValueError:
        words = text
    if f"$({OWN_ADDRESS})" not in text:
        return {"command": words}
    address = {"name": OWN_ADDRESS, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return {"command": words, "env": [address]}


def _warmup(given: Mapping[str, str]) -> dict[str, Any]:
    match given.get("warmup"):
        case "fixedDelay":
            return {"mode": "fixedDelay", "fixedDelay": {"warm": given.get("delay", "")}}
        case "gate":
            return {"mode": "gate", "planRef": {"name": given.get("plan", "")}}
        case _:
            return {}
