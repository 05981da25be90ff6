"""The command line's way to the REST API: its address, its token and how long it is waited for."""

import math
import os
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import typer

from istio_templates.errors import Invalid, Problem, TidegateError
from k8s_manager.cli import contexts
from k8s_manager.cli.advice import in_options
from k8s_manager.cli.contexts import Context
from k8s_manager.client import ApiProblem, TidegateClient, Unanswered

TIMEOUT = "TIDEGATE_TIMEOUT"
_TOKEN = "TIDEGATE_TOKEN"
_STATE = "TIDEGATE_STATE"
DEMO = Path(".demo")
"""The folder of the standalone that `make demo` starts."""


class Failed(typer.Exit):
    """A call that did not succeed; exit code 2 for a refusal, 3 where nothing answered."""


class ManagerAnswer(dict[str, Any]):
    """A JSON object that was answered; a missing field is an error, since a manager always sends it."""

    def __missing__(self, name: str) -> Any:
        raise Unanswered(f"the answer has no field {name}, so it is not this version's manager's")


class Connection(TidegateClient):
    """A client whose errors are printed in full and end the command."""

    __slots__ = ()

    def failed(self, error: TidegateError) -> Exception:
        """Print an error; return what ends the command."""
        if isinstance(error, ApiProblem):
            typer.echo(f"tidegate: {in_options(str(error))}", err=True)
            return Failed(2)
        typer.echo(f"tidegate: {error} see --server and --state", err=True)
        return Failed(3)

    def call(self, method: str, path: str, body: Any = None, match: str | None = None) -> Any:
        """Return the answer to a call; a missing field is an error where it is read."""
        return checked(super().call(method, path, body, match))


def connect(server: str | None, token_file: Path | None, state: Path) -> Connection:
    """Return the connection that the options and the environment name; else the context's; else the standalone in
    `state`. The token of a context is for its own address only."""
    context = None if server is not None or _is_named(state) else contexts.current()
    address = server if server is not None else context.server if context else _standalone(state / "address")
    _require_address(address)
    return Connection(address.rstrip("/"), _token(token_file, state / "token", context), timeout())


def connection_to(context: Context) -> Connection:
    """Return the connection of a context; raises `Invalid` for an address or a token that cannot be one."""
    _require_address(context.server)
    return Connection(context.server.rstrip("/"), _of_context(context), timeout())


def _is_named(state: Path) -> bool:
    """Tell whether a standalone is asked for: its folder was named, also where that is the usual one."""
    words = (word.partition("=")[0] for word in sys.argv)
    return state != DEMO or _STATE in os.environ or "--state" in words


def timeout() -> float | None:
    """Return how long to wait for answers, if the caller set that; raises `BadParameter`."""
    text = os.environ.get(TIMEOUT)
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= 86_400:
        raise typer.BadParameter(f"--timeout {text!r} is no number of seconds above 0; write one such as 10")
    return found


def _standalone(file: Path) -> str:
    return f"http://{_text(file, 'the address of a standalone')}" if file.exists() else "http://127.0.0.1:8700"


def _token(token_file: Path | None, own: Path, context: Context | None) -> str:
    """Return the token; raises `Invalid`, without it, where there is none in a place that was named."""
    if given := os.environ.get(_TOKEN, ""):
        return _required(given, _TOKEN)
    if token_file is not None:
        return _required(_text(token_file, "the token"), f"token file {token_file}")
    if context is not None:
        return _of_context(context)
    return _required(_text(own, "the token"), f"token file {own}") if own.exists() else ""


def _of_context(context: Context) -> str:
    if context.token_file:
        return _required(_text(Path(context.token_file), "the token"), f"token file {context.token_file}")
    return _required(context.token, f"the token of context {context.name}") if context.token else ""


def _required(token: str, place: str) -> str:
    bare = token.strip()
    if not bare:
        raise Invalid(place, [Problem("", "is empty; write the bearer token into it")])
    if not all("!" <= letter <= "~" for letter in bare):
        said = "holds more than a token: spaces, line breaks or letters that are not ASCII; leave the token alone in it"
        raise Invalid(place, [Problem("", said)])
    return bare


def _text(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Invalid(str(file), [Problem("", f"cannot be read ({error.strerror}); it holds {what}")]) from None
    except UnicodeDecodeError:
        raise Invalid(str(file), [Problem("", f"is no text; it holds {what}")]) from None


def _require_address(address: str) -> None:
    """Raise `Invalid` where an address cannot be a manager's."""
    if said := _wrong(address):
        shown = "--server" if "@" in address else f"--server {address!r}"
        raise Invalid(shown, [Problem("", f"{said}; write it like http://127.0.0.1:8700")])


def _wrong(address: str) -> str:
    try:
        parts = urllib.parse.urlsplit(address)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        return "has no port from 1 to 65535" if "ort" in str(error) else f"is no address ({error})"
    reasons: tuple[tuple[bool, str], ...] = (
        (parts.scheme not in ("http", "https") or "//" not in address, "does not begin with http:// or https://"),
        ("@" in parts.netloc, "holds a user or a password; leave them out and give --token-file"),
        (not parts.hostname, "has no host"),
        (not has_port, "has no port from 1 to 65535"),
        (bool(parts.query or parts.fragment) or not _is_plain(address), "is no address of a manager"),
    )
    return next((said for is_so, said in reasons if is_so), "")


def _is_plain(address: str) -> bool:
    return all("!" <= letter <= "~" for letter in address)


def checked(answer: Any) -> Any:
    """Return an answer whose objects tell what they lack."""
    if isinstance(answer, dict):
        return ManagerAnswer({name: checked(inner) for name, inner in answer.items()})
    return [checked(inner) for inner in answer] if isinstance(answer, list) else answer
