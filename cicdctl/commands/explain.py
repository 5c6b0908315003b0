"""`cicdctl explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline, complete_stage
from cicdctl.commands.opening import open_here, params_of
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.plans import print_explanation
from cicdctl.runner import RunRequest, explain_stage

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl explain build unit")
def explain(
    ctx: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Pipeline.", autocompletion=complete_pipeline)],
    stage: Annotated[str, typer.Argument(help="Stage, or one cell of its matrix.", autocompletion=complete_stage)],
    revision: Annotated[str, typer.Argument(help="Commit, branch or tag. Default: the working tree.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say which component of the key differs from the nearest earlier pass of a stage."""
    request = RunRequest(pipeline=pipeline, revision=revision, params=params_of(param or []))
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_explanation(explain_stage(project, request, stage), json=json))
