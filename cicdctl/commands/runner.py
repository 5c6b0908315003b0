"""`cicdctl _runner`: what a detached runner process executes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from cicdctl.commands.opening import open_here
from cicdctl.orchestrator.after_run import starting_successors
from cicdctl.reports.choice import install_reports
from cicdctl.reports.ending import exit_status
from cicdctl.runner import resume_begun

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(hidden=True)
def runner(
    ctx: typer.Context,
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    operator_file: Annotated[Path | None, typer.Option(help="The operator's file the run was made with.")] = None,
) -> None:
    """Carry out a run that is queued."""
    ctx.obj = replace(ctx.obj, operator_file=operator_file)
    with open_here(ctx) as project, install_reports(project), starting_successors(project):
        raise typer.Exit(exit_status(resume_begun(project, run)))
