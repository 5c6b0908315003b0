"""`cicdctl drain`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.queues import print_drained

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def drain(
    ctx: typer.Context,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Give up waiting; the runs go on.")
    ] = None,
) -> None:
    """Start what waits, and wait until everything has ended. Exit status 1 when a run did not pass."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_drained(project, timeout_s=timeout))
