"""`tidegate completion`: scripts for shells, and the words that they offer: kinds, and the names of documents."""

import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from istio_templates.errors import TidegateError
from k8s_manager.cli import contexts
from k8s_manager.cli.connection import DEMO, Connection, connect
from k8s_manager.cli.kinds import OF_TENANTS, DocumentKind, is_kind, kind_named
from k8s_manager.cli.selection import Selected, found, tenants
from k8s_manager.client import TidegateClient, path_of

PATIENCE = 2.0
"""Seconds: who presses a key does not wait longer for an answer."""
_SCRIPTS = {
    "bash": """_tidegate_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _TIDEGATE_COMPLETE=complete_bash $1 ) )
    return 0
}
complete -o default -F _tidegate_completion tidegate
""",
    "zsh": """#compdef tidegate
_tidegate_completion() {
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _TIDEGATE_COMPLETE=complete_zsh tidegate)
}
compdef _tidegate_completion tidegate
""",
}


class Shell(StrEnum):
    """A shell for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="For which shell.")]) -> None:
    """Print a script that completes commands, kinds, and the names of documents.

    source <(tidegate completion bash)
    """
    typer.echo(_SCRIPTS[shell.value], nl=False)


def choices(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the kinds, or behind one the names of its documents."""
    words = list(ctx.params.get("what") or ())
    if isinstance(words, list) and words and is_kind(words[0]):
        return _starting(incomplete, _names(ctx, kind_named(words[0])))
    kind, slash, _ = incomplete.partition("/")
    if slash and is_kind(kind):
        return _starting(incomplete, [f"{kind}/{name}" for name in _names(ctx, kind_named(kind))])
    return _starting(incomplete, [name for one in DocumentKind for name in (one.value, f"{one.value}s")])


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the documents of the kind that was given."""
    kind = ctx.params.get("kind")
    return _starting(incomplete, _names(ctx, kind)) if isinstance(kind, DocumentKind) else []


def model_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of models."""
    return _starting(incomplete, _names(ctx, DocumentKind.MODEL))


def caller_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the callers that the shell may put where one is named."""
    return _starting(incomplete, _names(ctx, DocumentKind.CALLER))


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if word.startswith(incomplete)})


def _names(ctx: typer.Context, kind: DocumentKind) -> list[str]:
    def read(calls: Connection) -> list[str]:
        if kind not in OF_TENANTS:
            return [obj["metadata"]["name"] for obj in found(calls, Selected(kind), None, everywhere=False)]
        return [
            obj["metadata"]["name"] if contexts.namespace() else f"{owner}/{obj['metadata']['name']}"
            for owner in tenants(calls, None, everywhere=False)
            for obj in calls.items(path_of(kind.value, f"{owner}/"))
        ]

    return _asked(ctx, read)


def _asked(ctx: typer.Context, read: Callable[[Any], list[str]]) -> list[str]:
    """Return what a manager knows; nothing where it does not answer: a shell shows no errors."""
    given = ctx.params
    token_file = given.get("token_file") or os.environ.get("TIDEGATE_TOKEN_FILE")
    try:
        state = Path(given.get("state") or os.environ.get("TIDEGATE_STATE") or DEMO)
        calls = connect(
            given.get("server") or os.environ.get("TIDEGATE_SERVER"), Path(token_file) if token_file else None, state
        )
        return read(TidegateClient(calls.server, calls.token, PATIENCE))
    except (TidegateError, OSError, typer.BadParameter):
        return []
