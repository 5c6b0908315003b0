"""`cicdctl rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_environment, complete_run
from cicdctl.commands.opening import open_here
from cicdctl.commands.trigger import Wait
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.rollbacks import print_rollback

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl rollback production --dry-run   |   cicdctl rollback production --wait end")
def rollback(
    ctx: typer.Context,
    environment: Annotated[str, typer.Argument(help="Environment to bring back.", autocompletion=complete_environment)],
    to: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            show_default=False,
            help="Deploy what this run had deployed. Default: the last good deployment before the current one.",
            autocompletion=complete_run,
        ),
    ] = "",
    wait: Annotated[Wait, typer.Option(help="Return when it is recorded, has started, or has ended.")] = Wait.NONE,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what it would do, and do nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Deploy again what an environment had before: the same pipeline, commit and parameters, as a new run."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_rollback(project, environment, to=to, dry_run=dry_run, wait=wait.value, json=json))
