"""`cicdctl plugins`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.plugins import install_plugin, print_new, print_plugins, remove_plugin

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="List, install, remove and start plugins."
)


@app.command("list")
def list_plugins(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """List the plugins that are loaded, where they come from and what they provide."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_plugins(project, json=json))


@app.command()
def install(target: Annotated[str, typer.Argument(help="Distribution, or a folder that holds one.")]) -> None:
    """Install a plugin into the environment cicdctl runs in, with pip."""
    raise typer.Exit(install_plugin(target))


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Name of the plugin, or of its distribution.")]) -> None:
    """Remove a plugin from the environment cicdctl runs in, with pip."""
    raise typer.Exit(remove_plugin(name))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the plugin, such as my-stages.")],
    folder: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where its folder is made.")] = Path(),
) -> None:
    """Write a working plugin with a test, to start from."""
    raise typer.Exit(print_new(name, folder))
