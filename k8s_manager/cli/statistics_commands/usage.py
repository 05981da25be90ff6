"""`tidegate usage`: what models and their pods use of CPU, memory and GPUs, beside what they ask for."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from k8s_manager import client
from k8s_manager.cli import contexts, output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.api_commands.get import Everywhere
from k8s_manager.cli.connection import Connection, ManagerAnswer, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


class UsageSort(StrEnum):
    """Columns by which lines are sorted, the largest first."""

    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"
    NAME = "name"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(usage)


def usage(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[TENANT[/MODEL]]",
            help="A tenant's models, or a model's pods; absent: the models of all tenants that you may see. With -n "
            "NAMESPACE: absent or a MODEL.",
        ),
    ] = "",
    everywhere: Everywhere = False,
    sort: Annotated[UsageSort, typer.Option(help="The column by which lines are sorted.")] = UsageSort.CPU,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what models use of CPU (cores, beside those requested), memory (beside the limit) and GPUs.

    With a MODEL, the same of each of its pods. What is not known is -, and a line says why and what to do.

    Figures are those of metrics.k8s.io (kubectl top), or of the Prometheus that the manager is started with
    (tidegate serve --prometheus), which alone knows how busy GPUs are.

    tidegate usage search --sort memory
    tidegate usage search/ranker -o json
    """
    items, tenants, reasons = list[Object](), list[str](), dict[str, list[str]]()
    for tenant, found in _answers(connect(server, token_file, state), what, everywhere):
        tenants.append(tenant)
        items += [_named(item, tenant) for item in found["items"]]
        for gap in found["gaps"]:
            reasons.setdefault(gap, []).append(tenant)
    items.sort(key=lambda item: _order(item, sort))
    gaps = [gap if whose == tenants else f"{', '.join(whose)}: {gap}" for gap, whose in reasons.items()]
    if form is not Format.TABLE:
        output.show({"items": items, "partial": bool(gaps), "gaps": gaps}, form)
        return
    if items:
        output.console().print(output.fitted([_row(item) for item in items], wide=False))
    else:
        typer.echo("there is nothing that runs", err=True)
    for gap in gaps:
        typer.echo(f"incomplete: {gap}", err=True)


def _answers(connection: Connection, what: str, everywhere: bool) -> Iterator[tuple[str, Object]]:
    """Yield what the manager answers about a model, or about each tenant, with the tenant."""
    here = "" if everywhere else contexts.namespace()
    if "/" in what or (what and here):
        if everywhere:
            raise typer.BadParameter("a model is not shown in all namespaces; leave out -A or the model")
        path = selection.path_of(connection, Selected(DocumentKind.MODEL, what))
        yield path.split("/")[3], connection.call("GET", f"{path}/usage")
        return
    for tenant in [what] if what else selection.tenants(connection, None, everywhere):
        yield tenant, connection.call("GET", client.path_of("tenant", tenant) + "/usage")


def _named(item: Object, tenant: str) -> Object:
    """Return an item with its model named as commands take it; a pod is named alone."""
    return ManagerAnswer({**item, "model": f"{tenant}/{item['model']}"}) if "model" in item else item


def _order(item: Object, sort: UsageSort) -> tuple[float, str]:
    gpu, name = item["gpu"], _name(item)
    figures = {"cpu": item["cpu"]["used"], "memory": item["memory"]["used"], "gpu": gpu["memoryUsed"]}
    return (0.0 if sort is UsageSort.NAME else -(figures[sort.value] or 0.0), name)


def _name(item: Object) -> str:
    return str(item["pod"] if "pod" in item else item["model"])


def _row(item: Object) -> dict[str, str]:
    cpu, memory, gpu = item["cpu"], item["memory"], item["gpu"]
    if "pod" in item:
        first = {"POD": item["pod"], "VERSION": item["version"] or "-"}
    else:
        first = {"MODEL": item["model"], "PODS": f"{item['measured']}/{item['pods']}"}
    share = "-" if gpu["utilization"] is None else f"{100 * gpu['utilization']:.0f} %"
    return {
        **first,
        "CPU": _cores(cpu["used"]),
        "REQUESTED": _cores(cpu["requested"]),
        "MEMORY": size(memory["used"]),
        "LIMIT": size(memory["limit"]),
        "GPUS": str(gpu["requested"] or "-"),
        "GPU": share,
        "GPU MEMORY": f"{size(gpu['memoryUsed'])}/{size(gpu['memoryTotal'])}" if gpu["memoryUsed"] is not None else "-",
    }


def _cores(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def size(amount: int | None) -> str:
    """Return bytes in the largest unit of which they are one at least, with three digits."""
    if amount is None:
        return "-"
    power = min(max(0, (amount.bit_length() - 1) // 10), len(_UNITS) - 1)
    scaled = amount / 1024**power
    return f"{scaled:.0f}{_UNITS[power]}" if scaled >= 100 or not power else f"{scaled:.3g}{_UNITS[power]}"
