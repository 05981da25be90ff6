"""`tidegate doctor`: look at a cluster, say what is missing and what to run."""

import asyncio
import contextlib
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from istio_templates.errors import Stalled, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.prior_conflicts import conflicts
from k8s_manager.cli.api_commands.documents import DEMO, Server, State, TokenFile
from k8s_manager.cli.connection import Connection
from k8s_manager.cli.connection import connect as connect_to
from k8s_manager.cli.output import FORMS, Format, console, plain_form_of
from k8s_manager.cli.output import show as show_as
from k8s_manager.doctor import cluster_reader
from k8s_manager.doctor.checks import ClusterFacts, Finding, GatewayFacts, findings
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Absent, Forbidden
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.world.installation import SYSTEM

_DOCUMENTS, _ROUTES = ("Tenant", "Model"), ("Gateway", "VirtualService")
COLOURS = {"ok": "green", "warning": "yellow", "failure": "red", "unknown": "dim"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="The cluster; absent: the pod's own account.")
    ] = None,
    output: Annotated[
        Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")
    ] = Format.TABLE,
    manager: Annotated[
        bool, typer.Option("--manager", help="Ask a manager what it finds itself, instead of looking from here.")
    ] = False,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Look at a cluster and say what is missing and what to run: kinds, Istio, rights, managers, gateways.

    Changes nothing. Exit codes: 0 nothing fails, 2 something does, 3 the cluster does not answer, or is a standalone.
    With --manager no kubeconfig is needed, but a role for the whole fleet; 2 also stands for a call that is refused.
    """
    if manager:
        _ask_manager(connect_to(server, token_file, state), output)
        return
    if sys.stderr.isatty():
        typer.echo("looking at the cluster: kinds, rights, Istio, managers, gateways ...", err=True)
    try:
        found = findings(asyncio.run(look(kubeconfig)))
    except TidegateError as error:
        typer.echo(f"tidegate: {error}", err=True)
        raise typer.Exit(3) from None
    show(found, output)
    raise typer.Exit(2 if any(finding.level == "failure" for finding in found) else 0)


def _ask_manager(connection: Connection, output: Format) -> None:
    """Print what a manager finds, as it answers `GET /v1/doctor`."""
    report = connection.call("GET", "/v1/doctor")
    if output is not Format.TABLE:
        show_as(report, output)
    else:
        show([Finding(one["level"], one["what"], one["remedy"], one["check"]) for one in report["items"]], output)
        left_out = f", and {report['omitted']} more are not shown" if report["omitted"] else ""
        typer.echo(f"looked at {report['at']} by manager {report['manager']}{left_out}", err=True)
    raise typer.Exit(2 if report["worst"] == "failure" else 0)


def show(found: list[Finding], output: Format) -> None:
    """Print the findings."""
    if output is not Format.TABLE:
        show_as([asdict(finding) for finding in found], output)
        return
    table = Table("", "WHAT", "WHAT TO DO", box=None, pad_edge=False)
    for finding in found:
        table.add_row(Text(finding.level, COLOURS[finding.level]), Text(finding.what), Text(finding.remedy))
    console().print(table)


async def look(kubeconfig: Path | None) -> ClusterFacts:
    """Return the facts of the cluster; raises `Stalled` where it does not answer."""
    async with await connect(kubeconfig) as client:
        version = await _version(client, kubeconfig)
        if version.endswith(cluster_reader.EMBEDDED):
            said = (
                f"doctor is for clusters, and {kubeconfig} leads to a standalone, which has no Istio and no rights to"
            )
            raise Stalled(f"{said} look at; read {(kubeconfig or Path()).parent / 'logs'}, or run tidegate get gateway")
        crds = await _crds(client)
        istiod = await cluster_reader.istiods(client)
        documents = await _all(client, *_DOCUMENTS)
        return ClusterFacts(
            kubernetes=version,
            kinds=frozenset(crd["metadata"]["name"] for crd in crds),
            denied=await cluster_reader.denied_rights(client, asks_for_itself=kubeconfig is None),
            istiod=istiod,
            webhook=await _webhook(client),
            managers=await cluster_reader.ready_managers(client),
            leader=await cluster_reader.leader(client, ObjectKey("Lease", SYSTEM, "tidegate"), datetime.now(UTC)),
            gateways=await _gateways(client),
            providers=await cluster_reader.mesh_providers(client, [namespace for namespace, _, _ in istiod]),
            conflicts=tuple(conflicts(documents, await _all(client, *_ROUTES))),
            external_metrics=await cluster_reader.external_metrics(client),
            writers=cluster_reader.writers_in(documents),
        )


async def _all(client: KubeClient, *kinds: str) -> list[Manifest]:
    """Return all objects of some kinds; of a kind that is not there there are none."""
    found: list[Manifest] = []
    for kind in kinds:
        with contextlib.suppress(Absent):
            found += (await client.list(RESOURCES[kind]))[0]
    return found


async def _crds(client: KubeClient) -> list[Manifest]:
    try:
        return (await client.list(RESOURCES["CustomResourceDefinition"]))[0]
    except Forbidden as error:
        raise Stalled(f"{error}; doctor looks as an administrator: give it such a --kubeconfig") from error


async def _version(client: KubeClient, kubeconfig: Path | None) -> str:
    try:
        return await cluster_reader.version_of(client)
    except Forbidden as error:
        raise Stalled(f"the cluster does not know who we are: {error}") from error
    except TidegateError as error:
        where = f"the cluster of {kubeconfig}" if kubeconfig else "the pod's cluster"
        raise Stalled(f"{where} does not answer ({error}); is its address right, and is the API server up?") from error


async def _webhook(client: KubeClient) -> str | None:
    try:
        return await cluster_reader.webhook_problem(client)
    except Forbidden as error:
        return str(error)


async def _gateways(client: KubeClient) -> tuple[GatewayFacts, ...]:
    try:
        found, _ = await client.list(RESOURCES["InferenceGateway"])
    except Absent:
        return ()
    return tuple([await _gateway(client, obj) for obj in found])


async def _gateway(client: KubeClient, obj: Manifest) -> GatewayFacts:
    namespace = obj["spec"]["namespace"]
    try:
        await client.get(ObjectKey("Namespace", "", namespace))
    except Absent:
        return cluster_reader.gateway_facts(obj, None)
    pods, _ = await client.list(RESOURCES["Pod"], cluster_reader.selector_text(obj), namespace)
    return cluster_reader.gateway_facts(obj, pods)
