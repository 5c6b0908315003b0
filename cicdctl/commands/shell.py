"""`cicdctl shell`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from cicdctl.commands.names import complete_run, complete_stage
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.shells import greet
from cicdctl.reports.stage_names import refuse_matrix
from cicdctl.runner import open_shell
from cicdctl.runner.selection import find_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl shell 42 unit   |   cicdctl shell 42 unit -c 'pytest -x -k login'")
def shell(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Number of the run.", autocompletion=complete_run)],
    stage: Annotated[str, typer.Argument(help="Stage, or one cell of its matrix.", autocompletion=complete_stage)],
    command: Annotated[
        str | None,
        typer.Option("--command", "-c", metavar="COMMAND", help="Run this with sh and exit, instead of a shell."),
    ] = None,
) -> None:
    """Open a shell in a fresh copy of what a stage saw: same commit, artifacts, environment. Gone when you leave it."""
    with open_here(ctx) as project:
        install_warnings(project)
        summary = find_run(project, run)
        refuse_matrix(summary, stage)
        raise typer.Exit(
            open_shell(project, summary.run.number, stage, command=command, on_open=partial(greet, project))
        )
