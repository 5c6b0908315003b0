"""`cicdctl show`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_run
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.runs import print_run
from cicdctl.runner.recovery import recover_and_tell
from cicdctl.runner.selection import find_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def show(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Number of the run. Default: the latest.", autocompletion=complete_run)
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show one run with its stages, summaries and failures."""
    with open_here(ctx) as project:
        install_warnings(project)
        recover_and_tell(project)
        raise typer.Exit(print_run(project, find_run(project, run), json=json))
