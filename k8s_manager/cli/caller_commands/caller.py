"""`tidegate caller`: tokens of those who call a tenant's models, and who may not call any more."""

from typing import Annotated, Any

import typer

from istio_templates.documents.callers.token_lifetime import lifetime
from k8s_manager.cli import contexts, output
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    DryRun,
    Output,
    Reason,
    Server,
    State,
    Ticket,
    TokenFile,
    asked_for,
    show_plan,
)
from k8s_manager.cli.completion import caller_names
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected, path_of, tenant_in

KIND = "Caller"
app = typer.Typer(
    help="Callers of models: issue and revoke their tokens, suspend them, rotate the keys that sign tokens.",
    epilog="Write callers with tidegate apply, see them with tidegate get callers and tidegate describe caller.",
    no_args_is_help=True,
)
CallerName = Annotated[
    str,
    typer.Argument(metavar="TENANT/CALLER", help="A caller; with -n the CALLER alone.", autocompletion=caller_names),
]


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="caller")


@app.command()
def token(
    caller: CallerName,
    ttl: Annotated[str, typer.Option("--for", metavar="TIME", help="For how long: 1m to 366d, such as 90d or 12h.")],
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Issue a token to a caller. It is printed this once, alone on standard output; what else is said goes beside it.

    Note its id: by that the token is revoked. A token is never good longer than its caller.

    TOKEN=$(tidegate caller token search/app1 --for 90d)

    curl -H "Authorization: Bearer $TOKEN" https://search.models.example.com/v2/models/ranker/infer
    """
    _require_lifetime(ttl)
    connection = connect(server, token_file, state)
    answer = connection.call("POST", f"{_path(connection, caller)}/tokens{asked_for(dry_run, None)}", {"ttl": ttl})
    if form is not Format.TABLE:
        output.show(answer, form)
    elif dry_run:
        typer.echo(f"{caller} would get a token that is good until {answer['expires']} (dry run)")
    else:
        typer.echo(answer["token"])
        said = f"token {answer['id']} of {caller} is good until {answer['expires']} and is not shown again"
        typer.echo(f"{said}; revoke it with: tidegate caller revoke {caller} {answer['id']}", err=True)


@app.command()
def revoke(
    caller: CallerName,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id (jti), as it was told with it.")],
    expires: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="When it expires by itself, after which it leaves the list.")
    ] = None,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """End one token of a caller. Its other tokens stay good; tidegate caller suspend ends all for a time.

    Give --expires for a token of another issuer that is good for longer than a year.

    tidegate caller revoke search/app1 3f9c2b1a7d5e4f60 --reason "was in a log"
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, caller)}/revocations{asked_for(dry_run, None, reason=reason, ticket=ticket)}"
    answer = connection.call("POST", path, {"id": token_id, **({"expires": expires} if expires else {})})
    _show(form, answer, caller, f"has no token {token_id} any more")


@app.command()
def suspend(
    caller: CallerName,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Let a caller call no model, whatever token it shows, until it is resumed.

    tidegate caller suspend search/app1 --reason "calls in a loop"
    """
    connection = connect(server, token_file, state)
    answer = _change(connection, caller, {"suspended": True}, asked_for(dry_run, None, reason=reason, ticket=ticket))
    _show(form, answer, caller, "may call no model")


@app.command()
def resume(
    caller: CallerName,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Let a caller that was suspended call again. Its tokens are good again, but for those that were revoked.

    tidegate caller resume search/app1
    """
    connection = connect(server, token_file, state)
    answer = _change(connection, caller, {"suspended": None}, asked_for(dry_run, None, reason=reason, ticket=ticket))
    _show(form, answer, caller, "may call again")


@app.command("rotate-keys")
def rotate_keys(
    tenant: Annotated[
        str | None, typer.Argument(metavar="[TENANT]", help="A tenant; with -n that of the namespace.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="End every token issued so far.")] = False,
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Sign a tenant's tokens by a new key. Tokens issued so far stay good until they expire, or with --now end at once.

    Use --now where a key may be known to others: every caller then needs a new token.

    tidegate caller rotate-keys search
    """
    connection = connect(server, token_file, state)
    owner = tenant or (tenant_in(connection, here) if (here := contexts.namespace()) else "")
    if not owner or "/" in owner:
        raise typer.BadParameter("name the TENANT whose keys are rotated, or give -n NAMESPACE")
    path = f"/v1/tenants/{owner}/keys/rotate{asked_for(dry_run, None)}"
    answer = connection.call("POST", path, {"now": now})
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for sentence in _rotation(owner, answer["keys"], now, dry_run):
        typer.echo(sentence)


def _rotation(tenant: str, keys: list[dict[str, Any]], now: bool, dry_run: bool) -> list[str]:
    """Return what a rotation has done, or would do."""
    new = next((key["id"] for key in keys if "until" not in key), "")
    head = f"tokens of {tenant} would be signed by a new key (dry run)" if dry_run else f"key {new} signs for {tenant}"
    old = [f"key {key['id']} verifies older tokens until {key['until']}" for key in keys if "until" in key]
    ended = [f"every token issued before {'would be' if dry_run else 'is'} good no more; issue new ones"] if now else []
    return [head, *old, *ended]


def _require_lifetime(text: str) -> None:
    try:
        lifetime(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None


def _path(connection: Connection, caller: str) -> str:
    return path_of(connection, Selected(DocumentKind.CALLER, caller))


def _change(connection: Connection, caller: str, spec: Object, query: str) -> Object:
    return dict(connection.call("PATCH", _path(connection, caller) + query, {"spec": spec}))


def _show(form: Format, answer: Object, caller: str, done: str) -> None:
    def said() -> None:
        typer.echo(f"{caller} {done}{' (dry run)' if answer.get('dryRun') else ''}")
        if answer.get("dryRun"):
            show_plan(answer)

    outcome.show(form, answer, (KIND, caller.rpartition("/")[2]), said)
