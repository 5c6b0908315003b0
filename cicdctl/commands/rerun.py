"""`cicdctl rerun`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_run
from cicdctl.commands.opening import open_here, refuse_options
from cicdctl.process import account_name
from cicdctl.reports.choice import install_reports
from cicdctl.reports.ending import exit_status
from cicdctl.runner import run_pipeline
from cicdctl.runner.again import request_again
from cicdctl.runner.selection import find_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl rerun 42 --failed")
def rerun(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Number of the run. Default: the latest.", autocompletion=complete_run)
    ] = "",
    failed: Annotated[
        bool, typer.Option("--failed", help="Keep what passed in it, even what is never cached.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every stage.")] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=0, show_default=False, help="Stages at once. Default: one per core."
        ),
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Run the same pipeline on the same commit again, as a new run."""
    if ctx.obj.server:
        from cicdctl.reports.elsewhere import follow_there, rerun_there

        refuse_options("--server", {"--no-cache": no_cache, "--jobs": jobs})
        with open_here(ctx) as project, install_reports(project, json=json):
            raise typer.Exit(follow_there(project, rerun_there(project, run, failed=failed)))
    with open_here(ctx) as project, install_reports(project, json=json):
        old = find_run(project, run).run
        request = request_again(project, old, failed=failed, no_cache=no_cache, jobs=jobs, started_by=account_name())
        raise typer.Exit(exit_status(run_pipeline(project, request)))
