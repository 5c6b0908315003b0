"""`cicdctl token`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.tokens import create_token, print_tokens, revoke_token

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make and revoke tokens for the server.",
)


@app.command(epilog="Example: cicdctl token create ci --scope trigger:build --scope read --expires 90d")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is, or what it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="read, cancel, trigger, trigger:PIPELINE or admin; repeatable."),
    ] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="For example 90d. Default: never.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make a token and print it, once. Default scope: read."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(create_token(project, name, scope or ["read"], expires=expires, json=json))


@app.command("list")
def list_tokens(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """List the tokens, what each may do, and when it was last used; never a token itself."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_tokens(project, json=json))


@app.command()
def revoke(
    ctx: typer.Context,
    token: Annotated[str, typer.Argument(metavar="NAME|ID", help="Name of the tokens, or the id of one.")],
) -> None:
    """Make tokens worthless at once, and end the sessions that began with them."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(revoke_token(project, token))
