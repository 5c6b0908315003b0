"""`cicdctl workflow`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.workflows import print_workflow, print_workflows

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Run Python workflows that plugins provide."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_workflows(ctx: typer.Context, json: Json = False) -> None:
    """List the workflows."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_workflows(project, json=json))


@app.command(epilog="Example: cicdctl workflow run release")
def run(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="Name of the workflow.")], json: Json = False
) -> None:
    """Run a workflow to its end. Exit status 1 when it returns False or something false that is not None."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_workflow(project, name, json=json))
