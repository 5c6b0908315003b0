"""`cicdctl run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline, complete_stage
from cicdctl.commands.opening import open_here, params_of, refuse_options
from cicdctl.process import account_name
from cicdctl.reports.choice import install_reports, install_warnings
from cicdctl.reports.ending import exit_status
from cicdctl.runner import RunRequest, run_pipeline

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Examples: cicdctl run build   |   cicdctl run test HEAD~1 --stage unit   |   cicdctl run build main~5..main"
)
def run(
    ctx: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Pipeline to run.", autocompletion=complete_pipeline)],
    revision: Annotated[
        str, typer.Argument(help="Commit, branch, tag or range a..b. Default: the working tree as it is.")
    ] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage", "-s", metavar="STAGE", help="Only this stage and what it needs.", autocompletion=complete_stage
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="STAGE", help="Begin at this stage; what comes before it is taken from the cache."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="End after this stage.")] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=0, show_default=False, help="Stages at once. Default: one per core."
        ),
    ] = 0,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Go on with what does not need a failed stage.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every stage; passes are remembered anew.")] = False,
    fail_on_cache_miss: Annotated[
        bool, typer.Option("--fail-on-cache-miss", help="Run nothing: exit 7 at the first stage not in the cache.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; print the run's number.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and run nothing.")] = False,
    no_fix: Annotated[bool, typer.Option("--no-fix", help="Start no fixer when it fails.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each event as a line of JSON; - is stderr.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the run as JUnit XML.")] = None,
) -> None:
    """Run a pipeline here and now, on a snapshot of the working tree or on a commit."""
    request = RunRequest(
        pipeline=pipeline,
        revision=revision,
        params=params_of(param or []),
        only=tuple(stage or ()),
        start=start,
        until=until,
        jobs=jobs,
        keep_going=keep_going,
        no_cache=no_cache,
        fail_on_cache_miss=fail_on_cache_miss,
        started_by=account_name(),
    )
    files = {"--events": events, "--junit": junit}
    if ctx.obj.server:
        from cicdctl.reports.elsewhere import follow_there, print_started_there, start_there

        local = {"--stage": stage, "--from": start, "--until": until, "--jobs": jobs, "--keep-going": keep_going}
        local |= {"--no-cache": no_cache, "--fail-on-cache-miss": fail_on_cache_miss, "--dry-run": dry_run}
        refuse_options("--server", {**local, "--no-fix": no_fix, "a range": ".." in revision})
        with open_here(ctx) as project, install_reports(project, json=json and not detach, events=events, junit=junit):
            started = start_there(project, pipeline, revision, request.params)
            raise typer.Exit(print_started_there(started, json=json) if detach else follow_there(project, started))
    with open_here(ctx) as project:
        # What each of these needs is imported only for it: the run that finds everything cached is the common one.
        if dry_run:
            from cicdctl.reports.plans import print_forecast
            from cicdctl.runner import forecast

            refuse_options("--dry-run", {"--detach": detach, **files})
            install_warnings(project)
            raise typer.Exit(print_forecast(forecast(project, request), json=json, graph=False))
        if ".." in revision:
            from cicdctl.reports.ranges import print_range
            from cicdctl.runner import run_range

            refuse_options("a range", {"--detach": detach, **files})
            install_warnings(project)
            raise typer.Exit(print_range(run_range(project, request), json=json))
        if detach:
            from cicdctl.reports.output import print_started
            from cicdctl.runner import start_detached_run

            refuse_options("--detach", files)
            install_warnings(project)
            raise typer.Exit(print_started(start_detached_run(project, request), json=json))
        with install_reports(project, json=json, events=events, junit=junit):
            summary = run_pipeline(project, request)
        status = exit_status(summary)
        if status == 1 and not no_fix:
            from cicdctl.orchestrator.fix_starts import heal_in_front

            heal_in_front(project, summary)
        raise typer.Exit(status)
