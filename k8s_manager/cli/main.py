"""The command line: the same words as the REST API.

Exit codes: 0 done; 1 a command that could not run; 2 refused (the reason is printed); 3 no answer.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import typer

from istio_templates.errors import Conflict, Invalid, TidegateError

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "server_commands.serve": ("serve", "standalone"),
    "api_commands.documents": (
        "apply", "get", "delete", "scale", "traffic", "pause", "resume", "limit", "explain", "events",
    ),
    "manifest_commands.render": ("render",),
    "manifest_commands.push": ("push",),
    "api_commands.git": ("git",),
    "manifest_commands.import_command": ("import",),
    "api_commands.overrides": ("override",),
    "manifest_commands.simulate": ("simulate",),
    "warmup_commands.warmup": ("warmup",),
    "warmup_commands.measure": ("measure",),
    "server_commands.doctor": ("doctor",),
    "api_commands.access": ("whoami", "token"),
    "api_commands.claims": ("claims",),
    "api_commands.history": ("history", "rollback"),
    "api_commands.plan": ("plan", "diff"),
}  # fmt: skip
"""The commands of each module, in the order of the help. What one command needs is not loaded for another."""
_COMPLETION = "_TIDEGATE_COMPLETE"


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
    for module in COMMANDS if _COMPLETION in os.environ or not asked else asked:
        import_module(f"k8s_manager.cli.{module}").add_to(app)
    return app


def _top() -> None:
    """Be there, so that an application of one command still has commands."""


def main() -> None:
    """Run the command line; our own errors are sentences, not stack traces."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        build(sys.argv[1:])()
    except (Conflict, Invalid) as error:
        typer.echo(f"tidegate: {error.subject}:", err=True)
        for problem in error.problems:
            typer.echo(f"  {problem}", err=True)
        raise SystemExit(2) from None
    except TidegateError as error:
        typer.echo(f"tidegate: {error}", err=True)
        raise SystemExit(1) from None
    except BrokenPipeError:
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
