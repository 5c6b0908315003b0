"""`cicdctl trigger`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import open_here, params_of, refuse_options
from cicdctl.process import account_name
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.queues import print_triggered
from cicdctl.runner import RunRequest

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Wait(StrEnum):
    """What the command waits for."""

    NONE = "none"
    START = "start"
    END = "end"


@app.command(epilog="Example: cicdctl trigger deploy v1.2 --param environment=staging --wait end")
def trigger(
    ctx: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Pipeline to run.", autocompletion=complete_pipeline)],
    revision: Annotated[str, typer.Argument(help="Commit, branch or tag.")] = "HEAD",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every stage; passes are remembered anew.")] = False,
    wait: Annotated[Wait, typer.Option(help="Return when it is recorded, has started, or has ended.")] = Wait.NONE,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Queue a run of a commit. It starts when there is room, without this command; what comes after it follows."""
    request = RunRequest(
        pipeline=pipeline,
        revision=revision,
        params=params_of(param or []),
        no_cache=no_cache,
        started_by=account_name(),
    )
    with open_here(ctx) as project:
        install_warnings(project)
        if ctx.obj.server:
            from cicdctl.reports.elsewhere import print_triggered_there

            refuse_options("--server", {"--no-cache": no_cache})
            params = request.params
            raise typer.Exit(print_triggered_there(project, pipeline, revision, params, wait=wait.value, json=json))
        raise typer.Exit(print_triggered(project, request, wait=wait.value, json=json))
