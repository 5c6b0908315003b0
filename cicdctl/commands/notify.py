"""`cicdctl notify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.notices import print_outbox, print_sent, print_test

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Tell people and forges what became of runs.",
)


@app.command("list")
def list_notices(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """List the notifiers, and the notices that wait or were given up."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_outbox(project, json=json))


@app.command(epilog="Example: cicdctl notify test team")
def test(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="NAME of its section [notifiers.NAME].")]
) -> None:
    """Send a notice by one notifier now and say whether it arrived. Nothing is kept or tried again."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_test(project, name))


@app.command()
def send(
    ctx: typer.Context,
    again: Annotated[bool, typer.Option("--again", help="Also those that wait for later or were given up.")] = False,
) -> None:
    """Send what is due now and wait for it. Exit status 1 when something did not arrive."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_sent(project, again=again))
