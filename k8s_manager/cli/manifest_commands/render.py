"""`tidegate render`: documents in, manifests out, to standard output or into a kustomize tree; no cluster needed."""

import gc
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from istio_templates.catalog import in_order
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import Files
from k8s_manager.cli.files.document_files import Reading
from k8s_manager.gitops import folder
from k8s_manager.gitops.layout import Layout
from k8s_manager.offline import schema_check, sources
from k8s_manager.offline.findings import TreeFinding, remarks
from k8s_manager.offline.incremental_render import Rendering, Standing
from k8s_manager.offline.sources import Sources

STALE, REFUSED = 1, 2


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(render)


def render(
    filename: Files,
    output_dir: Annotated[
        Path | None,
        typer.Option("-d", "--output-dir", metavar="DIR", help="Write a kustomize tree there, instead of printing."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; show what of the tree is stale, and exit with 1 if any is.")
    ] = False,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="Hold the objects against Istio's and Kubernetes' schemas, and tell more."),
    ] = False,
    target_version: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION", help="For --validate: istio-1.30, kubernetes-1.33; may be repeated."),
    ] = None,
) -> None:
    """Make the manifests that follow from documents. Needs no cluster and no manager.

    tidegate render -f documents/                             prints them
    tidegate render -f documents/ -d tree/                    a kustomize tree, for kubectl apply -k tree/
    tidegate render -f documents/ -d tree/ --check            for CI: exit code 1 and a diff where the tree is stale
    tidegate render -f documents/ --validate --target-version istio-1.30 --target-version kubernetes-1.33

    Where any document is wrong, each is named with its place, nothing is written, and the exit code is 2. In DIR only
    files that were made here are replaced or removed; all others stay.
    """
    if check and output_dir is None:
        raise typer.BadParameter("--check compares with a tree; say where it is: -d DIR")
    if target_version and not validate:
        raise typer.BadParameter("--target-version says what to validate for; add --validate")
    target = schema_check.target(target_version or ()) if validate else None
    objects = rendered(filename, target, partial(folder.standing, output_dir) if output_dir else _nothing)
    if output_dir is None:
        typer.echo(yaml_text(in_order(objects.values())), nl=False)
        return
    stale = folder.compare(output_dir, Layout().tree(objects))
    if check:
        typer.echo(output.coloured(stale.diff()), nl=False)
        raise typer.Exit(STALE if stale.files else 0)
    folder.write(output_dir, stale)
    typer.echo(f"{output_dir}: {stale}")


def _nothing(_obj: Manifest) -> None:
    """Tell that an object stands nowhere yet."""


def rendered(
    filename: list[str], target: schema_check.TargetVersions | None = None, standing: Standing = _nothing
) -> dict[ObjectKey, Manifest]:
    """Return what follows from documents, validated for a `target`; tell findings, and end where one is an error."""
    gc.disable()  # a process that ends soon; thousands of documents, none of which goes before it does
    given = read(filename)
    result = Rendering().of(given.documents, given.places, standing)
    found = [*given.findings, *result.findings]
    if target:
        found += schema_check.findings(result.objects.values(), target)
        found += remarks(given.documents, given.places)
    _show(found, empty=not result.objects)
    return result.objects


def read(filename: list[str]) -> Sources:
    """Return the documents in files, folders and standard input, and all that is wrong with them."""
    reading = Reading()
    found = sources.of(reading.documents(filename))
    broken = (TreeFinding("TG101", place, "", problem) for place, problem in reading.problems)
    return Sources(found.documents, found.places, (*broken, *found.findings))


def _show(found: list[TreeFinding], empty: bool) -> None:
    """Print findings; end here where there is an error, or nothing to render."""
    for finding in found:
        typer.echo(str(finding), err=True)
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(REFUSED)
    if empty:
        typer.echo("tidegate: nothing follows from these documents; no tree is emptied by that. See -f.", err=True)
        raise typer.Exit(REFUSED)
