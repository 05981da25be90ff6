"""The command line: the same words as the REST API.

Exit codes: 0 done; 1 a command that could not run; 2 refused (the reason is printed); 3 no answer.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer

from istio_templates.errors import Conflict, Invalid, TidegateError
from k8s_manager.cli.completion_words import VARIABLE, prepare
from k8s_manager.cli.connection import TIMEOUT
from k8s_manager.cli.contexts import CONTEXT, NAMESPACE

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "server_commands.serve": ("serve", "standalone"),
    "api_commands.documents": ("apply", "scale", "autoscale", "traffic", "pause", "resume", "limit", "explain"),
    "api_commands.get": ("get",),
    "api_commands.describe": ("describe",),
    "api_commands.delete": ("delete",),
    "api_commands.wait": ("wait", "rollout"),
    "api_commands.events": ("events",),
    "manifest_commands.render": ("render",),
    "manifest_commands.push": ("push",),
    "manifest_commands.backup": ("backup",),
    "api_commands.git": ("git",),
    "manifest_commands.import_command": ("import",),
    "api_commands.overrides": ("override",),
    "manifest_commands.simulate": ("simulate",),
    "statistics_commands.collect": ("collect",),
    "statistics_commands.shipper": ("collect shipper",),
    "statistics_commands.flink_sql": ("collect flink-sql",),
    "statistics_commands.kafka": ("collect kafka", "collect remote-write"),
    "statistics_commands.top": ("top",),
    "statistics_commands.usage": ("usage",),
    "statistics_commands.logs": ("logs",),
    "warmup_commands.warmup": ("warmup",),
    "warmup_commands.measure": ("measure",),
    "server_commands.doctor": ("doctor",),
    "api_commands.access": ("whoami", "token", "console", "audit"),
    "api_commands.claims": ("claims",),
    "release_commands.release": ("release",),
    "release_commands.versions": ("versions",),
    "release_commands.selections": ("selection",),
    "caller_commands.caller": ("caller",),
    "api_commands.history": ("history", "rollback"),
    "api_commands.plan": ("plan", "diff"),
    "api_commands.config": ("config", "login"),
    "completion": ("completion",),
}  # fmt: skip
"""The commands of each module, in the order of the help. What one command needs is not loaded for another."""
_CONNECTION = ("--server", "--token-file", "--state")
"""Options of commands that people write before the command too."""
_FLAGS = ("-A", "--all-namespaces")
"""The same, without a value."""
_EVERYWHERE = ("--timeout", "-n", "--namespace", "--context")
"""Options of every command, which stand before it or after it."""
_OWN_TIMEOUT = ("wait", "rollout")
"""Commands whose own --timeout, behind them, says how long they wait for their condition."""
_TWO_WORDS = {"collect": ("shipper", "flink-sql", "kafka", "remote-write")}
"""Commands of two words, beside one that takes files; a file of such a name is given as ./NAME."""
_SHORT = re.compile(r"-n=?[a-z0-9][a-z0-9-]*")
_STANDING = ("serve", "standalone", "agent", "--pods", "collect kafka", "collect remote-write")
"""Commands that run until they are stopped: what ends them by surprise belongs into their log in full."""
_TRACEBACK = "TIDEGATE_TRACEBACK"


def build(words: Sequence[str]) -> typer.Typer:
    """Return the command line as far as `words` need it: one command's module, or for help and completion all."""
    app = typer.Typer(
        help="Tidegate: gateways, tenants, models and limits on Kubernetes and Istio.",
        epilog="Exit codes: 0 done, 1 could not run, 2 refused, 3 no answer from the manager.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    app.callback()(_top)
    asked = [module for module, commands in COMMANDS.items() if words and words[0] in commands]
    for module in COMMANDS if VARIABLE in os.environ or not asked else asked:
        import_module(f"k8s_manager.cli.{module}").add_to(app)
    return app


def arranged(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options for every command, and the command with its own: either may be written first."""
    first, rest = list[str](), list(words)
    behind: list[str] = []
    command = _command_place(rest)
    own = command if rest[command : command + 1] and rest[command] in _OWN_TIMEOUT else len(rest)
    end = rest.index("--") if "--" in rest else len(rest)
    for place in reversed(range(end)):
        name = rest[place].partition("=")[0]
        if name == "--timeout" and place > own:
            continue
        if _SHORT.fullmatch(rest[place]):
            first = ["-n", rest.pop(place)[2:].removeprefix("="), *first]
        elif name in _EVERYWHERE:
            first = [*_taken(rest, place), *first]
    while rest and (rest[0] in _FLAGS or rest[0].partition("=")[0] in _CONNECTION):
        behind += [rest.pop(0)] if rest[0] in _FLAGS else _taken(rest, 0)
    if rest[-1:] == ["--version"]:
        return ["--version"], []
    if len(rest) > 1 and rest[1] in _TWO_WORDS.get(rest[0], ()):
        rest[:2] = [" ".join(rest[:2])]
    return first, [*rest, *behind]


def _command_place(words: Sequence[str]) -> int:
    """Return where the command stands: behind the options that are written before it."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        has_value = words[place] in (*_EVERYWHERE, *_CONNECTION)
        place += 2 if has_value else 1
    return place


def _taken(words: list[str], place: int) -> list[str]:
    """Take an option and its value out of words."""
    count = 1 if "=" in words[place] else 2
    taken = words[place : place + count]
    del words[place : place + count]
    return taken


def _top(
    timeout: Annotated[
        str | None,
        typer.Option(envvar=TIMEOUT, help="Seconds to wait for the manager (10 to read, 60 to write)."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", envvar=NAMESPACE, help="The tenant's namespace that names stand in."),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", envvar=CONTEXT, help="The context to use; see tidegate config.")
    ] = None,
    _version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Take the options of every command. They may stand before it or after it."""
    for name, value in ((TIMEOUT, timeout), (NAMESPACE, namespace), (CONTEXT, context)):
        if value is not None:
            os.environ[name] = value


def main() -> None:
    """Run the command line; errors are sentences, not stack traces."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    given = sys.argv[1:]
    if VARIABLE in os.environ:
        given = prepare(os.environ, arranged)
    first, words = arranged(given)
    if first == ["--version"]:
        from importlib.metadata import version

        typer.echo(f"tidegate {version('tidegate')}")
        return
    sys.argv[1:] = [*first, *words]
    try:
        build(words)(prog_name="tidegate")
    except (Conflict, Invalid) as error:
        typer.echo(f"tidegate: {error.subject}:", err=True)
        for problem in error.problems:
            typer.echo(f"  {problem}", err=True)
        raise SystemExit(2) from None
    except TidegateError as error:
        _end(str(error))
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        _end(f"{error.filename or 'a call of the system'}: {error.strerror or error}; give another place")
    except Exception as error:
        if _TRACEBACK in os.environ or set(words[:2]) & set(_STANDING):
            raise
        said = f"this command failed ({type(error).__name__}: {error}); set {_TRACEBACK}=1 for the trace, and report it"
        _end(said)


def _end(said: str) -> None:
    """End with code 1; `diff` with 2, since 1 says there that something differs."""
    typer.echo(f"tidegate: {said}", err=True)
    raise SystemExit(2 if "diff" in sys.argv[1:] else 1) from None


if __name__ == "__main__":
    main()
