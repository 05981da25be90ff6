"""`tidegate get`: documents as a table that a person reads, or in a form for programs, once or as they change."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from k8s_manager.cli import output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Server, State, TenantName, TokenFile
from k8s_manager.cli.completion import choices
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import FORMS, Format, Object, form_of
from k8s_manager.cli.selection import Selected, chosen
from k8s_manager.cli.statistics_commands.table_figures import figures_of
from k8s_manager.document_state import trouble

PAUSE = 1.0
"""Seconds between two looks of --watch."""
What = Annotated[
    list[str],
    typer.Argument(metavar="KIND [NAME...]", help="KIND, KIND NAME..., or KIND/NAME...", autocompletion=choices),
]
Everywhere = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Of all tenants, whatever -n says.")]
Shown = Annotated[Format, typer.Option("-o", "--output", parser=form_of, metavar=FORMS, help="How to show it.")]
Chosen = list[tuple[Selected, list[tuple[str, Object]]]]
"""What each word of the command chose: documents, models with their tenant."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(get)


def get(
    what: What,
    tenant: TenantName = None,
    everywhere: Everywhere = False,
    watch: Annotated[
        bool, typer.Option("-w", "--watch", help="Go on, and show what changes, until Ctrl-C; it asks once a second.")
    ] = False,
    form: Shown = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show gateways, tenants, models, overrides or grants with their state, replicas and limits.

    A kind may be written as kubectl takes it: model, models, mdl. A model is TENANT/MODEL, or with -n NAMESPACE its
    name alone: every tenant has a namespace.

    tidegate get models -A
    tidegate get mdl ranker -n search -o jsonpath='{.status.limit.total}'
    tidegate get gateways,tenants -o wide
    """
    selected, connection = chosen(what), connect(server, token_file, state)

    def read() -> Chosen:
        return [(one, list(selection.owned(connection, one, tenant, everywhere))) for one in selected]

    found = read()
    if form is Format.TABLE or form is Format.WIDE:
        _show_tables(connection, found, form is Format.WIDE)
    elif watch or (len(selected) == 1 and selected[0].name):
        for obj in _objects(found):
            output.show(obj, form)
    else:
        output.show({"apiVersion": "v1", "kind": "List", "items": list(_objects(found))}, form)
    if watch:
        _watch(connection, found, read, form)


def _objects(found: Chosen) -> Iterator[Object]:
    return (obj for _, pairs in found for _, obj in pairs)


def _show_tables(connection: Connection, found: Chosen, wide: bool) -> None:
    by_kind: dict[DocumentKind, list[tuple[str, Object]]] = {}
    for one, pairs in found:
        by_kind.setdefault(one.kind, []).extend(pairs)
    for number, (kind, pairs) in enumerate(by_kind.items()):
        if number:
            typer.echo()
        figures = figures_of(connection, pairs) if kind is DocumentKind.MODEL else None
        output.table(kind.value, [obj for _, obj in pairs], wide, figures)
    for obj in _objects(found):
        for sentence in trouble(obj):
            typer.echo(f"{obj['metadata']['name']}: {sentence}")


def _watch(connection: Connection, found: Chosen, read: Callable[[], Chosen], form: Format) -> None:
    """Show each document that has changed, until Ctrl-C."""
    is_table = form is Format.TABLE or form is Format.WIDE
    before = _versions(found)
    try:
        while True:
            time.sleep(PAUSE)
            found = read()
            now = _versions(found)
            gone = [(owner, {**obj, "deleted": True}) for uid, (owner, obj) in before.items() if uid not in now]
            changed = [pair for uid, pair in now.items() if before.get(uid) != pair]
            for owner, obj in [*changed, *gone]:
                if not is_table:
                    output.show({name: value for name, value in obj.items() if name != "deleted"}, form)
                    continue
                kind = selection.kind_of(obj)
                figures = figures_of(connection, [(owner, obj)]) if kind is DocumentKind.MODEL else None
                output.line(kind.value, obj, figures)
            before = now
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _versions(found: Chosen) -> dict[str, tuple[str, Object]]:
    return {pair[1]["metadata"]["uid"]: pair for _, pairs in found for pair in pairs}
