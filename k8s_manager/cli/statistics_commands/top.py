"""`tidegate top`: what models are asked, what their limits refuse, and how they answer, as a table that goes on."""

import time
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from collectors.request_statistics.series import MINUTE
from k8s_manager.cli import contexts, output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.api_commands.get import Everywhere
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected, tenant_in
from k8s_manager.cli.statistics_commands.model_figures import stats_path


class TopSort(StrEnum):
    """Columns by which models are sorted, the largest first."""

    DEMAND = "demand"
    LIMITED = "limited"
    ERRORS = "errors"
    P99 = "p99"
    NAME = "name"


DOCUMENTS = 10.0
Name = tuple[str, str]


class TopPage(NamedTuple):
    """Models in the order in which they are shown, and why some of their requests may be missing."""

    items: list[Object]
    gaps: list[str]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    pattern: Annotated[str, typer.Argument(metavar="[MODEL]", help="Part of TENANT/MODEL; absent: all models.")] = "",
    everywhere: Everywhere = False,
    sort: Annotated[TopSort, typer.Option(help="The column by which models are sorted.")] = TopSort.DEMAND,
    count: Annotated[int, typer.Option("--count", min=1, help="Most models that are shown.")] = 40,
    once: Annotated[bool, typer.Option("--once", help="Show it once, as where the output is no terminal.")] = False,
    every: Annotated[float, typer.Option("--every", min=1.0, help="Seconds between two looks.")] = 2.0,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what models are asked now: demand, limit, refusals, errors, latency, replicas; until Ctrl-C.

    Rates are those of the last whole minute that has been counted. With -n only of a tenant's models.

    tidegate top --sort limited
    tidegate top search/ --once -o json
    """
    reader = TopReader(connect(server, token_file, state), everywhere, pattern, sort)
    if form is Format.TABLE and not once and output.console().is_terminal:
        _watch(reader, count, every)
        return
    page = reader.read()
    if form is not Format.TABLE:
        output.show({"items": page.items[:count], "partial": bool(page.gaps), "gaps": page.gaps}, form)
        return
    output.console().print(_table(page.items[:count]))
    for gap in page.gaps:
        typer.echo(f"incomplete: {gap}", err=True)


class TopReader:
    """Reads statistics at every look, documents once in `DOCUMENTS` seconds."""

    def __init__(self, connection: Connection, everywhere: bool, pattern: str, sort: TopSort) -> None:
        self._connection, self._everywhere, self._pattern, self._sort = connection, everywhere, pattern, sort
        namespace = "" if everywhere else contexts.namespace()
        self._tenant = tenant_in(connection, namespace) if namespace else ""
        self._models: dict[Name, Object] = {}
        self._due = 0.0

    def read(self) -> TopPage:
        """Return the models in their order."""
        found = self._connection.call("GET", stats_path(self._tenant))
        counts = {(item["tenant"], item["model"]): item for item in found["items"]}
        models = self._documents()
        names = [name for name in {*counts, *models} if self._pattern in "/".join(name)]
        items = [_item(name, counts.get(name, {}), models.get(name, {})) for name in names]
        return TopPage(sorted(items, key=lambda item: _order(item, self._sort)), found["gaps"])

    def _documents(self) -> dict[Name, Object]:
        if time.monotonic() >= self._due:
            owned = selection.owned(
                self._connection, Selected(DocumentKind.MODEL), self._tenant or None, not self._tenant
            )
            self._models = {(tenant, obj["metadata"]["name"]): obj for tenant, obj in owned}
            self._due = time.monotonic() + DOCUMENTS
        return self._models


def _watch(reader: TopReader, count: int, every: float) -> None:
    with Live(console=output.console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                page = reader.read()
                table = _table(page.items[:count])
                table.caption = "; ".join(f"incomplete: {gap}" for gap in page.gaps) or None
                live.update(table, refresh=True)
                time.sleep(every)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _item(name: Name, counts: Object, model: Object) -> Object:
    """Return what is known of a model: rates per second over the span, shares, milliseconds."""
    demand, limited, admitted = (counts.get(figure, 0) for figure in ("demand", "limited", "admitted"))
    errors = counts.get("serverErrors", 0) + counts.get("noAnswer", 0)
    status = model.get("status", {})
    versions = status.get("versions", [])
    return {
        "model": "/".join(name),
        "demand": round(demand / MINUTE, 2),
        "limit": status.get("limit", {}).get("total"),
        "limited": round(limited / demand, 4) if demand else 0.0,
        "errors": round(errors / admitted, 4) if admitted else 0.0,
        "p99": counts["latency"]["p99"] if counts else None,
        "ready": sum(version["ready"] for version in versions),
        "replicas": sum(
            version["ready"] if version.get("desired") is None else version["desired"] for version in versions
        ),
    }


def _order(item: Object, sort: TopSort) -> tuple[float, str]:
    return (0.0 if sort is TopSort.NAME else -(item[sort.value] or 0.0), item["model"])


def _table(items: list[Object]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("MODEL", overflow="fold")
    for name in ("DEMAND/S", "LIMIT/S", "LIMITED", "ERRORS", "P99", "READY"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in items:
        cells = [
            item["model"],
            f"{item['demand']:.1f}",
            "-" if item["limit"] is None else f"{item['limit']:g}",
            f"{100 * item['limited']:.1f} %",
            f"{100 * item['errors']:.1f} %",
            "-" if item["p99"] is None else f"{item['p99']:.3g} ms",
            f"{item['ready']}/{item['replicas']}",
        ]
        table.add_row(*map(Text, cells))
    return table
