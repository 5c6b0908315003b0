"""`cicdctl serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import name_config, open_at
from cicdctl.errors import NotAvailable
from cicdctl.monitors.builtin import BuiltinMonitors
from cicdctl.project import Project
from cicdctl.project_config import Invocation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Examples: cicdctl serve   |   cicdctl serve --config /etc/cicdctl.toml --daemon")
def serve(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Serve the repository that this file names.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen. Default: orchestrator.monitoring.host.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Default: orchestrator.monitoring.port, 8080.")
    ] = None,
    daemon: Annotated[bool, typer.Option("--daemon", help="Go on in the background; cicdctl stop ends it.")] = False,
) -> None:
    """Watch, and answer over HTTP: live pages, REST, webhooks of forges. One process, one port."""
    name_config(ctx, config)
    try:
        from cicdctl.server.start import start_server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("cicdctl"):
            raise
        raise NotAvailable(f"the server without {error.name}", hint="pip install 'cicdctl[server]'") from error
    open_plain = open_at(ctx)

    def open_watched(invocation: Invocation) -> Project:
        project = open_plain(invocation)
        project.plugins.register(BuiltinMonitors(project), "monitors")
        return project

    if daemon:
        from cicdctl.reports.watching import print_daemon

        given = (("--host", host), ("--port", None if port is None else str(port)))
        words = [part for name, value in given if value is not None for part in (name, value)]
        raise typer.Exit(print_daemon(ctx.obj, open_watched, words=("serve", *words)))
    raise typer.Exit(start_server(ctx.obj, open_plain, open_watched, host=host, port=port))
