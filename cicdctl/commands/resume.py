"""`cicdctl resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.queues import print_requeued, print_resumed

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def resume(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="[PIPELINE|RUN]",
            help="Only this pipeline, or a run that was interrupted. Default: all pipelines.",
            autocompletion=complete_pipeline,
        ),
    ] = "",
) -> None:
    """Let go on what is paused; or queue a run again whose runner died, with what passed in it."""
    with open_here(ctx) as project:
        install_warnings(project)
        if ctx.obj.server:
            from cicdctl.reports.elsewhere import resume_there

            raise typer.Exit(resume_there(project, which))
        if which.removeprefix("#").isdigit():
            raise typer.Exit(print_requeued(project, which))
        raise typer.Exit(print_resumed(project, which))
