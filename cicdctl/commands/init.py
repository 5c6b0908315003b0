"""`cicdctl init`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.reports.configuration import print_init

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def init(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace a .cicd.toml that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print it instead of writing it.")] = False,
) -> None:
    """Write a .cicd.toml from what this repository is: Python, Node, Rust, Go, Make."""
    raise typer.Exit(print_init(ctx.obj, force=force, dry_run=dry_run))
