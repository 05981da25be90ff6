"""How the command line shows things: a table for people, JSON or YAML for programs."""

import json
import sys
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from istio_templates.yaml_text import yaml_text
from k8s_manager.world.installation import SYSTEM

Object = dict[str, Any]


class Format(StrEnum):
    """An output format."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(value: Any, form: Format) -> None:
    """Print a value as JSON or YAML."""
    text = json.dumps(value, indent=2)
    typer.echo(text if form is Format.JSON else yaml_text([json.loads(text)]).rstrip())


def table(kind: str, objects: list[Object]) -> None:
    """Print documents as a table, a line each."""
    columns = {
        "gateway": ("NAME", "NAMESPACE", "PODS", "ADDRESSES", "STATE"),
        "tenant": ("NAME", "NAMESPACE", "GATEWAY", "HOSTS", "STATE"),
        "override": ("NAME", "SETS", "FOR", "MODELS", "AUTHOR", "EXPIRES", "STATE", "REASON"),
        "grant": ("NAME", "ROLE", "TENANTS", "USERS", "GROUPS", "STATE"),
        "model": ("NAME", "NAMESPACE", "REPLICAS", "LIMIT", "PER GATEWAY POD", "URL", "STATE"),
    }[kind]
    out = empty(*columns)
    for obj in objects:
        out.add_row(*_ROWS[kind](obj))
    console().print(out)


def empty(*columns: str) -> Table:
    """Return a table without rows yet."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        out.add_column(column, overflow="fold")
    return out


def console() -> Console:
    """Return where tables go. A pipe has no width: what is read by a program is not wrapped."""
    return Console(width=None if sys.stdout.isatty() else 400)


def errors() -> Console:
    """Return where progress goes: not among the results."""
    return Console(stderr=True)


def _gateway(obj: Object) -> tuple[str, ...]:
    status = obj.get("status", {})
    pods = status.get("pods", {})
    ready = f"{pods.get('ready', 0)}/{pods.get('total', 0)}"
    return obj["metadata"]["name"], obj["spec"]["namespace"], ready, ", ".join(status.get("addresses", [])), state(obj)


def _tenant(obj: Object) -> tuple[str, ...]:
    status = obj.get("status", {})
    hosts = ", ".join(host["name"] for host in obj["spec"]["hosts"])
    return obj["metadata"]["name"], status.get("namespace", ""), status.get("gateway", ""), hosts, state(obj)


def _model(obj: Object) -> tuple[str, ...]:
    status = obj.get("status", {})
    limit = status.get("limit") or {}
    replicas = ", ".join(
        f"{v['name']} {v['ready']}/{'-' if v.get('desired') is None else v['desired']}"
        for v in status.get("versions", [])
    )
    bucket = limit.get("perGateway") or {}
    each = f"{bucket['rate']:g}/s x {limit['gateways']}" if bucket else "-"
    is_off = not limit and (obj["spec"].get("rateLimit") or {}).get("mode") == "off"
    total = "off" if is_off else "-" if limit.get("total") is None else f"{limit['total']:g}/s"
    share = limit.get("enforcedPercent", 100)
    if share < 100:
        total = f"{total} ({f'ramp, {share} %' if share else 'shadow'})"
    if override := limit.get("override"):
        capped = ", capped" if limit.get("cap") else ""
        total = f"{total} ({override['sets']} by {override['author']}{capped})"
    metadata = obj["metadata"]
    return metadata["name"], metadata.get("namespace", ""), replicas, total, each, status.get("url") or "-", state(obj)


def _override(obj: Object) -> tuple[str, ...]:
    spec, metadata, status = obj["spec"], obj["metadata"], obj.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    shown = conditions.get("Active") or conditions.get("Accepted") or {"reason": "Unknown"}
    models, target = str(status.get("models", "-")), _meant(spec["target"])
    if status.get("inForce", status.get("models")) != status.get("models"):
        models = f"{status['inForce']} of {models}"
    ends = (spec["author"], spec["expires"], shown["reason"], spec["reason"])
    name = metadata["name"] if metadata["namespace"] == SYSTEM else f"{metadata['namespace']}/{metadata['name']}"
    return (name, _sets(spec), target, models, *ends)


def _sets(spec: Object) -> str:
    if "total" in spec:
        return f"{spec['total']:g}/s"
    if "perReplicaQps" in spec:
        return f"{spec['perReplicaQps']:g}/s per replica"
    return str(spec.get("action") or (f"mode {spec['mode']}" if "mode" in spec else "-"))


def _meant(target: Object) -> str:
    if target.get("everything"):
        return "everything"
    labels = [f"{key}={value}" for key, value in target.get("labels", {}).items()]
    return ", ".join([*(f"{key} {target[key]}" for key in ("tenant", "model", "gateway") if key in target), *labels])


def _grant(obj: Object) -> tuple[str, ...]:
    spec = obj["spec"]
    listed = (", ".join(spec.get(name) or ()) for name in ("tenants", "users", "groups"))
    tenants, users, groups = listed
    return (obj["metadata"]["name"], spec["role"], tenants or "all", users or "-", groups or "-", state(obj))


_ROWS = {"gateway": _gateway, "tenant": _tenant, "model": _model, "override": _override, "grant": _grant}


def state(obj: Object) -> str:
    """Return the worst condition of a document in a word."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Deleting"
    conditions = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
    for kind in ("Accepted", "Programmed", "Ready"):
        if kind in conditions and conditions[kind]["status"] != "True":
            return str(conditions[kind]["reason"])
    return "Ready" if conditions else "Unknown"


def trouble(obj: Object, expected: str = "") -> list[str]:
    """Return the sentences of the conditions that do not hold, and not for an `expected` reason; of an override that
    holds, also how far."""
    conditions = obj.get("status", {}).get("conditions", [])
    failing = [c for c in conditions if c["status"] != "True" and c["type"] != "Limited" and c["reason"] != expected]
    partly = [c for c in conditions if c["type"] == "Active" and c["status"] == "True" and "; " in c["message"]]
    return [f"{c['type']}: {c['message']}" for c in [*failing, *partly]]
