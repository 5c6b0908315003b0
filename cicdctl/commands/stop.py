"""`cicdctl stop`."""

from __future__ import annotations

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.watching import print_stopped

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def stop(ctx: typer.Context) -> None:
    """End the orchestrator of this repository. Runs that go on are not touched."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_stopped(project))
