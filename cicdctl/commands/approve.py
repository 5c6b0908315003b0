"""`cicdctl approve`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_run
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.queues import print_approved

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def approve(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Number of the run.", autocompletion=complete_run)],
) -> None:
    """Let a run start whose pipeline has `approval = true`. Who did it is recorded."""
    with open_here(ctx) as project:
        install_warnings(project)
        if ctx.obj.server:
            from cicdctl.reports.elsewhere import approve_there

            raise typer.Exit(approve_there(project, run))
        raise typer.Exit(print_approved(project, run))
