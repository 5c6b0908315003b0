"""`cicdctl history`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_environment, complete_pipeline
from cicdctl.commands.opening import open_here, refuse_options
from cicdctl.model import RunFilter, Verdict
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.runs import print_runs
from cicdctl.runner.recovery import recover_and_tell

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Examples: cicdctl history build --verdict failed -n 5   |   cicdctl history --environment production"
)
def history(
    ctx: typer.Context,
    pipeline: Annotated[
        str | None, typer.Argument(help="Only this pipeline.", autocompletion=complete_pipeline)
    ] = None,
    verdict: Annotated[
        Verdict | None, typer.Option(metavar="VERDICT", help=f"Only runs that ended so: {', '.join(Verdict)}.")
    ] = None,
    commit: Annotated[str | None, typer.Option(metavar="REV", help="Only runs of this commit.")] = None,
    environment: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="What was deployed there.", autocompletion=complete_environment),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also the runs that try a fix.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
    before: Annotated[int | None, typer.Option(metavar="RUN", help="Only runs before this number.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List runs, newest first."""
    with open_here(ctx) as project:
        install_warnings(project)
        recover_and_tell(project)
        if environment is not None:
            from cicdctl.reports.rollbacks import print_deployments

            others = {"a pipeline": pipeline, "--verdict": verdict, "--commit": commit, "--before": before}
            refuse_options("--environment", others)
            raise typer.Exit(print_deployments(project, environment, limit=limit, json=json))
        wanted = RunFilter(
            pipeline=pipeline,
            verdict=verdict,
            commit=project.repository.resolve(commit).oid if commit else None,
            limit=limit,
            before=before,
            fixes=everything,
        )
        raise typer.Exit(print_runs(project.state.runs(wanted), json=json))
