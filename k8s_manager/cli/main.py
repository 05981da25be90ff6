"""The command line: the same words as the REST API.

Exit codes: 0 done; 1 a command that could not run; 2 refused (the reason is printed); 3 no answer.
"""

import logging
import sys

import typer

from istio_templates.errors import Conflict, Invalid, TidegateError
from k8s_manager.cli import (
    access,
    claims,
    doctor,
    documents,
    history,
    measure,
    overrides,
    plan,
    running,
    simulate,
    warmup,
)

app = typer.Typer(
    help="Tidegate: gateways, tenants, models and limits on Kubernetes and Istio.",
    epilog="Exit codes: 0 done, 1 could not run, 2 refused, 3 no answer from the manager.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
running.add_to(app)
documents.add_to(app)
overrides.add_to(app)
simulate.add_to(app)
warmup.add_to(app)
measure.add_to(app)
doctor.add_to(app)
access.add_to(app)
claims.add_to(app)
history.add_to(app)
plan.add_to(app)


def main() -> None:
    """Run the command line; our own errors are sentences, not stack traces."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        app()
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
