"""`tidegate describe`: a document with its conditions, objects, pods and last events."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import typer

from istio_templates.yaml_text import yaml_text
from k8s_manager.cli import columns, output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TenantName, TokenFile
from k8s_manager.cli.api_commands.get import Everywhere, What
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected, chosen
from k8s_manager.cli.statistics_commands.gateway_tables import dataplane_tables

_OWNERS = (DocumentKind.GATEWAY, DocumentKind.TENANT, DocumentKind.MODEL)
"""The kinds of which objects are rendered."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(describe)


def describe(
    what: What,
    tenant: TenantName = None,
    everywhere: Everywhere = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show a document in full: its spec, its conditions, what was rendered of it, its pods with their reasons, events.

    Of a gateway also its slots, what each pod runs of them, how even its load is, and its certificates.

    tidegate describe model search/ranker
    """
    connection = connect(server, token_file, state)
    found = [
        (obj, _inventory(connection, obj, one, tenant))
        for one in chosen(what)
        for obj in selection.found(connection, one, tenant, everywhere)
    ]
    if form is Format.NAME or form.template:
        output.show({"items": [obj for obj, _ in found]} if len(found) != 1 else found[0][0], form)
    elif form is not Format.TABLE:
        output.show({"items": [{"document": obj, **inventory} for obj, inventory in found]}, form)
    else:
        now = datetime.now(UTC)
        typer.echo("\n\n".join("\n".join(_lines(obj, inventory, now)) for obj, inventory in found))


def _inventory(connection: Connection, obj: Object, one: Selected, tenant: str | None) -> Object:
    if one.kind not in _OWNERS:
        return {}
    name = obj["metadata"]["name"]
    if one.kind is DocumentKind.MODEL:
        owner = one.name.rpartition("/")[0] or tenant or selection.tenant_in(connection, obj["metadata"]["namespace"])
        name = f"{owner}/{name}"
    path = selection.path_of(connection, Selected(one.kind, name))
    found = dict(connection.call("GET", f"{path}/objects"))
    if one.kind is DocumentKind.GATEWAY:
        found["dataplane"] = connection.call("GET", f"{path}/dataplane")
    return found


def _lines(obj: Object, inventory: Object, now: datetime) -> Iterator[str]:
    metadata, status = obj["metadata"], obj.get("status", {})
    yield f"Name:         {metadata['name']}"
    if "namespace" in metadata:
        yield f"Namespace:    {metadata['namespace']}"
    yield f"Kind:         {obj['kind']}"
    yield from _pairs("Labels:", metadata.get("labels", {}))
    yield from _pairs("Annotations:", metadata.get("annotations", {}))
    yield f"Created:      {metadata['creationTimestamp']} ({columns.age(metadata['creationTimestamp'], now)} ago)"
    if "deletionTimestamp" in metadata:
        yield f"Terminating:  since {metadata['deletionTimestamp']}"
    yield "Spec:"
    yield from (f"  {line}" for line in yaml_text([obj["spec"]]).splitlines() if line != "---")
    yield "Conditions:"
    yield from _table(("TYPE", "STATUS", "REASON", "AGE", "MESSAGE"), _conditions(status, now))
    if not inventory:
        return
    yield "Objects:"
    objects = [(o["kind"], o.get("namespace", "-"), o["name"], _age(o, now)) for o in inventory["objects"]]
    yield from _table(("KIND", "NAMESPACE", "NAME", "AGE"), objects)
    if obj["kind"] != "Tenant":
        yield "Pods:"
        yield from _table(("NAME", "VERSION", "READY", "STATE", "RESTARTS", "AGE", "MESSAGE"), _pods(inventory, now))
    if "dataplane" in inventory:
        yield from _dataplane(inventory["dataplane"], now)
    yield "Events:"
    events = [(event["time"], event["type"], event["message"]) for event in inventory["events"]]
    yield from _table(("AT", "TYPE", "MESSAGE"), events)


def _dataplane(found: Object, now: datetime) -> Iterator[str]:
    for table in dataplane_tables(found, now):
        yield table.title
        yield from _table(table.head, table.rows)
        if table.note:
            yield f"  {table.note}"


def _pairs(title: str, found: Mapping[str, str]) -> Iterator[str]:
    shown = [f"{name}={value}" for name, value in found.items()]
    for number, text in enumerate(shown or ["<none>"]):
        yield f"{title if not number else '':<14}{text}"


def _conditions(status: Object, now: datetime) -> list[tuple[str, ...]]:
    return [
        (c["type"], c["status"], c["reason"], columns.age(c.get("lastTransitionTime"), now), c["message"])
        for c in status.get("conditions", [])
    ]


def _pods(inventory: Object, now: datetime) -> list[tuple[str, ...]]:
    return [
        (p["name"], p.get("version", "-"), "yes" if p["ready"] else "no", p["state"], str(p["restarts"]), _age(p, now),
         p["message"])
        for p in inventory["pods"]
    ]  # fmt: skip


def _age(found: Object, now: datetime) -> str:
    return columns.age(found["created"], now)


def _table(head: Sequence[str], found: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose last column may be as long as it is."""
    if not found:
        yield "  <none>"
        return
    widths = [max(map(len, cells)) for cells in zip(head, *found, strict=True)]
    for cells in (head, *found):
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
