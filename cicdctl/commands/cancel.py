"""`cicdctl cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_run
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.output import print_lines
from cicdctl.runner.cancel import cancel_run
from cicdctl.runner.selection import find_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def cancel(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Number of the run.", autocompletion=complete_run)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown with the run.")] = "cancelled by hand",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
) -> None:
    """End a run that is going on: its stages are asked to end, then killed."""
    with open_here(ctx) as project:
        install_warnings(project)
        if ctx.obj.server:
            from cicdctl.reports.elsewhere import cancel_there

            raise typer.Exit(cancel_there(project, run, reason, wait=wait))
        print_lines([cancel_run(project, find_run(project, run).run.number, reason, wait=wait)])
