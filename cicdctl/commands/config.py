"""`cicdctl config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import name_config, open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.configuration import print_config, print_schema, print_validation

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Check and show the configuration."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def validate(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(help="Commit, branch or tag. Default: the file as it lies here.")] = "",
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Check this file instead.")] = None,
    json: Json = False,
) -> None:
    """Check the whole file; every problem at once, with line and near word. Exit status 2 when there is one."""
    name_config(ctx, config)
    raise typer.Exit(print_validation(ctx.obj, revision, json=json))


@app.command()
def show(
    ctx: typer.Context,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Every value that is in force, and where it comes from.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the configuration: the pipelines of the file, or every value in force."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_config(project, resolved=resolved, json=json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of .cicd.toml, for editors."""
    raise typer.Exit(print_schema())
