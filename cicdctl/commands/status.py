"""`cicdctl status`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.model import RunFilter
from cicdctl.orchestrator.pausing import since_words
from cicdctl.project import Project
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.runs import print_status
from cicdctl.runner.recovery import recover_and_tell

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl status   |   cicdctl status HEAD   |   cicdctl status main..")
def status(
    ctx: typer.Context,
    revisions: Annotated[
        str, typer.Argument(metavar="[REV|A..B]", show_default=False, help="Show the verdicts on these commits.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the latest ten runs of each pipeline, what is deployed and what runs now; or what is known of commits."""
    with open_here(ctx) as project:
        install_warnings(project)
        recover_and_tell(project)
        if revisions:
            from cicdctl.reports.verdicts import print_verdicts

            raise typer.Exit(print_verdicts(project, revisions, json=json))
        active = project.state.runs(RunFilter(active=True, limit=100))
        raise typer.Exit(
            print_status(
                project.state.latest_per_pipeline(10),
                active,
                project.state.deployments.current(),
                paused=_paused(project),
                json=json,
            )
        )


def _paused(project: Project) -> dict[str, str]:
    if not project.is_here:
        from cicdctl.remote.waiting import paused_there

        return paused_there(project)
    return {name: since_words(project, name) for name in project.state.queue.paused()}
