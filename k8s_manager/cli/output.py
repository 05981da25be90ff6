"""How the command line shows things: a table for people, JSON, YAML or chosen values for programs."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from istio_templates.documents.crd import GROUP
from istio_templates.yaml_text import yaml_text
from k8s_manager.cli import columns
from k8s_manager.cli.jsonpath import Template
from k8s_manager.cli.statistics_commands.table_figures import TableFigures
from k8s_manager.document_state import last_evaluations, state
from k8s_manager.world.installation import SYSTEM

Object = dict[str, Any]
WIDEST = 400
FORMS = "table|wide|name|json|yaml|jsonpath=TEMPLATE"


@dataclass(frozen=True, slots=True)
class Format:
    """An output format; `TABLE` is always the same object."""

    name: str
    template: Template | None = None
    TABLE: ClassVar["Format"]
    WIDE: ClassVar["Format"]
    NAME: ClassVar["Format"]
    JSON: ClassVar["Format"]
    YAML: ClassVar["Format"]

    def __str__(self) -> str:
        return self.name


Format.TABLE, Format.WIDE, Format.NAME = Format("table"), Format("wide"), Format("name")
Format.JSON, Format.YAML = Format("json"), Format("yaml")


def form_of(text: str | Format) -> Format:
    """Return the format that an option names; raises `BadParameter`, or `Invalid` for a wrong template."""
    if isinstance(text, Format):
        return text
    name, sign, template = text.partition("=")
    if name == "jsonpath" and sign:
        return Format(name, Template(template))
    known = (Format.TABLE, Format.WIDE, Format.NAME, Format.JSON, Format.YAML)
    found = next((form for form in known if form.name == text), None)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no format; write one of {FORMS}")
    return found


def plain_form_of(text: str | Format) -> Format:
    """Return the format for what has one table only: `wide` is that table."""
    found = form_of(text)
    return Format.TABLE if found is Format.WIDE else found


def show(value: Any, form: Format) -> None:
    """Print a value for a program; raises `BadParameter` for names where it has none."""
    if form.template is not None:
        typer.echo(form.template.render(value), nl=False)
        return
    if form is Format.NAME:
        items = value["items"] if isinstance(value, dict) and "items" in value else value
        for item in items if isinstance(items, list) else [items]:
            typer.echo(name_of(item))
        return
    text = json.dumps(value, indent=2)
    typer.echo(text if form is Format.JSON else yaml_text([json.loads(text)]).rstrip())


def name_of(item: Any) -> str:
    """Return how `-o name` writes an item: a document as kubectl does, anything else by its identifying field."""
    if isinstance(item, dict) and "kind" in item and "metadata" in item:
        return f"{str(item['kind']).lower()}.{GROUP}/{item['metadata']['name']}"
    for name in _NAMES if isinstance(item, dict) else ():
        if name in item:
            return f"{'event' if name == 'id' else name}/{item[name]}"
    raise typer.BadParameter("-o name: this answer has no names; take -o json")


def coloured(diff: str) -> str:
    """Return a unified diff in colours, where it goes to a terminal and NO_COLOR is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return diff
    colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
    lines = diff.splitlines(True)
    return "".join(typer.style(line, fg=colours[line[0]]) if line[0] in colours else line for line in lines)


_NAMES = ("revision", "host", "id", "document", "model", "name", "user", "what")
"""Fields that identify items that are no documents."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "gateway": ("NAME", "NAMESPACE", "PODS", "ADDRESSES", "STATE"),
    "tenant": ("NAME", "NAMESPACE", "GATEWAY", "HOSTS", "STATE"),
    "override": ("NAME", "SETS", "FOR", "MODELS", "AUTHOR", "EXPIRES", "STATE", "REASON"),
    "grant": ("NAME", "ROLE", "TENANTS", "USERS", "GROUPS", "STATE"),
    "modelversion": ("NAME", "NAMESPACE", "MODEL", "VERSION", "ALIASES", "DATA UNTIL", "EVALUATIONS", "COST", "STATE"),
    "caller": ("NAME", "NAMESPACE", "MODELS", "EXPIRES", "REVOKED", "OWNERS", "STATE"),
    "model": ("NAME", "NAMESPACE", "REPLICAS", "LIMIT", "PER GATEWAY POD", "URL", "STATE"),
}
_OPTIONAL = (
    "URL", "PER GATEWAY POD", "ADDRESSES", "HOSTS", "REASON", "AUTHOR", "OWNERS", "GROUPS", "USERS", "REFUSED",
    "UP-TO-DATE",
)  # fmt: skip
"""What a narrow terminal does without, the first first."""
_WHOLE = ("STATE", "AGE")
"""What is never cut."""


def table(kind: str, objects: list[Object], wide: bool = False, figures: TableFigures | None = None) -> None:
    """Print documents as a table, a line each."""
    out = rows(kind, objects, figures)
    console(wide).print(fitted(out, wide))


def line(kind: str, obj: Object, figures: TableFigures | None = None) -> None:
    """Print one document without a head, its cells beside each other: what changed while a table is watched."""
    (row,) = rows(kind, [obj], figures)
    state_now = {"STATE": "Deleted"} if obj.get("deleted") else {}
    typer.echo("  ".join({**row, **state_now}.values()))


def rows(kind: str, objects: Iterable[Object], figures: TableFigures | None = None) -> list[dict[str, str]]:
    """Return documents as rows, by column."""
    now = datetime.now(UTC)
    return [_row(kind, obj, now, figures or TableFigures()) for obj in objects] or [dict.fromkeys(_head(kind), "")]


def _head(kind: str) -> list[str]:
    head = [*COLUMNS[kind], "AGE"]
    if kind == "model":
        head.insert(head.index("LIMIT"), "UP-TO-DATE")
        head.insert(head.index("LIMIT") + 1, "REFUSED")
    return head


def _row(kind: str, obj: Object, now: datetime, figures: TableFigures) -> dict[str, str]:
    metadata = obj["metadata"]
    cells = dict(zip(COLUMNS[kind], _ROWS[kind](obj), strict=True))
    cells["AGE"] = columns.age(metadata.get("creationTimestamp"), now)
    if kind == "model":
        name = (metadata.get("namespace", ""), metadata["name"])
        cells["REFUSED"] = columns.refused(obj.get("status", {}).get("limit") or {}, figures.requests.get(name))
        cells["UP-TO-DATE"] = columns.up_to_date(figures.rollouts.get(name))
    return {column: cells[column] for column in _head(kind)}


def fitted(found: Sequence[Mapping[str, str]], wide: bool) -> Table:
    """Return rows as a table that fits the terminal: columns are dropped, then cells are cut; `wide` keeps all."""
    widths = {name: max(map(cell_len, [name, *(row[name] for row in found)])) for name in found[0]}
    if sys.stdout.isatty() and not wide:
        shown = columns.fitting(widths, _OPTIONAL, console().width)
        widths = columns.narrowed({name: widths[name] for name in shown}, _WHOLE, console().width)
    out = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in widths.items():
        out.add_column(columns.cut(name, width), overflow="fold")
    for row in found:
        if any(row.values()):
            out.add_row(*(columns.cut(row[name], width) for name, width in widths.items()))
    return out


def empty(*columns: str) -> Table:
    """Return a table without rows yet."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        out.add_column(column, overflow="fold")
    return out


def console(wide: bool = False) -> Console:
    """Return where tables go. A pipe has no width: what is read by a program is not wrapped."""
    return Console(width=None if sys.stdout.isatty() and not wide else WIDEST)


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


def _evaluations(spec: Object) -> str:
    """Return the last value of each metric, with its data set."""
    return ", ".join(f"{one['metric']} {one['value']:g} ({one['dataset']})" for one in last_evaluations(spec)) or "-"


def _model_version(obj: Object) -> tuple[str, ...]:
    spec, status = obj["spec"], obj.get("status", {})
    cost = "-" if spec.get("cost") is None else f"{spec['cost']:g}"
    aliases = ", ".join(spec.get("aliases") or ()) or "-"
    shown = (spec["model"], status.get("version", "-"), aliases, spec.get("dataUntil", "-"), _evaluations(spec), cost)
    return (obj["metadata"]["name"], obj["metadata"]["namespace"], *shown, state(obj))


def _caller(obj: Object) -> tuple[str, ...]:
    spec, status = obj["spec"], obj.get("status", {})
    labels = ", ".join(f"{key}={value}" for key, value in (spec.get("modelLabels") or {}).items())
    models = ", ".join(spec.get("models") or ()) or labels or "all"
    shown = (models, spec.get("expires") or "-", str(status.get("revoked", 0)), ", ".join(spec.get("owners") or ()))
    return (obj["metadata"]["name"], obj["metadata"]["namespace"], *shown[:3], shown[3] or "-", state(obj))


_ROWS = {
    "gateway": _gateway,
    "tenant": _tenant,
    "model": _model,
    "override": _override,
    "grant": _grant,
    "modelversion": _model_version,
    "caller": _caller,
}
