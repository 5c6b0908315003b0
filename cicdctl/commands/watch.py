"""`cicdctl watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.names import complete_pipeline
from cicdctl.commands.opening import name_config, open_at, refuse_options
from cicdctl.errors import UsageError
from cicdctl.monitors.builtin import BuiltinMonitors
from cicdctl.project import Project
from cicdctl.project_config import Invocation
from cicdctl.reports.watching import print_daemon, watch_here

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl watch --daemon   |   cicdctl watch --files build")
def watch(
    ctx: typer.Context,
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(help="Pipelines of --files. Default: those on_commit.", autocompletion=complete_pipeline),
    ] = None,
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Watch what this file names: one repository, or several.")
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Run on the working tree whenever its files have changed.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, start what may start, and return.")] = False,
    daemon: Annotated[bool, typer.Option("--daemon", help="Go on in the background; cicdctl stop ends it.")] = False,
) -> None:
    """Notice new commits, tags and schedules, and start their pipelines. One process per repository."""
    if files:
        refuse_options("--files", {"--once": once, "--daemon": daemon})
    elif pipelines:
        raise UsageError("pipelines are named with --files only", hint="cicdctl pause PIPELINE holds one")
    elif once and daemon:
        raise UsageError("--once cannot be used with --daemon")

    name_config(ctx, config)
    open_plain = open_at(ctx)

    def open_watched(invocation: Invocation) -> Project:
        project = open_plain(invocation)
        project.plugins.register(BuiltinMonitors(project), "monitors")
        return project

    if files:
        from cicdctl.reports.file_watching import watch_files

        raise typer.Exit(watch_files(lambda: open_watched(ctx.obj), pipelines or []))
    if daemon:
        raise typer.Exit(print_daemon(ctx.obj, open_watched))
    raise typer.Exit(watch_here(ctx.obj, open_watched, once=once))
