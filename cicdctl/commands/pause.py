"""`cicdctl pause`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.queues import print_paused

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def pause(
    ctx: typer.Context,
    pipeline: Annotated[
        str, typer.Argument(help="Only this pipeline. Default: all.", autocompletion=complete_pipeline)
    ] = "",
) -> None:
    """Start nothing any more that waits, until `cicdctl resume`. What runs goes on; what is triggered is queued."""
    with open_here(ctx) as project:
        install_warnings(project)
        if ctx.obj.server:
            from cicdctl.reports.elsewhere import pause_there

            raise typer.Exit(pause_there(project, pipeline))
        raise typer.Exit(print_paused(project, pipeline))
