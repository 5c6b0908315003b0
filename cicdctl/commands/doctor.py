"""`cicdctl doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.health import print_findings
from cicdctl.runner.doctor import examine

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def doctor(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Check this machine and this repository: git, sandbox, limits, disk, state, cache. Exit status 3 for a fault."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_findings(examine(project), json=json))
