"""`cicdctl bisect`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline, complete_stage
from cicdctl.commands.opening import open_here, params_of
from cicdctl.reports.bisect import open_progress
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.culprit import print_outcome
from cicdctl.runner.bisect import BisectRequest, find_culprit

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl bisect test unit v1.0..main   |   cicdctl bisect test unit ..main")
def bisect(
    ctx: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Pipeline.", autocompletion=complete_pipeline)],
    stage: Annotated[
        str, typer.Argument(help="Stage that broke, or one cell of its matrix.", autocompletion=complete_stage)
    ],
    commits: Annotated[
        str,
        typer.Argument(
            metavar="GOOD..BAD",
            help="A commit where the stage passed, and a later one where it fails. Without GOOD: the last green "
            "run before BAD. Without BAD: HEAD.",
        ),
    ],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=0, show_default=False, help="Commits at once. Default: one per core."
        ),
    ] = 0,
    retries: Annotated[
        int, typer.Option(metavar="N", min=0, help="How often a failure is repeated before it counts.")
    ] = 1,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="Of merged branches look only at the merge.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Judge by runs of this search only, not by earlier results.")
    ] = False,
    for_run: Annotated[int | None, typer.Option("--for", hidden=True)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Find the commit that broke a stage, by as few runs as possible, several commits at once."""
    request = BisectRequest(
        pipeline=pipeline,
        stage=stage,
        span=commits,
        params=params_of(param or []),
        jobs=jobs,
        retries=retries,
        first_parent=first_parent,
        no_cache=no_cache,
    )
    with open_here(ctx) as project:
        install_warnings(project)
        with open_progress(project, json=json) as progress:
            if for_run is None:
                outcome = find_culprit(project, request, progress.tell)
            else:
                from cicdctl.orchestrator.culprit_search import search_for_run

                found = search_for_run(project, for_run, request, progress.tell)
                if found is None:
                    raise typer.Exit
                outcome = found
        raise typer.Exit(print_outcome(project, outcome, json=json))
