"""`cicdctl secrets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.secrets import forget_secret, print_secrets, store_secret

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Keep values that only the stages that name them see.",
)


@app.command(
    "set", epilog="Examples: cicdctl secrets set TOKEN < token.txt   |   cicdctl secrets set KEY --file key.pem"
)
def set_secret(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the environment variable.")],
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the value from here. Default: stdin.")] = None,
) -> None:
    """Store a secret, read from stdin or a file, never from the command line."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(store_secret(project, name, file))


@app.command("list")
def list_secrets(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """List the names of the secrets and the stages that use them; never a value."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_secrets(project, json=json))


@app.command()
def remove(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Name of the secret.")]) -> None:
    """Forget a secret."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(forget_secret(project, name))
