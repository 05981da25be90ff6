"""The command line's way to the REST API."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import typer

PATIENCE = 60  # seconds without a byte of an answer; a stream of events may be silent for longer


class Failed(typer.Exit):
    """A call that did not succeed; exit code 2 for a refusal, 3 where nothing answered."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the manager is, and who we are."""

    server: str
    token: str

    def call(self, method: str, path: str, body: Any = None, match: str | None = None) -> Any:
        """Return the answer to a call; a refusal is printed in full and ends the command."""
        try:
            with self._open(method, path, body, PATIENCE, match) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (urllib.error.URLError, OSError) as error:
            typer.echo(
                f"tidegate: no answer from {self.server} ({error}); is the manager running? see --server and --state",
                err=True,
            )
            raise Failed(3) from None

    def write(self, path: str, document: Any, query: str = "") -> Any:
        """Write a whole document over the version that is there now, or make it; somebody else's change meanwhile is
        refused."""
        try:
            with self._open("GET", path, None, PATIENCE) as answer:
                version = answer.headers["ETag"]
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise _refusal(error) from None
            version = None
        except (urllib.error.URLError, OSError):
            version = None  # the call itself will say so
        return self.call("PUT", path + query, document, version)

    def items(self, path: str) -> Iterator[Any]:
        """Yield everything that a list holds, page by page."""
        after = ""
        while True:
            page = self.call("GET", path + after)
            yield from page["items"]
            if "continue" not in page:
                return
            after = "?continue=" + urllib.parse.quote(page["continue"], safe="")

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream until it ends or the user stops it."""
        with self._open("GET", path, None, None) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def _open(self, method: str, path: str, body: Any, patience: float | None, match: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if match is not None:
            headers["If-Match"] = match
        request = urllib.request.Request(self.server + path, data, headers, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=patience)


def _refusal(error: urllib.error.HTTPError) -> Failed:
    try:
        problem = json.load(error)
    except ValueError:
        problem = {"title": error.reason, "detail": "", "problems": []}
    typer.echo(f"tidegate: {error.code} {problem['title']}: {problem['detail']}", err=True)
    return Failed(2)


def connect(server: str | None, token_file: Path | None, state: Path) -> Connection:
    """Return the connection that the options and the environment name; else the standalone in `state`."""
    token = os.environ.get("TIDEGATE_TOKEN", "")
    file = token_file or (state / "token")
    if not token and file.exists():
        token = file.read_text().strip()
    address = state / "address"
    found = server or (f"http://{address.read_text().strip()}" if address.exists() else "http://127.0.0.1:8700")
    return Connection(found.rstrip("/"), token)
