"""`cicdctl plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import open_here, params_of
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.plans import print_forecast
from cicdctl.runner import RunRequest, forecast

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl plan build --graph")
def plan(
    ctx: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Pipeline to look at.", autocompletion=complete_pipeline)],
    revision: Annotated[str, typer.Argument(help="Commit, branch or tag. Default: the working tree.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", "-s", metavar="STAGE", help="Only this stage and what it needs.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="STAGE", help="Begin at this stage; what comes before it is taken from the cache."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="End after this stage.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="As if nothing were cached.")] = False,
    graph: Annotated[bool, typer.Option("--graph", "-g", help="Draw the stages and what they need.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what would run, be cached or be skipped, and why. Executes no stage."""
    request = RunRequest(
        pipeline=pipeline,
        revision=revision,
        params=params_of(param or []),
        only=tuple(stage or ()),
        start=start,
        until=until,
        no_cache=no_cache,
    )
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_forecast(forecast(project, request), json=json, graph=graph))
