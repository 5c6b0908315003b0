"""`cicdctl stop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import name_config, open_at
from cicdctl.reports.watching import print_stopped

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def stop(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="End the watching of what this file names.")
    ] = None,
) -> None:
    """End the orchestrator of this repository. Runs that go on are not touched."""
    name_config(ctx, config)
    raise typer.Exit(print_stopped(ctx.obj, open_at(ctx)))
