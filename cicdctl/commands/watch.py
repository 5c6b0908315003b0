"""`cicdctl watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.errors import UsageError
from cicdctl.monitors.builtin import BuiltinMonitors
from cicdctl.project import Project
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.watching import print_daemon, watch_here

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: cicdctl watch --daemon")
def watch(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look once, start what may start, and return.")] = False,
    daemon: Annotated[bool, typer.Option("--daemon", help="Go on in the background; cicdctl stop ends it.")] = False,
) -> None:
    """Notice new commits, tags and schedules, and start their pipelines. One process per repository."""
    if once and daemon:
        raise UsageError("--once cannot be used with --daemon")

    def open_watched() -> Project:
        project = open_here(ctx)
        install_warnings(project)
        project.plugins.register(BuiltinMonitors(project), "monitors")
        return project

    if daemon:
        with open_watched() as project:
            raise typer.Exit(print_daemon(project))
    raise typer.Exit(watch_here(open_watched, once=once))
