"""`cicdctl state`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import confirm, open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.states import print_backup, print_check, print_restored

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Check the state, back it up, put it back."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def check(ctx: typer.Context, json: Json = False) -> None:
    """Check the whole state database, and list its backups. Exit status 1 when it is damaged."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_check(project, json=json))


@app.command()
def backup(ctx: typer.Context, json: Json = False) -> None:
    """Make a backup now; one is made each hour in which something ran, and the last three are kept."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_backup(project, json=json))


@app.command(epilog="Example: cicdctl state restore")
def restore(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The backup. Default: the last one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the place of the state; the files that are there now are moved aside, not removed."""
    with open_here(ctx) as project:
        install_warnings(project)
        if not yes and not confirm(f'Replace the state in "{project.state_folder}"?'):
            raise typer.Exit(5)
        raise typer.Exit(print_restored(project, file))
