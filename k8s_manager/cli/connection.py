"""The command line's way to the REST API."""

import os
from pathlib import Path

import typer

from istio_templates.errors import TidegateError
from k8s_manager.client import ApiProblem, TidegateClient


class Failed(typer.Exit):
    """A call that did not succeed; exit code 2 for a refusal, 3 where nothing answered."""


class Connection(TidegateClient):
    """A client whose errors are printed in full and end the command."""

    __slots__ = ()

    def failed(self, error: TidegateError) -> Exception:
        """Print an error; return what ends the command."""
        if isinstance(error, ApiProblem):
            typer.echo(f"tidegate: {error}", err=True)
            return Failed(2)
        typer.echo(f"tidegate: {error} see --server and --state", err=True)
        return Failed(3)


def connect(server: str | None, token_file: Path | None, state: Path) -> Connection:
    """Return the connection that the options and the environment name; else the standalone in `state`."""
    token = os.environ.get("TIDEGATE_TOKEN", "")
    file = token_file or (state / "token")
    if not token and file.exists():
        token = file.read_text().strip()
    address = state / "address"
    found = server or (f"http://{address.read_text().strip()}" if address.exists() else "http://127.0.0.1:8700")
    return Connection(found.rstrip("/"), token)
