"""`cicdctl history`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import open_here
from cicdctl.model import RunFilter, Verdict
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.runs import print_runs
from cicdctl.runner.recovery import recover_and_tell

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl history build --verdict failed -n 5")
def history(
    ctx: typer.Context,
    pipeline: Annotated[
        str | None, typer.Argument(help="Only this pipeline.", autocompletion=complete_pipeline)
    ] = None,
    verdict: Annotated[
        Verdict | None, typer.Option(metavar="VERDICT", help=f"Only runs that ended so: {', '.join(Verdict)}.")
    ] = None,
    commit: Annotated[str | None, typer.Option(metavar="REV", help="Only runs of this commit.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
    before: Annotated[int | None, typer.Option(metavar="RUN", help="Only runs before this number.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List runs, newest first."""
    with open_here(ctx) as project:
        install_warnings(project)
        recover_and_tell(project)
        wanted = RunFilter(
            pipeline=pipeline,
            verdict=verdict,
            commit=project.repository.resolve(commit).oid if commit else None,
            limit=limit,
            before=before,
        )
        raise typer.Exit(print_runs(project.state.runs(wanted), json=json))
