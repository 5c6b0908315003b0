"""`cicdctl artifacts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.names import complete_run, complete_stage
from cicdctl.commands.opening import open_here
from cicdctl.reports.artifacts import print_artifacts
from cicdctl.reports.choice import install_warnings

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl artifacts 42 build --to ./out")
def artifacts(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Number of the run. Default: the latest.", autocompletion=complete_run)
    ] = "",
    stage: Annotated[str, typer.Argument(help="Only this stage's.", autocompletion=complete_stage)] = "",
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write them into this folder, made if need be.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List what the stages of a run left, or write it to a folder, every byte checked."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_artifacts(project, run, stage, to=to, json=json))
