"""`tidegate top`: what models are asked, what their limits refuse, and how they answer, as a table that goes on."""

import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from istio_templates.arms.arm_facts import WEIGHTS
from k8s_manager.cli import contexts, output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.api_commands.get import Everywhere
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected, tenant_in
from k8s_manager.cli.statistics_commands.table_figures import minute_span, stats_path
from k8s_manager.cli.statistics_commands.top_figures import TopBy, TopPage, parts_table, rates, shown


class TopSort(StrEnum):
    """Columns by which models are sorted, the largest first."""

    DEMAND = "demand"
    LIMITED = "limited"
    ERRORS = "errors"
    P99 = "p99"
    NAME = "name"


DOCUMENTS = 10.0
Name = tuple[str, str]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    pattern: Annotated[str, typer.Argument(metavar="[MODEL]", help="Part of TENANT/MODEL; absent: all models.")] = "",
    everywhere: Everywhere = False,
    sort: Annotated[TopSort, typer.Option(help="The column by which models are sorted.")] = TopSort.DEMAND,
    count: Annotated[int, typer.Option("--count", min=1, help="Most models that are shown.")] = 40,
    by: Annotated[
        TopBy | None, typer.Option(help="Of one model: a line for each arm of its matches, or version.")
    ] = None,
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
    tidegate top search/ranker --by arm
    """
    reader = TopReader(connect(server, token_file, state), everywhere, pattern, sort, by)
    if form is Format.TABLE and not once and output.console().is_terminal:
        _watch(reader, count, every, by)
        return
    page = reader.read()
    if form is not Format.TABLE:
        output.show({"items": page.items[:count], "partial": bool(page.gaps), "gaps": page.gaps}, form)
        return
    output.console().print(_table(page.items[:count], by))
    for gap in page.gaps:
        typer.echo(f"incomplete: {gap}", err=True)


class TopReader:
    """Reads statistics at every look, documents once in `DOCUMENTS` seconds."""

    def __init__(
        self, connection: Connection, everywhere: bool, pattern: str, sort: TopSort, by: TopBy | None = None
    ) -> None:
        self._connection, self._everywhere, self._pattern, self._sort = connection, everywhere, pattern, sort
        self._by = by
        namespace = "" if everywhere else contexts.namespace()
        self._tenant = tenant_in(connection, namespace) if namespace else ""
        self._models: dict[Name, Object] = {}
        self._due = 0.0

    def read(self) -> TopPage:
        """Return the models in their order, or the parts of one."""
        if self._by is not None:
            return self._parts(self._by, minute_span())
        found = self._connection.call("GET", stats_path(self._tenant))
        counts = {(item["tenant"], item["model"]): item for item in found["items"]}
        models = self._documents()
        names = [name for name in {*counts, *models} if self._pattern in "/".join(name)]
        items = [_item(name, counts.get(name, {}), models.get(name, {})) for name in names]
        return TopPage(sorted(items, key=lambda item: _order(item, self._sort)), found["gaps"])

    def _parts(self, by: TopBy, span: str) -> TopPage:
        """Return the arms or versions of the model that is asked for; raises `BadParameter` where it is not one."""
        names = [name for name in self._documents() if self._pattern in "/".join(name)]
        exact = [name for name in names if self._pattern in ("/".join(name), name[1])]
        if len(found := exact or names) != 1:
            said = f"{len(found)} models fit {self._pattern!r}" if self._pattern else "no model is given"
            raise typer.BadParameter(f"--by is about one model and {said}; give TENANT/MODEL")
        ((tenant, model),) = found
        counted = self._connection.call("GET", f"/v1/tenants/{tenant}/models/{model}/stats?by={by}&{span}")
        counts = {item[by.value]: item for item in counted["items"]}
        known = _names(self._documents()[tenant, model], by)
        items = [{by.value: name, **rates(counts.get(name, {}))} for name in dict.fromkeys([*known, *counts])]
        return TopPage(items, counted["gaps"])

    def _documents(self) -> dict[Name, Object]:
        if time.monotonic() >= self._due:
            owned = selection.owned(
                self._connection, Selected(DocumentKind.MODEL), self._tenant or None, not self._tenant
            )
            self._models = {(tenant, obj["metadata"]["name"]): obj for tenant, obj in owned}
            self._due = time.monotonic() + DOCUMENTS
        return self._models


def _watch(reader: TopReader, count: int, every: float, by: TopBy | None) -> None:
    with Live(console=output.console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                page = reader.read()
                table = _table(page.items[:count], by)
                table.caption = "; ".join(f"incomplete: {gap}" for gap in page.gaps) or None
                live.update(table, refresh=True)
                time.sleep(every)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _item(name: Name, counts: Object, model: Object) -> Object:
    """Return what is known of a model: rates per second over the span, shares, milliseconds."""
    status = model.get("status", {})
    versions = status.get("versions", [])
    return {
        "model": "/".join(name),
        "limit": status.get("limit", {}).get("total"),
        **rates(counts),
        "ready": sum(version["ready"] for version in versions),
        "replicas": sum(
            version["ready"] if version.get("desired") is None else version["desired"] for version in versions
        ),
    }


def _names(model: Object, by: TopBy) -> list[str]:
    """Return the arms of a document's matches, and the weights; or its versions."""
    spec = model["spec"]
    if by is TopBy.VERSION:
        return [one["name"] for one in spec.get("versions") or []]
    return [*(one.get("name") or one["version"] for one in spec.get("trafficMatches") or []), WEIGHTS]


def _order(item: Object, sort: TopSort) -> tuple[float, str]:
    return (0.0 if sort is TopSort.NAME else -(item[sort.value] or 0.0), item["model"])


def _table(items: list[Object], by: TopBy | None = None) -> Table:
    if by is not None:
        return parts_table(items, by)
    table = Table(box=None, pad_edge=False)
    table.add_column("MODEL", overflow="fold")
    for name in ("DEMAND/S", "LIMIT/S", "LIMITED", "ERRORS", "P99", "READY"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in items:
        demand, *others = shown(item)
        limit = "-" if item["limit"] is None else f"{item['limit']:g}"
        table.add_row(*map(Text, (item["model"], demand, limit, *others, f"{item['ready']}/{item['replicas']}")))
    return table
