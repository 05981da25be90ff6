"""The Model document that a form describes, and at which field of the form each problem of the document belongs. Pure.

The form has what most models need. Everything else is written in the document itself, from which a form is not made
again.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from k8s_manager.console.form import number
from k8s_manager.console.match_form import MATCH_FIELDS, matches_of, rows_of, second_of, shares_of, sticky_of

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
    **MATCH_FIELDS,
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
    versions = [given, *([second] if (second := second_of(given)) else [])]
    spec: dict[str, Any] = {
        "routes": [_route(given)],
        "versions": [{"name": one.get("version", ""), **_runs(one)} for one in versions],
        "traffic": shares_of(given),
    }
    if matches := matches_of(given):
        spec["trafficMatches"] = matches
    if sticky := sticky_of(given):
        spec["sticky"] = sticky
    if given.get("figure"):
        mode = {"mode": given["mode"]} if given.get("mode") not in ("", None, "enforce") else {}
        spec["rateLimit"] = {"perReplicaQps": number(given["figure"]), **mode}
    if warmup := _warmup(given):
        spec["warmup"] = warmup
    return spec


def placed(problems: Iterable[tuple[str, str]], form: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Return the problems by the field of the form that they belong to; those of no field under an empty name. With the
    `form`, the document's matches are those of the rows that it fills."""
    found: dict[str, list[str]] = {}
    rows = rows_of(form) if form is not None else []
    for field, message in problems:
        nearest = max(
            (name for name, at in FIELDS.items() if _is_at(field, at)), key=lambda n: len(FIELDS[n]), default=""
        )
        nearest = _MATCH.sub(lambda at: f"match{rows[int(at[1])] if int(at[1]) < len(rows) else at[1]}", nearest)
        found.setdefault(nearest, []).append(message if nearest else f"{field}: {message}" if field else message)
    return found


_MATCH = re.compile(r"^match(\d+)")


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
