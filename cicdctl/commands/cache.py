"""`cicdctl cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import confirm, open_here
from cicdctl.reports.caches import print_cleared, print_gc, print_stats, print_verified
from cicdctl.reports.choice import install_warnings

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Look at the cache, and make room."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def stats(ctx: typer.Context, json: Json = False) -> None:
    """Show how much the cache holds, by kind."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_stats(project, json=json))


@app.command()
def gc(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would go, and why; remove nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove what is expired or over the limit; never what the last green run of a pipeline needs."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_gc(project, dry_run=dry_run, json=json))


@app.command()
def clear(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget every cached result and artifact of this repository."""
    with open_here(ctx) as project:
        install_warnings(project)
        if not yes and not confirm(f'Forget everything in "{project.cache_folder}"?'):
            raise typer.Exit(5)
        raise typer.Exit(print_cleared(project))


@app.command()
def verify(ctx: typer.Context, json: Json = False) -> None:
    """Read every entry and blob and compare digests. Exit status 1 when something is damaged."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_verified(project, json=json))
