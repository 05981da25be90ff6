"""`tidegate push`: the tree that follows from documents, onto a branch of a Git repository."""

import os
from functools import cache
from typing import Annotated

import typer

from k8s_manager.cli.api_commands.documents import Files
from k8s_manager.cli.manifest_commands.render import rendered
from k8s_manager.gitops.layout import Layout, object_in, path_of, review_branch
from k8s_manager.gitops.repository import Access, CommitInfo, Pushed, Repository
from k8s_manager.runtime.git_address import Address


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(push)


def push(
    filename: Files,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The repository: https, ssh, or a path.")],
    branch: Annotated[str, typer.Option(help="The branch that holds the tree.")] = "main",
    folder: Annotated[str, typer.Option(metavar="DIR", help="Where in the repository the tree stands.")] = "",
    review: Annotated[
        bool, typer.Option("--review", help="Push to a branch of this change, tidegate/..., that begins at --branch.")
    ] = False,
    message: Annotated[str, typer.Option("-m", "--message", help="What changes and why, for the commit.")] = "",
    author: Annotated[
        str, typer.Option(envvar="TIDEGATE_GIT_AUTHOR", metavar="NAME <ADDRESS>", help="Who asked for it.")
    ] = "Tidegate <tidegate@localhost>",
) -> None:
    """Commit the tree that follows from documents, and push it; a branch that holds it already gets no commit.

    tidegate push -f documents/ --to https://git.example.com/ml/manifests.git --folder clusters/eu -m "OPS-7: a limit"
    tidegate push -f documents/ --to git@git.example.com:ml/manifests.git --review

    Never by force: where another push is first, the branch is read and compared again. Files of others stay. For https,
    user and token are in TIDEGATE_GIT_USER and TIDEGATE_GIT_TOKEN, and authorities of your own in TIDEGATE_GIT_CA_FILE;
    for ssh, your agent's keys count, or what GIT_SSH_COMMAND says.
    """
    Address(to, branch, folder).require("--to", "--branch", "--folder")
    access = Access.of(os.environ)
    held = cache(Repository(to, branch, folder, access).read)
    tree = Layout().tree(rendered(filename, standing=lambda obj: object_in(held()[1].get(path_of(obj), ""))))
    target = review_branch(tree, held()[0]) if review else branch
    repository = Repository(to, target, folder, access)
    change = CommitInfo(message or f"Render {len(tree)} files", author)
    done = repository.put(tree, change, onto=branch if review else None)
    typer.echo(_told(done, target))


def _told(done: Pushed, branch: str) -> str:
    if not done.stale.files:
        return f"{branch} holds it already, at {done.commit}"
    return f"{branch} is at {done.commit}: {done.stale}"
