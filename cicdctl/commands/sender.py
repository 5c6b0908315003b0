"""`cicdctl _notify`: what the detached process that sends notices executes."""

from __future__ import annotations

import typer

from cicdctl.commands.opening import open_here
from cicdctl.notifiers.channel import open_channels
from cicdctl.notifiers.sender import send_waiting
from cicdctl.reports.choice import install_warnings

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(hidden=True)
def sender(ctx: typer.Context) -> None:
    """Send the notices that wait, until the next one is far off."""
    with open_here(ctx) as project:
        project.may_start_sender = False
        install_warnings(project)
        send_waiting(project, open_channels(project))
