"""`tidegate backup`: all documents as files, from which an empty cluster becomes what this one is."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from istio_templates.documents.override import moment
from istio_templates.errors import Invalid, Problem
from istio_templates.names import key_of
from istio_templates.yaml_text import yaml_text
from k8s_manager.cli import selection
from k8s_manager.cli.api_commands.documents import DEMO, Server, State, TokenFile
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Object
from k8s_manager.cli.selection import Selected

ACCEPTED, REJECTED = "accepted.yaml", "rejected.yaml"
_KEPT = ("name", "namespace", "labels", "annotations")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backup)


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the files go; a backup that is there is replaced.")],
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Write all documents into files, without what only this cluster knows: identifiers, versions, statuses.

    tidegate backup backups/2026-11-28
    tidegate apply -f backups/2026-11-28/accepted.yaml     # later, on an empty cluster

    Documents that are accepted here exclude none of each other, so accepted.yaml gives every host and every path back
    to whom it belongs, in whatever order. What is rejected here is in rejected.yaml, to be applied after it. Overrides
    that have ended are left out, and so are warm-up plans, which kubectl reads: see docs/restore.md.
    """
    by_file: dict[str, list[Object]] = {ACCEPTED: [], REJECTED: []}
    for obj in _documents(connect(server, token_file, state)):
        by_file[ACCEPTED if _accepted(obj).get("status") == "True" else REJECTED].append(obj)
    _write(folder, {name: [_plain(obj) for obj in objects] for name, objects in by_file.items()})
    for name, objects in by_file.items():
        typer.echo(f"{folder / name}: {_counted(objects)}")
    for obj in by_file[REJECTED]:
        typer.echo(f"  {key_of(obj)}: {_why(obj)}")


def _documents(connection: Connection) -> Iterator[Object]:
    """Yield all documents that are to live on, those first that others refer to."""
    for kind in DocumentKind:
        for _, obj in selection.owned(connection, Selected(kind), None, everywhere=True):
            if "deletionTimestamp" not in obj["metadata"] and not _has_ended(obj):
                yield obj


def _has_ended(obj: Object) -> bool:
    return obj["kind"] == "LimitOverride" and moment(obj["spec"]["expires"]) <= datetime.now(UTC)


def _accepted(obj: Object) -> Object:
    conditions: Object = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
    return dict(conditions.get("Accepted", {}))


def _why(obj: Object) -> str:
    return str(_accepted(obj).get("message") or "the manager has not read it yet; make the backup again in a moment")


def _plain(obj: Object) -> Object:
    metadata = {name: obj["metadata"][name] for name in _KEPT if obj["metadata"].get(name)}
    annotations = {name: text for name, text in metadata.pop("annotations", {}).items() if name != _LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": obj["spec"]}


def _write(folder: Path, files: dict[str, list[Object]]) -> None:
    """Write the files, each whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, objects in files.items():
            part = folder / f".{name}.part"
            part.write_text(yaml_text(objects) if objects else "")
            part.replace(folder / name)
    except OSError as error:
        said = f"{error.strerror}; name a folder that can be written"
        raise Invalid(f"the backup {folder}", [Problem("", said)]) from error


def _counted(objects: list[Object]) -> str:
    counts = Counter(selection.kind_of(obj).value for obj in objects)
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items()) or "nothing"
