"""`cicdctl logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.names import complete_run, complete_stage
from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings, wants_color
from cicdctl.reports.log_lines import LogView
from cicdctl.reports.logs import print_log

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Examples: cicdctl logs 42 unit --tail 50   |   cicdctl logs 42 -f   |   cicdctl logs 42 unit --grep Error"
)
def logs(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Number of the run. Default: the latest.", autocompletion=complete_run)
    ] = "",
    stage: Annotated[
        str, typer.Argument(help="Stage. Default: the first that failed, else the last.", autocompletion=complete_stage)
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as the log grows, until the stage ends.")
    ] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", metavar="N", min=1, help="Only the last lines.")] = None,
    grep: Annotated[str | None, typer.Option(metavar="TEXT", help="Only lines that hold this text.")] = None,
    attempt: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The log of this attempt. Default: the last.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they came, escape sequences and all.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print where the log is.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the log of a stage, secrets masked, terminal tricks removed."""
    with open_here(ctx) as project:
        install_warnings(project)
        project.want_logs(stage)
        view = LogView(
            follow=follow,
            tail=tail,
            grep=grep,
            attempt=attempt,
            raw=raw,
            path=path,
            json=json,
            color=wants_color(project),
        )
        raise typer.Exit(print_log(project, run, stage, view))
