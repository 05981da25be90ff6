"""`tidegate import`: documents for objects that exist already."""

from typing import Annotated

import typer

from istio_templates.yaml_text import yaml_text
from k8s_manager.cli.api_commands.documents import Files
from k8s_manager.cli.files.document_texts import documents_in
from k8s_manager.importers.propose import propose


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)


def import_(
    filename: Files,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Propose routes of Tidegate's own, in place of a limit for theirs.")
    ] = False,
) -> None:
    """Propose documents for Gateways, VirtualServices, HTTPRoutes, SeldonDeployments and InferenceServices.

    kubectl get gateways.networking.istio.io,virtualservices,destinationrules,services -A -o yaml | tidegate import -f -

    With the Gateway API, read gateways.gateway.networking.k8s.io,httproutes,grpcroutes,inferencepools too.

    With inferencegateways,tenants,models,hpa,scaledobjects, models that other autoscalers scale are proposed with
    autoscale in their place.

    Nothing is changed anywhere, and what would be rejected is not proposed. Models limit the routes that are there
    (attachTo), which touches nothing of theirs; --take-over is for later. Documents go to standard output; what they do
    not express, to standard error.
    """
    proposal = propose(documents_in(filename), take_over)
    found = proposal.told()
    typer.echo(yaml_text(found), nl=False)
    for note in proposal.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{len(found)} documents proposed, {len(proposal.notes)} notes", err=True)
    if not found:
        raise typer.Exit(2)
