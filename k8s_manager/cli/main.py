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
    "running": ("serve", "standalone"),
    "documents": (
        "apply", "get", "delete", "scale", "traffic", "pause", "resume", "limit", "explain", "events",
    ),
    "render": ("render",),
    "push": ("push",),
    "git": ("git",),
    "importing": ("import",),
    "overrides": ("override",),
    "simulate": ("simulate",),
    "warmup": ("warmup",),
    "measure": ("measure",),
    "doctor": ("doctor",),
    "access": ("whoami", "token"),
    "claims": ("claims",),
    "history": ("history", "rollback"),
    "plan": ("plan", "diff"),
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
